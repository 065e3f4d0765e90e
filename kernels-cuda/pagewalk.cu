// SPDX-License-Identifier: GPL-2.0-only
/*
 * The walker's text as CUDA kernels: one thread an item.
 *
 * Tables come as copies in device memory, one of 512 entries per item, so that both
 * passes over them, one that counts runs and one that writes them to their prefix sums, see
 * the same entries. Page descriptors are read in place: the guest's RAM is registered.
 */
#include "pagewalk.h"

/** The guest kernel's page descriptors, by chunks of 2 MiB of their virtual addresses. */
struct ovm_device_vmemmap {
	/** Number of the first chunk: its address, shifted. */
	uint64_t first;
	uint64_t nr;
	/** Device address of each chunk; NULL: it can't be read. */
	const uint8_t *const *chunks;
};

enum {
	CHUNK_SHIFT = 21,
};

static __device__ const uint8_t *find_vmemmap(const struct ovm_device_vmemmap *vmemmap, uint64_t va)
{
	uint64_t chunk = (va >> CHUNK_SHIFT) - vmemmap->first;

	if (va % 8 || chunk >= vmemmap->nr || !vmemmap->chunks[chunk])
		return nullptr;
	return vmemmap->chunks[chunk] + va % (1 << CHUNK_SHIFT);
}

static inline OVM_HD bool ovm_walk_load_vmemmap(void *arg, uint64_t va, uint64_t *ret)
{
#ifdef __CUDA_ARCH__
	const uint8_t *data = find_vmemmap(static_cast<const struct ovm_device_vmemmap *>(arg), va);

	if (!data)
		return false;
	*ret = *reinterpret_cast<const volatile uint64_t *>(data);
	return true;
#else
	(void)arg;
	(void)va;
	(void)ret;
	return false;
#endif
}

/* Other threads of the warp run while one waits for memory. */
static inline OVM_HD void ovm_walk_prefetch_vmemmap(void *arg, uint64_t va)
{
	(void)arg;
	(void)va;
}

static __device__ uint64_t item_index(void)
{
	return blockIdx.x * static_cast<uint64_t>(blockDim.x) + threadIdx.x;
}

/** Replace tables by the items of the next level: those of item i go to @out[512 * i]. */
extern "C" __global__ void ovm_cuda_expand(struct ovm_walk walk, const struct ovm_walk_item *items,
					   uint64_t nr, const uint64_t *tables,
					   struct ovm_walk_item *out, uint32_t *out_nr)
{
	uint64_t i = item_index();

	if (i < nr)
		out_nr[i] = ovm_walk_expand(&walk, &items[i], tables + i * OVM_TABLE_ENTRIES,
					    out + i * OVM_TABLE_ENTRIES);
}

/**
 * Make the runs of each item: with @out NULL count them into @out_nr, else write those of item i
 * to @out[first[i]].
 */
extern "C" __global__ void ovm_cuda_emit(struct ovm_walk walk, struct ovm_device_vmemmap vmemmap,
					 const struct ovm_walk_item *items, uint64_t nr,
					 const uint64_t *tables, struct ovm_run *out,
					 const uint64_t *first, uint64_t *out_nr)
{
	struct ovm_run_builder builder = {};
	uint64_t i = item_index();

	if (i >= nr)
		return;
	builder.out = out ? out + first[i] : nullptr;
	ovm_walk_emit(&walk, &vmemmap, &items[i], tables + i * OVM_TABLE_ENTRIES, &builder);
	ovm_run_builder_flush(&builder);
	out_nr[i] = builder.nr;
}
