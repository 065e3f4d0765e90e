// SPDX-License-Identifier: GPL-2.0-only
/*
 * The copy on a device.
 *
 * Each thread of the pool has two slots. While one's pages are gathered by the device and come
 * back into pinned memory, the other's are written:
 *
 *	guest RAM --gather--> device memory --copy--> pinned memory --write--> sink
 *
 * Pages that are not mapped into the device are read into pinned memory of their own
 * first, and gathered from there.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "../vmi/cleanup.h"
#include "chunks.h"
#include "cuda.h"
#include "gather.h"

enum {
	NR_SLOTS = 2,
	/* How much of a piece is copied once more at a time if the guest gave some of it back. */
	AGAIN_SIZE = 2 << 20,
	/* Chunks may be larger, but pinned memory is dear. */
	MAX_CHUNK = 4 << 20,
};

struct slot {
	struct ovm_stream *stream;
	/* Where the device puts pages, where they come back to, and addresses of their sources. */
	void *gathered;
	uint8_t *pages;
	uint64_t *sources;
	void *device_sources;
	/* Pages that the device can't read in place; allocated when the first one is met. */
	uint8_t *staged;
	uint8_t *device_staged;
	/* What is on its way, or NULL. */
	const struct ovm_chunk *chunk;
};

/* What a thread has. */
struct lane {
	struct slot slots[NR_SLOTS];
	/* The slot that is free. */
	unsigned int turn;
};

/* What copies keep, from one to the next. */
struct ovm_cuda_copy {
	/* Bytes of a chunk, and threads, that the slots are made for. */
	size_t chunk;
	unsigned int nr_lanes;
	struct lane *lanes;
};

struct cuda_copy {
	const struct ovm_copy_request *request;
	struct ovm_engine *engine;
	struct ovm_cuda *cuda;
	struct ovm_chunk *chunks;
	size_t nr_chunks;
	atomic_uint_fast64_t done;
	uint64_t total;
};

static void slot_deinit(struct ovm_cuda *cuda, struct slot *slot)
{
	const struct ovm_device_ops *ops = cuda->ops;

	ops->stream_destroy(slot->stream);
	ops->free(cuda->device, slot->gathered);
	ops->free(cuda->device, slot->device_sources);
	ops->free_pinned(cuda->device, slot->pages);
	ops->free_pinned(cuda->device, slot->sources);
	ops->free_pinned(cuda->device, slot->staged);
}

void ovm_cuda_copy_deinit(struct ovm_cuda *cuda)
{
	struct ovm_cuda_copy *copy = ovm_take_pointer(cuda->copy);

	if (!copy)
		return;
	for (unsigned int i = 0; copy->lanes && i < copy->nr_lanes * NR_SLOTS; i++)
		slot_deinit(cuda, &copy->lanes[i / NR_SLOTS].slots[i % NR_SLOTS]);
	free(copy->lanes);
	free(copy);
}

static struct ovm_error *alloc_pinned(struct ovm_cuda *cuda, size_t size, int node, void *ret,
				      void *ret_device)
{
	void *host, *device;
	struct ovm_error *err = cuda->ops->alloc_pinned(cuda->device, size, node, &host, &device);

	if (err)
		return err;
	*(void **)ret = host;
	if (ret_device)
		*(void **)ret_device = device;
	return NULL;
}

static struct ovm_error *slot_init(struct ovm_cuda *cuda, size_t chunk, int node, struct slot *slot)
{
	const struct ovm_device_ops *ops = cuda->ops;
	size_t sources = (chunk >> OVM_PAGE_SHIFT) * sizeof(uint64_t);
	struct ovm_error *err = ops->stream_create(cuda->device, &slot->stream);

	if (!err)
		err = ops->alloc(cuda->device, chunk, &slot->gathered);
	if (!err)
		err = ops->alloc(cuda->device, sources, &slot->device_sources);
	if (!err)
		err = alloc_pinned(cuda, chunk, node, &slot->pages, NULL);
	return err ? err : alloc_pinned(cuda, sources, node, &slot->sources, NULL);
}

/* Make slots for chunks of this size; those of before are used again if they are as large. */
static struct ovm_error *prepare(struct ovm_engine *engine, size_t chunk)
{
	struct ovm_cuda *cuda = engine->state;
	struct ovm_error *err = NULL;

	if (cuda->copy && cuda->copy->chunk >= chunk)
		return NULL;
	ovm_cuda_copy_deinit(cuda);
	cuda->copy = calloc(1, sizeof(*cuda->copy));
	if (!cuda->copy)
		return ovm_error_no_memory();
	cuda->copy->chunk = chunk;
	cuda->copy->nr_lanes = ovm_pool_nr_threads(engine->pool);
	cuda->copy->lanes = calloc(cuda->copy->nr_lanes, sizeof(struct lane));
	if (!cuda->copy->lanes)
		err = ovm_error_no_memory();
	for (unsigned int i = 0; i < cuda->copy->nr_lanes * NR_SLOTS && !err; i++)
		err = slot_init(cuda, chunk, ovm_pool_node(engine->pool, i / NR_SLOTS),
				&cuda->copy->lanes[i / NR_SLOTS].slots[i % NR_SLOTS]);
	if (err)
		ovm_cuda_copy_deinit(cuda);
	return err;
}

/* Read pages that the device can't into the places of a slot's staging memory. */
static struct ovm_error *stage(struct cuda_copy *copy, struct slot *slot, uint64_t gpa, size_t page,
			       size_t nr)
{
	struct ovm_error *err = NULL;

	if (!slot->staged)
		err = alloc_pinned(copy->cuda, copy->cuda->copy->chunk, -1, &slot->staged,
				   &slot->device_staged);
	for (size_t i = 0; i < nr && !err; i++)
		slot->sources[page + i] = (uint64_t)(uintptr_t)slot->device_staged +
					  ((uint64_t)(page + i) << OVM_PAGE_SHIFT);
	return err ? err
		   : ovm_memory_read(copy->engine->memory, gpa,
				     slot->staged + (page << OVM_PAGE_SHIFT), nr << OVM_PAGE_SHIFT);
}

/* Find the sources of @nr pages, the first of which is page @page of the chunk. */
static struct ovm_error *find_sources(struct cuda_copy *copy, struct slot *slot, uint64_t gpa,
				      size_t page, size_t nr)
{
	while (nr) {
		const uint8_t *device;
		size_t alike =
			ovm_mapping_find(copy->cuda->mapping, gpa, nr << OVM_PAGE_SHIFT, &device) >>
			OVM_PAGE_SHIFT;

		if (!device) {
			struct ovm_error *err = stage(copy, slot, gpa, page, alike);

			if (err)
				return err;
		}
		for (size_t i = 0; i < alike && device; i++)
			slot->sources[page + i] =
				(uint64_t)(uintptr_t)device + ((uint64_t)i << OVM_PAGE_SHIFT);
		gpa += (uint64_t)alike << OVM_PAGE_SHIFT;
		page += alike;
		nr -= alike;
	}
	return NULL;
}

/* Send a chunk on its way. */
static struct ovm_error *begin(struct cuda_copy *copy, struct slot *slot,
			       const struct ovm_chunk *chunk)
{
	const struct ovm_device_ops *ops = copy->cuda->ops;
	const struct ovm_copy_run *run = &copy->request->copies[chunk->copy];
	struct ovm_error *err = NULL;
	uint64_t skip = chunk->skip;

	for (size_t page = 0; page < chunk->nr_pages && !err; run++, skip = 0) {
		uint64_t left = chunk->nr_pages - page;
		uint64_t nr = run->nr_pages - skip < left ? run->nr_pages - skip : left;

		err = find_sources(copy, slot, run->gpa + (skip << OVM_PAGE_SHIFT), page, nr);
		page += nr;
	}
	if (err)
		return err;

	const struct ovm_gather_args args = {
		.from = slot->device_sources,
		.to = slot->gathered,
	};

	slot->chunk = chunk;
	err = ops->copy(slot->stream, slot->device_sources, slot->sources,
			chunk->nr_pages * sizeof(uint64_t));
	if (!err)
		err = ops->launch(slot->stream, OVM_KERNEL_GATHER, (uint32_t)chunk->nr_pages, &args,
				  sizeof(args));
	if (!err)
		err = ops->copy(slot->stream, slot->pages, slot->gathered,
				chunk->nr_pages << OVM_PAGE_SHIFT);
	return err;
}

/* Write the chunk that is on its way, if there is one, or only wait for it. */
static struct ovm_error *finish(struct cuda_copy *copy, struct slot *slot, bool write)
{
	const struct ovm_chunk *chunk = ovm_take_pointer(slot->chunk);
	struct ovm_error *err;

	if (!chunk)
		return NULL;
	err = copy->cuda->ops->wait(slot->stream);
	if (err || !write)
		return err;

	const struct iovec iov = {
		.iov_base = slot->pages,
		.iov_len = chunk->nr_pages << OVM_PAGE_SHIFT,
	};

	err = ovm_page_sink_write(copy->request->sink, &iov, 1, chunk->offset);
	atomic_fetch_add_explicit(&copy->done, iov.iov_len, memory_order_relaxed);
	return err;
}

/* Send a chunk on its way, and write the one that this thread sent before. */
static struct ovm_error *copy_chunk(void *arg, unsigned int worker, size_t index)
{
	struct cuda_copy *copy = arg;
	struct lane *lane = &copy->cuda->copy->lanes[worker];
	struct ovm_error *err = begin(copy, &lane->slots[lane->turn], &copy->chunks[index]);

	lane->turn = (lane->turn + 1) % NR_SLOTS;
	return err ? err : finish(copy, &lane->slots[lane->turn], true);
}

/* Write what is still on its way, or only wait for it. */
static struct ovm_error *finish_all(struct cuda_copy *copy, bool write)
{
	struct ovm_error *err = NULL;

	for (unsigned int i = 0; i < copy->cuda->copy->nr_lanes * NR_SLOTS; i++) {
		struct lane *lane = &copy->cuda->copy->lanes[i / NR_SLOTS];
		struct ovm_error *last = finish(copy, &lane->slots[i % NR_SLOTS], write && !err);

		if (err)
			ovm_error_free(last);
		else
			err = last;
	}
	return err;
}

static bool copy_poll(void *arg)
{
	const struct cuda_copy *copy = arg;
	const struct ovm_copy_request *request = copy->request;

	if (request->progress)
		request->progress(request->arg,
				  atomic_load_explicit(&copy->done, memory_order_relaxed),
				  copy->total);
	return request->cancelled && request->cancelled(request->arg);
}

/*
 * Copy once more, by the CPU, what the guest gave back and got anew meanwhile: there the device
 * has seen the page of before.
 */
static struct ovm_error *copy_again(struct cuda_copy *copy)
{
	const struct ovm_copy_request *request = copy->request;
	struct ovm_copy_request again = *request;
	_cleanup_free_ struct ovm_copy_run *runs = NULL;
	size_t nr = 0, max = 0;

	if (ovm_mapping_holds_all(copy->cuda->mapping))
		return NULL;
	for (size_t i = 0; i < request->nr_copies; i++)
		max += (request->copies[i].nr_pages << OVM_PAGE_SHIFT) / AGAIN_SIZE + 1;
	runs = calloc(max ? max : 1, sizeof(*runs));
	if (!runs)
		return ovm_error_no_memory();
	for (size_t i = 0; i < request->nr_copies; i++) {
		const struct ovm_copy_run *run = &request->copies[i];
		uint64_t step = AGAIN_SIZE >> OVM_PAGE_SHIFT;

		for (uint64_t page = 0; page < run->nr_pages; page += step) {
			uint64_t left = run->nr_pages - page;
			struct ovm_copy_run part = {
				.gpa = run->gpa + (page << OVM_PAGE_SHIFT),
				.nr_pages = left < step ? left : step,
				.offset = run->offset + (page << OVM_PAGE_SHIFT),
			};

			if (!ovm_mapping_holds(copy->cuda->mapping, part.gpa,
					       part.nr_pages << OVM_PAGE_SHIFT))
				runs[nr++] = part;
		}
	}
	again.copies = runs;
	again.nr_copies = nr;
	again.progress = NULL;
	return nr ? ovm_cpu_copy(copy->engine, &again) : NULL;
}

static struct ovm_error *copy_run(struct cuda_copy *copy)
{
	copy->nr_chunks = ovm_plan_chunks(copy->request, NULL);
	copy->chunks = calloc(copy->nr_chunks ? copy->nr_chunks : 1, sizeof(*copy->chunks));
	if (!copy->chunks)
		return ovm_error_no_memory();
	ovm_plan_chunks(copy->request, copy->chunks);
	for (size_t i = 0; i < copy->nr_chunks; i++)
		copy->total += copy->chunks[i].nr_pages << OVM_PAGE_SHIFT;

	const struct ovm_pool_job job = {
		.nr = copy->nr_chunks,
		.run = copy_chunk,
		.arg = copy,
		.poll = copy_poll,
		.poll_arg = copy,
	};
	struct ovm_error *err = ovm_pool_run(copy->engine->pool, &job);
	struct ovm_error *last = finish_all(copy, !err);

	if (err)
		ovm_error_free(last);
	else
		err = last;
	if (!err)
		err = copy_again(copy);
	if (!err && copy->request->progress)
		copy->request->progress(copy->request->arg, copy->total, copy->total);
	return err;
}

struct ovm_error *ovm_cuda_copy(struct ovm_engine *engine, const struct ovm_copy_request *request)
{
	struct ovm_copy_request smaller = *request;
	struct cuda_copy copy = {
		.request = &smaller,
		.engine = engine,
		.cuda = engine->state,
	};
	bool changed;
	struct ovm_error *err = ovm_mapping_refresh(copy.cuda->mapping, &changed);

	if (smaller.chunk > MAX_CHUNK)
		smaller.chunk = MAX_CHUNK;
	if (!err)
		err = prepare(engine, smaller.chunk);
	if (!err)
		err = copy_run(&copy);
	free(copy.chunks);
	if (!err || err->code != OVM_ERROR_NO_MEMORY)
		return err;
	/* The CPU needs none. */
	ovm_error_free(err);
	ovm_cuda_copy_deinit(copy.cuda);
	return ovm_cpu_copy(engine, request);
}
