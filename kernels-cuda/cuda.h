/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of the CUDA back end share. They know the device by the calls of device.h only. */
#ifndef OVM_KERNELS_CUDA_CUDA_H
#define OVM_KERNELS_CUDA_CUDA_H

#include "backend.h"
#include "device.h"
#include "devicewalk.h"
#include "mapping.h"

enum {
	/** Bytes of pinned memory: one half for transfers, one for what a batch tells the host. */
	OVM_CUDA_STAGING = 4 << 20,
	/** Items of a walk that the device works on at a time. */
	OVM_CUDA_MAX_ITEMS = 4096,
	/**
	 * Most pages of an LZ4 block that is made by the device. One thread encodes a block, so
	 * that a batch of larger ones would leave most of the device idle, while few CPU cores are
	 * faster than as many of its threads. Reasoning, not measured.
	 */
	OVM_CUDA_MAX_BLOCK_PAGES = 16,
};

/** Device memory that grows. */
struct ovm_cuda_buffer {
	void *data;
	size_t size;
};

/** What device memory is kept for, from one walk to the next. */
enum ovm_cuda_use {
	OVM_CUDA_INPUTS,
	OVM_CUDA_VMEMMAP,
	OVM_CUDA_VMEMMAP_PAGES,
	OVM_CUDA_VMEMMAP_COPIES,
	OVM_CUDA_ITEMS,
	OVM_CUDA_NEXT_ITEMS,
	OVM_CUDA_TABLES,
	OVM_CUDA_MISSING,
	OVM_CUDA_NUMBERS,
	OVM_CUDA_MORE_NUMBERS,
	OVM_CUDA_SUMS,
	OVM_CUDA_MORE_SUMS,
	OVM_CUDA_SLOTS,
	OVM_CUDA_COUNTS,
	OVM_CUDA_RUNS,
	OVM_CUDA_JOINED,
	OVM_CUDA_SCAN,
	OVM_CUDA_NR_BUFFERS,
};

/** The state of an engine on a device. */
struct ovm_cuda {
	struct ovm_device *device;
	const struct ovm_device_ops *ops;
	struct ovm_mapping *mapping;
	struct ovm_stream *stream;
	/** Pinned. */
	uint8_t *staging;
	struct ovm_cuda_buffer buffers[OVM_CUDA_NR_BUFFERS];
	/** Items of a batch; less than OVM_CUDA_MAX_ITEMS in tests only. */
	uint32_t max_items;
	/** Pages of a block; more than OVM_CUDA_MAX_BLOCK_PAGES in tests and benchmarks only. */
	uint32_t max_block_pages;
	struct ovm_cuda_copy *copy;
	struct ovm_cuda_pack *pack;
};

struct ovm_error *ovm_cuda_walk(struct ovm_engine *engine, const struct ovm_walk_request *requests,
				size_t nr, struct ovm_walk_result **results, size_t *failed);
struct ovm_error *ovm_cuda_copy(struct ovm_engine *engine, const struct ovm_copy_request *request);
struct ovm_error *ovm_cuda_pack(struct ovm_engine *engine, const struct ovm_pack_request *request,
				struct ovm_pack_result **ret);
/** Free what copies keep. */
void ovm_cuda_copy_deinit(struct ovm_cuda *cuda);
/** Free what packing keeps. */
void ovm_cuda_pack_deinit(struct ovm_cuda *cuda);

/** Make a buffer at least @size bytes long; its first @keep bytes stay, what is behind is junk. */
struct ovm_error *ovm_cuda_reserve(struct ovm_cuda *cuda, enum ovm_cuda_use use, size_t size,
				   size_t keep);

/** Copy to the device, and wait. */
struct ovm_error *ovm_cuda_upload(struct ovm_cuda *cuda, void *to, const void *from, size_t size);
/** Copy from the device, and wait. */
struct ovm_error *ovm_cuda_download(struct ovm_cuda *cuda, void *to, const void *from, size_t size);

/** Put prefix sums into the stream: those of @nr numbers @in into buffer @use, nr + 1 of them. */
struct ovm_error *ovm_cuda_scan(struct ovm_cuda *cuda, const uint32_t *in, uint64_t nr,
				enum ovm_cuda_use use);

/**
 * Find how the device reads the guest's page descriptors. What is not mapped is copied to it.
 *
 * Errors: OVM_ERROR_BUDGET when that would be too much.
 */
struct ovm_error *ovm_cuda_find_vmemmap(struct ovm_cuda *cuda, const struct ovm_memory *memory,
					const struct ovm_walk *walk,
					const struct ovm_walk_request *request,
					struct ovm_device_vmemmap *ret);

#endif /* OVM_KERNELS_CUDA_CUDA_H */
