/* SPDX-License-Identifier: GPL-2.0-only */
/* How a copy is cut into chunks, each of which is contiguous in the sink. */
#ifndef OVM_KERNELS_CUDA_CHUNKS_H
#define OVM_KERNELS_CUDA_CHUNKS_H

#include "engine.h"

/** Consecutive pieces that go to consecutive places of the sink. */
struct ovm_chunk {
	/** The first piece, and how many of its pages were in the chunk before. */
	size_t copy;
	uint64_t skip;
	uint64_t nr_pages;
	uint64_t offset;
};

/**
 * Cut the pieces of a request into chunks of at most @request->chunk bytes and IOV_MAX pieces;
 * returns how many these are. @out has room for them, or is NULL to only count.
 */
size_t ovm_plan_chunks(const struct ovm_copy_request *request, struct ovm_chunk *out);

#endif /* OVM_KERNELS_CUDA_CHUNKS_H */
