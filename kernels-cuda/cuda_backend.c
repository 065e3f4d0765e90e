// SPDX-License-Identifier: GPL-2.0-only
/* The back end on a device: what walks and copies share. */
#include <stdlib.h>
#include <string.h>

#include "../vmi/cleanup.h"
#include "cuda.h"
#include "scan.h"

struct ovm_error *ovm_cuda_reserve(struct ovm_cuda *cuda, enum ovm_cuda_use use, size_t size,
				   size_t keep)
{
	struct ovm_cuda_buffer *buffer = &cuda->buffers[use];
	struct ovm_error *err = NULL;
	void *data;

	if (size <= buffer->size)
		return NULL;
	/* Rarely grown, and never by a little. */
	size = size < buffer->size * 2 ? buffer->size * 2 : size;
	size = (size + OVM_PAGE_SIZE - 1) / OVM_PAGE_SIZE * OVM_PAGE_SIZE;
	if (!keep) {
		cuda->ops->free(cuda->device, ovm_take_pointer(buffer->data));
		buffer->size = 0;
	}
	err = cuda->ops->alloc(cuda->device, size, &data);
	if (err)
		return err;
	if (keep) {
		err = cuda->ops->copy(cuda->stream, data, buffer->data, keep);
		if (!err)
			err = cuda->ops->wait(cuda->stream);
		cuda->ops->free(cuda->device, buffer->data);
	}
	buffer->data = data;
	buffer->size = size;
	return err;
}

struct ovm_error *ovm_cuda_upload(struct ovm_cuda *cuda, void *to, const void *from, size_t size)
{
	const size_t max = OVM_CUDA_STAGING / 2;

	for (size_t done = 0; done < size;) {
		size_t part = size - done < max ? size - done : max;

		memcpy(cuda->staging, (const uint8_t *)from + done, part);

		struct ovm_error *err =
			cuda->ops->copy(cuda->stream, (uint8_t *)to + done, cuda->staging, part);

		if (!err)
			err = cuda->ops->wait(cuda->stream);
		if (err)
			return err;
		done += part;
	}
	return NULL;
}

struct ovm_error *ovm_cuda_download(struct ovm_cuda *cuda, void *to, const void *from, size_t size)
{
	const size_t max = OVM_CUDA_STAGING / 2;

	for (size_t done = 0; done < size;) {
		size_t part = size - done < max ? size - done : max;
		struct ovm_error *err = cuda->ops->copy(cuda->stream, cuda->staging,
							(const uint8_t *)from + done, part);

		if (!err)
			err = cuda->ops->wait(cuda->stream);
		if (err)
			return err;
		memcpy((uint8_t *)to + done, cuda->staging, part);
		done += part;
	}
	return NULL;
}

struct ovm_error *ovm_cuda_scan(struct ovm_cuda *cuda, const uint32_t *in, uint64_t nr,
				enum ovm_cuda_use use)
{
	/* One more than there are numbers, for the sum of all. */
	uint64_t nr_blocks = nr / OVM_SCAN_BLOCK + 1;
	struct ovm_error *err = ovm_cuda_reserve(cuda, use, (nr + 1) * sizeof(uint64_t), 0);

	if (!err)
		err = ovm_cuda_reserve(cuda, OVM_CUDA_SCAN, nr_blocks * sizeof(uint64_t), 0);
	if (err)
		return err;

	const struct ovm_scan_args args = {
		.in = in,
		.nr = nr,
		.sums = cuda->buffers[OVM_CUDA_SCAN].data,
		.nr_blocks = (uint32_t)nr_blocks,
		.out = cuda->buffers[use].data,
	};

	err = cuda->ops->launch(cuda->stream, OVM_KERNEL_SCAN_SUMS, args.nr_blocks, &args,
				sizeof(args));
	if (!err)
		err = cuda->ops->launch(cuda->stream, OVM_KERNEL_SCAN_TOPS, 1, &args, sizeof(args));
	if (!err)
		err = cuda->ops->launch(cuda->stream, OVM_KERNEL_SCAN, args.nr_blocks, &args,
					sizeof(args));
	return err;
}

static void cuda_destroy(struct ovm_cuda *cuda)
{
	if (!cuda)
		return;
	ovm_cuda_copy_deinit(cuda);
	ovm_cuda_pack_deinit(cuda);
	cuda->ops->stream_destroy(cuda->stream);
	for (size_t i = 0; i < OVM_CUDA_NR_BUFFERS; i++)
		cuda->ops->free(cuda->device, cuda->buffers[i].data);
	cuda->ops->free_pinned(cuda->device, cuda->staging);
	ovm_mapping_destroy(cuda->mapping);
	free(cuda);
}

/* A device that sees little of the guest is worth it to who insists only: the rest is staged. */
static struct ovm_error *check_mapping(const struct ovm_engine *engine,
				       const struct ovm_mapping *mapping)
{
	struct ovm_mapping_stats stats;

	ovm_mapping_stats(mapping, &stats);
	if ((stats.mapped && stats.mapped / 3 >= stats.refused) ||
	    engine->asked_for == OVM_BACKEND_CUDA)
		return NULL;
	return ovm_error_format(OVM_ERROR_NOT_FOUND,
				"the guest's RAM can't be mapped into the GPU: %s",
				stats.reason ? stats.reason : "it is of no kind that can");
}

/* There is no doing without what could not be allocated. The error may be a static one. */
static struct ovm_error *as_device_error(struct ovm_error *err)
{
	struct ovm_error *ret = ovm_error_format(OVM_ERROR_DEVICE, "%s", err->message);

	ovm_error_free(err);
	return ret;
}

static struct ovm_error *cuda_attach(struct ovm_engine *engine)
{
	struct ovm_cuda *cuda = calloc(1, sizeof(*cuda));
	void *staging, *staging_device;

	if (!cuda)
		return ovm_error_no_memory();
	cuda->device = engine->device;
	cuda->ops = engine->device->ops;
	cuda->max_items = OVM_CUDA_MAX_ITEMS;
	cuda->max_block_pages = OVM_CUDA_MAX_BLOCK_PAGES;

	struct ovm_error *err = ovm_mapping_create(engine->device, engine->memory, &cuda->mapping);

	if (!err)
		err = check_mapping(engine, cuda->mapping);
	if (!err)
		err = cuda->ops->alloc_pinned(cuda->device, OVM_CUDA_STAGING, -1, &staging,
					      &staging_device);
	if (!err) {
		cuda->staging = staging;
		err = cuda->ops->stream_create(cuda->device, &cuda->stream);
	}
	if (err) {
		cuda_destroy(cuda);
		if (err->code == OVM_ERROR_NO_MEMORY)
			return ovm_error_prepend(as_device_error(err), "no memory for the GPU");
		return err;
	}
	engine->state = cuda;
	return NULL;
}

static void cuda_detach(struct ovm_engine *engine)
{
	cuda_destroy(engine->state);
}

static void cuda_device_stats(const struct ovm_engine *engine, struct ovm_engine_device_stats *ret)
{
	const struct ovm_cuda *cuda = engine->state;
	struct ovm_mapping_stats stats;

	ovm_mapping_stats(cuda->mapping, &stats);
	*ret = (struct ovm_engine_device_stats){
		.mapped = stats.mapped,
		.staged = stats.refused,
		.nr_pieces = stats.nr_chunks,
		.reason = stats.reason,
	};
}

const struct ovm_engine_backend ovm_backend_cuda = {
	.name = "cuda",
	.attach = cuda_attach,
	.detach = cuda_detach,
	.walk = ovm_cuda_walk,
	.copy = ovm_cuda_copy,
	.pack = ovm_cuda_pack,
	.device_stats = cuda_device_stats,
};
