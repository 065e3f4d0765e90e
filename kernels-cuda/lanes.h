/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How one text runs on a GPU and on a CPU.
 *
 * The body of a kernel is a function that does the work of one block:
 *
 *	static inline OVM_HD void ovm_sum_body(const struct ovm_sum_args *args, uint32_t block)
 *	{
 *		OVM_SHARED(uint32_t, part[32]);
 *
 *		OVM_LANES(i, 32)
 *			part[i] = args->in[32 * block + i];
 *		OVM_SYNC();
 *		OVM_LANES(i, 1)
 *			...
 *	}
 *
 * OVM_LANES() divides the numbers below its second argument among the threads of
 * the block; a CPU counts through them. What lanes leave in shared or global
 * memory is seen by others of the block after OVM_SYNC(), which all threads have
 * to reach. A variable of the block, declared outside of OVM_LANES(), must not be
 * written inside it unless it is shared. There are neither atomics nor votes: what a kernel
 * writes is the same whatever the order in which lanes and blocks run.
 */
#ifndef OVM_KERNELS_CUDA_LANES_H
#define OVM_KERNELS_CUDA_LANES_H

#include <stdint.h>

#ifdef __CUDACC__
#define OVM_HD __host__ __device__
#else
#define OVM_HD
#endif

#ifdef __CUDA_ARCH__
#define OVM_LANES(i, nr)	   for (uint32_t i = threadIdx.x; i < (nr); i += blockDim.x)
#define OVM_SYNC()		   __syncthreads()
#define OVM_SHARED(type, variable) __shared__ type variable
#define OVM_POPCOUNT(word)	   ((uint32_t)__popc(word))
#else
#define OVM_LANES(i, nr)	   for (uint32_t i = 0; i < (nr); i++)
#define OVM_SYNC()		   ((void)0)
#define OVM_SHARED(type, variable) type variable
#define OVM_POPCOUNT(word)	   ((uint32_t)__builtin_popcount(word))
#endif

enum {
	/** Threads of a block, in all kernels. */
	OVM_BLOCK_LANES = 256,
};

#endif /* OVM_KERNELS_CUDA_LANES_H */
