/* SPDX-License-Identifier: GPL-2.0-only */
/* Pages from all over guest RAM into a row, as a kernel. */
#ifndef OVM_KERNELS_CUDA_GATHER_H
#define OVM_KERNELS_CUDA_GATHER_H

#include "lanes.h"
#include "run.h"

/** 16 bytes: the widest load of a lane. */
struct ovm_quad {
	uint64_t word[2];
} __attribute__((aligned(16)));

enum {
	OVM_QUADS_PER_PAGE = OVM_PAGE_SIZE / 16,
};

struct ovm_gather_args {
	/** Where each page is read: device address. */
	const uint64_t *from;
	/** Where page 0 goes; the others follow. */
	uint8_t *to;
};

/**
 * One block a page: every lane loads 16 bytes, a warp 512 in a row. Nothing is loaded twice.
 */
static inline OVM_HD void ovm_gather_body(const struct ovm_gather_args *args, uint32_t block)
{
	const struct ovm_quad *from = (const struct ovm_quad *)(uintptr_t)args->from[block];
	struct ovm_quad *to = (struct ovm_quad *)(args->to + ((uint64_t)block << OVM_PAGE_SHIFT));

	OVM_LANES(i, OVM_QUADS_PER_PAGE)
		to[i] = from[i];
}

#endif /* OVM_KERNELS_CUDA_GATHER_H */
