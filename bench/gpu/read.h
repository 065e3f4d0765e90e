/* SPDX-License-Identifier: GPL-2.0-only */
/* The plainest way to read host memory from a kernel: what others are measured against. */
#ifndef OVM_BENCH_GPU_READ_H
#define OVM_BENCH_GPU_READ_H

#include <cstddef>
#include <cstdint>

/* 16 bytes a load, four of them under way in each thread, the grid in step. */
static __global__ void read_all(const uint4 *from, size_t nr, uint4 *out)
{
	size_t step = static_cast<size_t>(gridDim.x) * blockDim.x;
	size_t i = blockIdx.x * static_cast<size_t>(blockDim.x) + threadIdx.x;
	uint4 sum = {};

	for (; i + 3 * step < nr; i += 4 * step) {
		uint4 a = from[i], b = from[i + step], c = from[i + 2 * step],
		      d = from[i + 3 * step];

		sum.x ^= a.x ^ b.x ^ c.x ^ d.x;
		sum.y ^= a.y ^ b.y ^ c.y ^ d.y;
		sum.z ^= a.z ^ b.z ^ c.z ^ d.z;
		sum.w ^= a.w ^ b.w ^ c.w ^ d.w;
	}
	for (; i < nr; i += step)
		sum.x ^= from[i].x;
	/* Never true, but not known to the compiler. */
	if (sum.x == 0x12345678 && sum.y == 0x9abcdef0 && sum.z == 1 && sum.w == 2)
		*out = sum;
}

#endif /* OVM_BENCH_GPU_READ_H */
