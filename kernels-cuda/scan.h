/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Prefix sums, as kernels: sums of parts, sums of these, then all of them.
 *
 * Any library's would do, but those bring the C++ runtime along, and can't be run without a GPU.
 */
#ifndef OVM_KERNELS_CUDA_SCAN_H
#define OVM_KERNELS_CUDA_SCAN_H

#include "lanes.h"

enum {
	/** Numbers that a lane sums. */
	OVM_SCAN_LANE = 16,
	/** Numbers of a block. */
	OVM_SCAN_BLOCK = OVM_BLOCK_LANES * OVM_SCAN_LANE,
};

struct ovm_scan_args {
	const uint32_t *in;
	uint64_t nr;
	/** Of each block: the sum of its numbers, then of those before it; one more for all. */
	uint64_t *sums;
	uint32_t nr_blocks;
	uint32_t reserved;
	/** @out[i]: sum of the first i numbers; nr + 1 of them. */
	uint64_t *out;
};

static inline OVM_HD uint64_t ovm_scan_number(const struct ovm_scan_args *args, uint32_t block,
					      uint32_t i)
{
	uint64_t at = (uint64_t)block * OVM_SCAN_BLOCK + i;

	return at < args->nr ? args->in[at] : 0;
}

/* Sums of what each lane has, in @sum; then, in @sum, of what the lanes before it have. For a
 * block. */
static inline OVM_HD void ovm_scan_lanes(uint64_t *sum)
{
	enum {
		GROUP = 16,
		NR_GROUPS = OVM_BLOCK_LANES / GROUP,
	};
	OVM_SHARED(uint64_t, group[NR_GROUPS]);

	OVM_SYNC();
	OVM_LANES(i, NR_GROUPS) {
		group[i] = 0;
		for (uint32_t j = 0; j < GROUP; j++)
			group[i] += sum[i * GROUP + j];
	}
	OVM_SYNC();
	OVM_LANES(i, NR_GROUPS) {
		uint64_t before = 0;

		for (uint32_t j = 0; j < i; j++)
			before += group[j];
		for (uint32_t j = 0; j < GROUP; j++) {
			uint64_t own = sum[i * GROUP + j];

			sum[i * GROUP + j] = before;
			before += own;
		}
	}
	OVM_SYNC();
}

/** One block for each OVM_SCAN_BLOCK numbers. */
static inline OVM_HD void ovm_scan_sums_body(const struct ovm_scan_args *args, uint32_t block)
{
	OVM_SHARED(uint64_t, sum[OVM_BLOCK_LANES]);

	OVM_LANES(lane, OVM_BLOCK_LANES) {
		sum[lane] = 0;
		for (uint32_t i = 0; i < OVM_SCAN_LANE; i++)
			sum[lane] += ovm_scan_number(args, block, lane * OVM_SCAN_LANE + i);
	}
	OVM_SYNC();
	OVM_LANES(lane, 1) {
		uint64_t all = 0;

		for (uint32_t i = 0; i < OVM_BLOCK_LANES; i++)
			all += sum[i];
		args->sums[block] = all;
	}
}

/** A single block. */
static inline OVM_HD void ovm_scan_tops_body(const struct ovm_scan_args *args, uint32_t block)
{
	uint32_t part = (args->nr_blocks + OVM_BLOCK_LANES - 1) / OVM_BLOCK_LANES;
	OVM_SHARED(uint64_t, sum[OVM_BLOCK_LANES]);

	(void)block;
	OVM_LANES(lane, OVM_BLOCK_LANES) {
		sum[lane] = 0;
		for (uint32_t i = lane * part; i < (lane + 1) * part && i < args->nr_blocks; i++)
			sum[lane] += args->sums[i];
	}
	ovm_scan_lanes(sum);
	OVM_LANES(lane, OVM_BLOCK_LANES) {
		uint64_t before = sum[lane];

		for (uint32_t i = lane * part; i < (lane + 1) * part && i < args->nr_blocks; i++) {
			uint64_t own = args->sums[i];

			args->sums[i] = before;
			before += own;
		}
	}
}

/** One block for each OVM_SCAN_BLOCK numbers. */
static inline OVM_HD void ovm_scan_body(const struct ovm_scan_args *args, uint32_t block)
{
	OVM_SHARED(uint64_t, sum[OVM_BLOCK_LANES]);

	OVM_LANES(lane, OVM_BLOCK_LANES) {
		sum[lane] = 0;
		for (uint32_t i = 0; i < OVM_SCAN_LANE; i++)
			sum[lane] += ovm_scan_number(args, block, lane * OVM_SCAN_LANE + i);
	}
	ovm_scan_lanes(sum);
	OVM_LANES(lane, OVM_BLOCK_LANES) {
		uint64_t before = args->sums[block] + sum[lane];

		for (uint32_t i = 0; i < OVM_SCAN_LANE; i++) {
			uint64_t at = (uint64_t)block * OVM_SCAN_BLOCK + lane * OVM_SCAN_LANE + i;

			if (at > args->nr)
				break;
			args->out[at] = before;
			before += ovm_scan_number(args, block, lane * OVM_SCAN_LANE + i);
		}
	}
}

#endif /* OVM_KERNELS_CUDA_SCAN_H */
