/* SPDX-License-Identifier: GPL-2.0-only */
/* What is left of pages, moved together, as a kernel. */
#ifndef OVM_KERNELS_CUDA_COMPACT_H
#define OVM_KERNELS_CUDA_COMPACT_H

#include "gather.h"
#include "lanes.h"

struct ovm_compact_item {
	const uint8_t *from;
	/** Bytes from where the first one goes. */
	uint64_t to;
	uint64_t size;
};

struct ovm_compact_args {
	const struct ovm_compact_item *items;
	uint8_t *to;
};

/** One block an item. */
static inline OVM_HD void ovm_compact_body(const struct ovm_compact_args *args, uint32_t block)
{
	const struct ovm_compact_item item = args->items[block];
	uint8_t *to = args->to + item.to;

	if ((((uintptr_t)item.from | (uintptr_t)to | item.size) & 15) == 0) {
		const struct ovm_quad *quads = (const struct ovm_quad *)(uintptr_t)item.from;
		struct ovm_quad *out = (struct ovm_quad *)(uintptr_t)to;

		OVM_LANES(i, item.size / 16)
			out[i] = quads[i];
	} else {
		OVM_LANES(i, item.size)
			to[i] = item.from[i];
	}
}

#endif /* OVM_KERNELS_CUDA_COMPACT_H */
