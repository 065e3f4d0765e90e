/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pages through shared memory by the bulk copy engine of sm_90 and later: one thread of a block
 * keeps several of them under way.
 *
 * Source: PTX ISA 8.0, cp.async.bulk, mbarrier.
 */
#ifndef OVM_BENCH_GPU_BULK_H
#define OVM_BENCH_GPU_BULK_H

#include <cstdint>

enum {
	BULK_PAGE = 4096,
	/* Pages under way in a block. */
	BULK_STAGES = 8,
};

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
static __device__ uint32_t bulk_shared(const void *pointer)
{
	return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

static __device__ void bulk_load(uint8_t *to, const void *from, uint64_t *barrier)
{
	asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(
			     bulk_shared(barrier)),
		     "r"(static_cast<uint32_t>(BULK_PAGE))
		     : "memory");
	asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes "
		     "[%0], [%1], %2, [%3];" ::"r"(bulk_shared(to)),
		     "l"(__cvta_generic_to_global(from)), "r"(static_cast<uint32_t>(BULK_PAGE)),
		     "r"(bulk_shared(barrier))
		     : "memory");
}

static __device__ void bulk_wait(uint64_t *barrier, uint32_t parity)
{
	uint32_t done = 0;

	while (!done)
		asm volatile("{\n"
			     ".reg .pred p;\n"
			     "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
			     "selp.u32 %0, 1, 0, p;\n"
			     "}"
			     : "=r"(done)
			     : "r"(bulk_shared(barrier)), "r"(parity)
			     : "memory");
}

static __device__ void bulk_store(void *to, const uint8_t *from)
{
	asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
	asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(
			     __cvta_generic_to_global(to)),
		     "r"(bulk_shared(from)), "r"(static_cast<uint32_t>(BULK_PAGE))
		     : "memory");
	asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}
#endif

/* Page i of @nr goes from @from[i] to @to + 4096 * i. One warp a block, of which one lane works. */
static __global__ void __launch_bounds__(32)
	gather_bulk(const uint64_t *from, uint8_t *to, uint32_t nr)
{
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
	__shared__ alignas(128) uint8_t pages[BULK_STAGES][BULK_PAGE];
	__shared__ alignas(8) uint64_t barriers[BULK_STAGES];
	uint32_t mine = blockIdx.x < nr ? (nr - blockIdx.x - 1) / gridDim.x + 1 : 0;

	if (threadIdx.x)
		return;
	for (uint64_t &barrier : barriers)
		asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(bulk_shared(&barrier))
			     : "memory");
	asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
	asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
	for (uint32_t k = 0; k < BULK_STAGES && k < mine; k++)
		bulk_load(pages[k],
			  reinterpret_cast<const void *>(from[blockIdx.x + k * gridDim.x]),
			  &barriers[k]);
	for (uint32_t k = 0; k < mine; k++) {
		uint32_t slot = k % BULK_STAGES, again = k - 1 + BULK_STAGES;

		bulk_wait(&barriers[slot], k / BULK_STAGES % 2);
		bulk_store(to + (blockIdx.x + static_cast<uint64_t>(k) * gridDim.x) * BULK_PAGE,
			   pages[slot]);
		if (!k || again >= mine)
			continue;
		/* All stores but the last one have read their page. */
		asm volatile("cp.async.bulk.wait_group.read 1;" ::: "memory");
		slot = again % BULK_STAGES;
		bulk_load(pages[slot],
			  reinterpret_cast<const void *>(from[blockIdx.x + again * gridDim.x]),
			  &barriers[slot]);
	}
	asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
#else
	(void)from;
	(void)to;
	(void)nr;
#endif
}

#endif /* OVM_BENCH_GPU_BULK_H */
