// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packing on a device.
 *
 * Batches of chunks go through a ring of slots, each a step further at a time:
 *
 *	gather    guest RAM -> device memory; which pages are zero, and hashes
 *	compress  what the chunks were cut into, by what the step before has found out
 *	compact   to where the sizes say; then into pinned memory
 *	write
 *
 * so that the device has work of three batches while one is written. Lists and what is found
 * out are small and stay in pinned memory, which kernels reach. All of this is one thread's, the
 * caller's: chunks are placed in order anyway, and most of the time goes by on the device.
 *
 * Pages that the device can't read in place are read into pinned memory first; so is a batch of
 * which the guest turned out to have given something back, where the device has seen the
 * page of before.
 */
#include <stdlib.h>
#include <string.h>

#include "../vmi/cleanup.h"
#include "compact.h"
#include "cuda.h"
#include "gather.h"
#include "packing.h"

enum {
	NR_SLOTS = 4,
	/* Pages of a batch: several thousand blocks keep a device busy. */
	BATCH_PAGES = 4096,
	MAX_BATCH = BATCH_PAGES / OVM_PACKING_CHUNK_PAGES,
	/* The share of the device's free memory that may be used. */
	MEMORY_PART = 4,
	/* Most bytes of an item to compact, so that many blocks share long ones. */
	ITEM_SIZE = OVM_PAGE_SIZE,
};

/* Lists in pinned memory, by their addresses here or there. */
struct lists {
	uint64_t *sources;
	struct ovm_page_hash *hashes;
	struct ovm_compact_item *items;
	struct ovm_lz4_block *blocks;
	uint32_t *sizes;
	uint8_t *zero;
};

struct slot {
	struct ovm_stream *stream;
	/* Device memory: pages, compressed blocks where their pages would be, what is written. */
	uint8_t *pages;
	uint8_t *encoded;
	uint8_t *compacted;
	/* Pinned: what is written; pages that the device can't read, allocated for the first. */
	uint8_t *output;
	uint8_t *staged, *device_staged;
	void *pinned_lists;
	struct lists host, device;
	/* The batch: its first chunk, and how many there are. */
	const struct ovm_packing_chunk *chunks;
	uint32_t nr_chunks;
	struct ovm_packing_work works[MAX_BATCH];
	/* The number of each chunk's first page in the batch; one more for all. */
	uint32_t first[MAX_BATCH + 1];
	uint64_t bytes;
};

/* What packing keeps, from one time to the next. */
struct ovm_cuda_pack {
	/* What the slots are made for: chunks of a batch, pages of a chunk, bytes of output. */
	uint32_t batch;
	uint32_t max_pages;
	size_t output;
	struct slot slots[NR_SLOTS];
	size_t nr_slots;
	/* The key, in pinned memory, and as kernels see it. */
	void *key;
	const struct ovm_hash_key *device_key;
};

struct cuda_pack {
	struct ovm_engine *engine;
	struct ovm_cuda *cuda;
	const struct ovm_device_ops *ops;
	const struct ovm_pack_request *request;
	struct ovm_packing packing;
	/* As kernels see it; NULL: no hashes. */
	const struct ovm_hash_key *device_key;
	/* Chunks of a batch, but for the last one. */
	uint32_t batch;
	size_t nr_batches;
	struct slot *slots;
	uint64_t done;
};

/* Take @nr entries of @size bytes; with @base NULL, only count. */
static void *take(uint8_t *base, size_t *used, size_t nr, size_t size)
{
	void *data = base ? base + *used : NULL;

	*used += (nr * size + 15) / 16 * 16;
	return data;
}

/* Divide pinned memory among lists; returns the size of all. */
static size_t lists_init(struct lists *lists, void *base, size_t nr_pages)
{
	size_t used = 0;

	lists->sources = take(base, &used, nr_pages, sizeof(*lists->sources));
	lists->hashes = take(base, &used, nr_pages, sizeof(*lists->hashes));
	lists->items = take(base, &used, nr_pages, sizeof(*lists->items));
	lists->blocks = take(base, &used, nr_pages, sizeof(*lists->blocks));
	lists->sizes = take(base, &used, nr_pages, sizeof(*lists->sizes));
	lists->zero = take(base, &used, nr_pages, sizeof(*lists->zero));
	return used;
}

static struct ovm_error *alloc_pinned(struct ovm_cuda *cuda, size_t size, void *ret,
				      void *ret_device)
{
	void *host, *device;
	struct ovm_error *err = cuda->ops->alloc_pinned(cuda->device, size, -1, &host, &device);

	if (err)
		return err;
	memcpy(ret, &host, sizeof(host));
	memcpy(ret_device, &device, sizeof(device));
	return NULL;
}

static struct ovm_error *alloc(struct ovm_cuda *cuda, size_t size, uint8_t **ret)
{
	void *memory;
	struct ovm_error *err = cuda->ops->alloc(cuda->device, size, &memory);

	*ret = err ? NULL : memory;
	return err;
}

static struct ovm_error *slot_init(struct ovm_cuda *cuda, const struct ovm_cuda_pack *kept,
				   const struct ovm_packing *packing, struct slot *slot)
{
	size_t nr_pages = (size_t)kept->batch * kept->max_pages;
	size_t bytes = nr_pages << OVM_PAGE_SHIFT;
	void *device;
	struct ovm_error *err = cuda->ops->stream_create(cuda->device, &slot->stream);

	for (uint32_t i = 0; i < kept->batch && !err; i++)
		err = ovm_packing_work_init(&slot->works[i], packing);
	if (!err)
		err = alloc(cuda, bytes, &slot->pages);
	if (!err)
		err = alloc(cuda, bytes, &slot->encoded);
	if (!err)
		err = alloc(cuda, kept->output, &slot->compacted);
	if (!err)
		/* Padding comes back with the rest, though nobody has written it. */
		err = cuda->ops->fill(slot->stream, slot->compacted, 0, kept->output);
	if (!err)
		err = alloc_pinned(cuda, kept->output, &slot->output, &device);
	if (!err)
		err = alloc_pinned(cuda, lists_init(&slot->host, NULL, nr_pages),
				   &slot->pinned_lists, &device);
	if (err)
		return err;
	lists_init(&slot->host, slot->pinned_lists, nr_pages);
	lists_init(&slot->device, device, nr_pages);
	return NULL;
}

static void slot_deinit(struct ovm_cuda *cuda, struct slot *slot)
{
	struct ovm_device *device = cuda->device;

	/* Waits for what is on its way. */
	cuda->ops->stream_destroy(slot->stream);
	cuda->ops->free(device, slot->pages);
	cuda->ops->free(device, slot->encoded);
	cuda->ops->free(device, slot->compacted);
	cuda->ops->free_pinned(device, slot->output);
	cuda->ops->free_pinned(device, slot->staged);
	cuda->ops->free_pinned(device, slot->pinned_lists);
	for (size_t i = 0; i < MAX_BATCH; i++)
		ovm_packing_work_deinit(&slot->works[i]);
}

void ovm_cuda_pack_deinit(struct ovm_cuda *cuda)
{
	struct ovm_cuda_pack *kept = ovm_take_pointer(cuda->pack);

	if (!kept)
		return;
	for (size_t i = 0; i < NR_SLOTS; i++)
		slot_deinit(cuda, &kept->slots[i]);
	cuda->ops->free_pinned(cuda->device, kept->key);
	free(kept);
}

/* Make slots; those of before are used again if they are large enough. */
static struct ovm_error *prepare(struct cuda_pack *pack)
{
	struct ovm_cuda *cuda = pack->cuda;
	const struct ovm_packing *packing = &pack->packing;
	size_t nr_slots = pack->nr_batches < NR_SLOTS ? pack->nr_batches : NR_SLOTS;
	size_t bytes = (size_t)pack->batch * packing->max_pages << OVM_PAGE_SHIFT;
	struct ovm_cuda_pack *kept = cuda->pack;
	struct ovm_error *err = NULL;

	/* Padding comes before whole pages only. */
	if (pack->request->align)
		bytes *= 2;
	if (!kept || kept->batch < pack->batch || kept->max_pages != packing->max_pages ||
	    kept->output < bytes) {
		ovm_cuda_pack_deinit(cuda);
		kept = cuda->pack = calloc(1, sizeof(*kept));
		if (!kept)
			return ovm_error_no_memory();
		kept->batch = pack->batch;
		kept->max_pages = packing->max_pages;
		kept->output = bytes;
		err = alloc_pinned(cuda, sizeof(struct ovm_hash_key), &kept->key,
				   &kept->device_key);
	}
	while (kept->nr_slots < nr_slots && !err)
		err = slot_init(cuda, kept, packing, &kept->slots[kept->nr_slots++]);
	if (err) {
		ovm_cuda_pack_deinit(cuda);
		return err;
	}
	if (packing->key) {
		memcpy(kept->key, packing->key, sizeof(*packing->key));
		pack->device_key = kept->device_key;
	}
	pack->slots = kept->slots;
	return NULL;
}

/* Read pages that the device can't into the places of a slot's staging memory. */
static struct ovm_error *stage(struct cuda_pack *pack, struct slot *slot, uint64_t gpa,
			       uint32_t page, size_t len)
{
	struct ovm_error *err = NULL;

	if (!slot->staged)
		err = alloc_pinned(pack->cuda,
				   (size_t)pack->cuda->pack->batch * pack->packing.max_pages
					   << OVM_PAGE_SHIFT,
				   &slot->staged, &slot->device_staged);
	return err ? err
		   : ovm_memory_read(pack->engine->memory, gpa,
				     slot->staged + ((size_t)page << OVM_PAGE_SHIFT), len);
}

/*
 * Find the sources of @len bytes, the first of which are page @page of the batch; not in guest RAM
 * if @again.
 */
static struct ovm_error *find_sources(struct cuda_pack *pack, struct slot *slot, uint64_t gpa,
				      uint32_t page, size_t len, bool again)
{
	while (len) {
		const uint8_t *device = NULL;
		size_t n = again ? len : ovm_mapping_find(pack->cuda->mapping, gpa, len, &device);

		if (!device) {
			struct ovm_error *err = stage(pack, slot, gpa, page, n);

			if (err)
				return err;
			device = slot->device_staged + ((size_t)page << OVM_PAGE_SHIFT);
		}
		for (size_t i = 0; i < n; i += OVM_PAGE_SIZE)
			slot->host.sources[page++] = (uint64_t)(uintptr_t)(device + i);
		gpa += n;
		len -= n;
	}
	return NULL;
}

/* Where a chunk's pages are, piece by piece. */
struct position {
	const struct ovm_copy_run *copy;
	uint64_t skip;
	uint32_t page;
};

static struct position first_piece(const struct cuda_pack *pack,
				   const struct ovm_packing_chunk *chunk)
{
	return (struct position){&pack->request->copies[chunk->copy], chunk->copy_skip, 0};
}

/* Go on to the next piece: *@len bytes at *@gpa, before page at->page; false at the end. */
static bool next_piece(const struct ovm_packing_chunk *chunk, struct position *at, uint64_t *gpa,
		       size_t *len)
{
	uint64_t left = chunk->nr_pages - at->page;
	uint64_t nr;

	if (!left)
		return false;
	nr = at->copy->nr_pages - at->skip;
	if (nr > left)
		nr = left;
	*gpa = at->copy->gpa + (at->skip << OVM_PAGE_SHIFT);
	*len = nr << OVM_PAGE_SHIFT;
	at->page += (uint32_t)nr;
	at->copy++;
	at->skip = 0;
	return true;
}

/* Whether the device has seen what the guest has there: all of the batch, and nothing else. */
static bool batch_holds(const struct cuda_pack *pack, const struct slot *slot)
{
	const struct ovm_mapping *mapping = pack->cuda->mapping;
	/* Pieces that are adjacent, and not asked for yet. */
	uint64_t start = 0, end = 0, gpa;
	size_t len;

	if (ovm_mapping_unchanged(mapping))
		return true;
	for (uint32_t i = 0; i < slot->nr_chunks; i++) {
		struct position at = first_piece(pack, &slot->chunks[i]);

		while (next_piece(&slot->chunks[i], &at, &gpa, &len)) {
			if (gpa != end) {
				if (!ovm_mapping_is_present(mapping, start, end - start))
					return false;
				start = gpa;
			}
			end = gpa + len;
		}
	}
	return ovm_mapping_is_present(mapping, start, end - start);
}

/* Find the sources of a chunk that begins with page @first of the batch. */
static struct ovm_error *find_chunk(struct cuda_pack *pack, struct slot *slot,
				    const struct ovm_packing_chunk *chunk, uint32_t first,
				    bool again)
{
	struct position at = first_piece(pack, chunk);
	struct ovm_error *err = NULL;
	uint32_t page = 0;
	uint64_t gpa;
	size_t len;

	while (!err && next_piece(chunk, &at, &gpa, &len)) {
		err = find_sources(pack, slot, gpa, first + page, len, again);
		page = at.page;
	}
	return err;
}

/* The first step, or that step once more. */
static struct ovm_error *gather(struct cuda_pack *pack, struct slot *slot, bool again)
{
	struct ovm_error *err = NULL;
	uint32_t nr_pages = 0;

	for (uint32_t i = 0; i < slot->nr_chunks && !err; i++) {
		slot->first[i] = nr_pages;
		err = find_chunk(pack, slot, &slot->chunks[i], nr_pages, again);
		nr_pages += slot->chunks[i].nr_pages;
	}
	slot->first[slot->nr_chunks] = nr_pages;
	if (err)
		return err;

	const struct ovm_gather_args sources = {
		.from = slot->device.sources,
		.to = slot->pages,
	};
	const struct ovm_classify_args classify = {
		.pages = slot->pages,
		.key = pack->device_key,
		.zero = slot->device.zero,
		.hashes = slot->device.hashes,
	};

	err = pack->ops->launch(slot->stream, OVM_KERNEL_GATHER, nr_pages, &sources,
				sizeof(sources));
	return err ? err
		   : pack->ops->launch(slot->stream, OVM_KERNEL_CLASSIFY, nr_pages, &classify,
				       sizeof(classify));
}

/* Cut a chunk by what the device said of its pages; returns how many blocks are listed then. */
static uint32_t cut_chunk(struct cuda_pack *pack, struct slot *slot, uint32_t i, uint32_t nr)
{
	const struct ovm_packing_chunk *chunk = &slot->chunks[i];
	struct ovm_packing_work *work = &slot->works[i];
	uint32_t first = slot->first[i];

	memcpy(work->zero, slot->host.zero + first, chunk->nr_pages);
	if (pack->packing.key)
		memcpy(work->hashes, slot->host.hashes + first,
		       chunk->nr_pages * sizeof(*work->hashes));
	ovm_packing_cut(&pack->packing, chunk, work);
	for (uint32_t j = 0; j < work->nr_blocks; j++) {
		if (!work->sizes[j])
			continue;
		slot->host.blocks[nr].first = first + work->blocks[j].first;
		slot->host.blocks[nr++].nr_pages = work->blocks[j].nr_pages;
	}
	return nr;
}

/* The second step. */
static struct ovm_error *compress(struct cuda_pack *pack, struct slot *slot)
{
	struct ovm_error *err = pack->ops->wait(slot->stream);
	uint32_t nr = 0;

	if (!err && !batch_holds(pack, slot)) {
		err = gather(pack, slot, true);
		if (!err)
			err = pack->ops->wait(slot->stream);
	}
	if (err)
		return err;
	for (uint32_t i = 0; i < slot->nr_chunks; i++)
		nr = cut_chunk(pack, slot, i, nr);

	const struct ovm_compress_args args = {
		.pages = slot->pages,
		.blocks = slot->device.blocks,
		.nr = nr,
		.acceleration = pack->request->acceleration,
		.out = slot->encoded,
		.sizes = slot->device.sizes,
	};

	if (!nr)
		return NULL;
	return pack->ops->launch(slot->stream, OVM_KERNEL_COMPRESS,
				 (nr + OVM_COMPRESS_BLOCKS - 1) / OVM_COMPRESS_BLOCKS, &args,
				 sizeof(args));
}

/* Add items for bytes that go behind those of before. */
static uint32_t add_items(struct slot *slot, uint32_t nr, const uint8_t *from, uint64_t size)
{
	for (uint64_t done = 0; done < size; done += ITEM_SIZE) {
		struct ovm_compact_item *item = &slot->host.items[nr++];

		item->from = from + done;
		item->to = slot->bytes + done;
		item->size = size - done < ITEM_SIZE ? size - done : ITEM_SIZE;
	}
	slot->bytes += size;
	return nr;
}

/* List what of a chunk is to be written; returns how many items there are then. */
static uint32_t list_chunk(struct slot *slot, uint32_t i, uint32_t nr)
{
	const struct ovm_packing_work *work = &slot->works[i];
	size_t start = (size_t)slot->first[i] << OVM_PAGE_SHIFT;

	for (uint32_t j = 0; j < work->nr_pieces; j++) {
		const struct ovm_pack_piece *piece = &work->pieces[j];

		slot->bytes += work->padding[j];
		if (piece->how == OVM_PACKED_RAW)
			nr = add_items(slot, nr,
				       slot->pages + start + (piece->page << OVM_PAGE_SHIFT),
				       piece->nr_pages << OVM_PAGE_SHIFT);
		for (uint64_t k = 0; k < piece->nr_blocks; k++) {
			const struct ovm_lz4_block *block = &work->blocks[piece->first_block + k];
			uint32_t size = work->sizes[piece->first_block + k];
			bool raw = size == block->nr_pages << OVM_PAGE_SHIFT;

			nr = add_items(slot, nr,
				       (raw ? slot->pages : slot->encoded) + start +
					       ((size_t)block->first << OVM_PAGE_SHIFT),
				       size);
		}
	}
	return nr;
}

/* Place a batch by the sizes of its blocks. */
static struct ovm_error *place(struct cuda_pack *pack, struct slot *slot)
{
	struct ovm_error *err = NULL;
	uint32_t nr = 0;

	for (uint32_t i = 0; i < slot->nr_chunks && !err; i++) {
		struct ovm_packing_work *work = &slot->works[i];

		for (uint32_t j = 0; j < work->nr_blocks; j++) {
			if (work->sizes[j])
				work->sizes[j] = slot->host.sizes[nr++];
		}
		err = ovm_packing_place(&pack->packing, &slot->chunks[i], work);
	}
	return err;
}

/* The third step. */
static struct ovm_error *compact(struct cuda_pack *pack, struct slot *slot)
{
	struct ovm_error *err = pack->ops->wait(slot->stream);
	uint32_t nr = 0;

	if (!err)
		err = place(pack, slot);
	if (err)
		return err;
	slot->bytes = 0;
	for (uint32_t i = 0; i < slot->nr_chunks; i++)
		nr = list_chunk(slot, i, nr);

	const struct ovm_compact_args args = {
		.items = slot->device.items,
		.to = slot->compacted,
	};

	if (!nr)
		return NULL;
	err = pack->ops->launch(slot->stream, OVM_KERNEL_COMPACT, nr, &args, sizeof(args));
	return err ? err
		   : pack->ops->copy(slot->stream, slot->output, slot->compacted, slot->bytes);
}

/* What was not copied between the pieces of a chunk is padding; returns where the chunk ends. */
static uint64_t clear_padding(struct slot *slot, const struct ovm_packing_work *work, uint64_t at)
{
	for (uint32_t i = 0; i < work->nr_pieces; i++) {
		const struct ovm_pack_piece *piece = &work->pieces[i];

		memset(slot->output + at, 0, work->padding[i]);
		at += work->padding[i];
		if (piece->how == OVM_PACKED_RAW)
			at += piece->nr_pages << OVM_PAGE_SHIFT;
		for (uint64_t j = piece->first_block; j < piece->first_block + piece->nr_blocks;
		     j++)
			at += work->sizes[j];
	}
	return at;
}

/* The last step. The chunks of a batch follow each other in the sink, too. */
static struct ovm_error *write_out(struct cuda_pack *pack, struct slot *slot)
{
	struct ovm_error *err = pack->ops->wait(slot->stream);
	uint64_t at = 0;

	if (err)
		return err;
	pack->done += slot->first[slot->nr_chunks];
	if (!slot->bytes)
		return NULL;
	for (uint32_t i = 0; i < slot->nr_chunks && pack->request->align; i++)
		at = clear_padding(slot, &slot->works[i], at);

	const struct iovec iov = {.iov_base = slot->output, .iov_len = slot->bytes};

	return ovm_page_sink_write(pack->request->sink, &iov, 1, slot->works[0].offset);
}

static struct ovm_error *poll(const struct cuda_pack *pack)
{
	const struct ovm_pack_request *request = pack->request;

	if (request->progress)
		request->progress(request->arg, pack->done << OVM_PAGE_SHIFT,
				  pack->packing.nr_pages << OVM_PAGE_SHIFT);
	if (request->cancelled && request->cancelled(request->arg))
		return ovm_error_format(OVM_ERROR_CANCELLED, "stopped on request");
	return NULL;
}

static struct ovm_error *begin(struct cuda_pack *pack, size_t i)
{
	struct slot *slot = &pack->slots[i % NR_SLOTS];
	size_t first = i * pack->batch, left = pack->packing.nr_chunks - first;

	slot->chunks = &pack->packing.chunks[first];
	slot->nr_chunks = left < pack->batch ? (uint32_t)left : pack->batch;
	return gather(pack, slot, false);
}

/* Begin batch @i, and let those before it go a step further. */
static struct ovm_error *step(struct cuda_pack *pack, size_t i)
{
	size_t nr = pack->nr_batches;
	struct ovm_error *err = i < nr ? begin(pack, i) : NULL;

	if (!err && i >= 1 && i - 1 < nr)
		err = compress(pack, &pack->slots[(i - 1) % NR_SLOTS]);
	if (!err && i >= 2 && i - 2 < nr)
		err = compact(pack, &pack->slots[(i - 2) % NR_SLOTS]);
	if (!err && i >= 3 && i - 3 < nr)
		err = write_out(pack, &pack->slots[(i - 3) % NR_SLOTS]);
	return err;
}

/* As many chunks as keep the device busy, if they take no more than a part of its memory. */
static struct ovm_error *choose_batch(struct cuda_pack *pack)
{
	size_t nr = pack->packing.nr_chunks, batch = BATCH_PAGES / pack->packing.max_pages;
	struct ovm_device_info info;
	struct ovm_error *err = pack->ops->info(pack->cuda->device, &info);

	if (err)
		return err;

	/* Slots have up to four times the bytes of a batch. */
	uint64_t chunk = (uint64_t)pack->packing.max_pages << (OVM_PAGE_SHIFT + 2);
	uint64_t fit = info.free_memory / MEMORY_PART / NR_SLOTS / chunk;

	batch = batch < fit ? batch : fit;
	batch = batch < nr ? batch : nr;
	pack->batch = batch ? (uint32_t)batch : 1;
	pack->nr_batches = (nr + pack->batch - 1) / pack->batch;
	return NULL;
}

static struct ovm_error *pack_run(struct cuda_pack *pack, struct ovm_pack_result **ret)
{
	struct ovm_error *err = ovm_packing_init(&pack->packing, pack->request);

	if (err)
		return err;
	err = choose_batch(pack);
	if (!err)
		err = prepare(pack);
	for (size_t i = 0; i < pack->nr_batches + NR_SLOTS - 1 && !err; i++) {
		err = poll(pack);
		if (!err)
			err = step(pack, i);
	}
	if (!err)
		err = ovm_packing_finish(&pack->packing, pack->engine, ret);
	if (!err && pack->request->progress)
		pack->request->progress(pack->request->arg, pack->done << OVM_PAGE_SHIFT,
					pack->packing.nr_pages << OVM_PAGE_SHIFT);
	return err;
}

/* What is still on its way has to arrive, whatever it is worth. */
static void abandon(struct ovm_cuda *cuda)
{
	for (size_t i = 0; cuda->pack && i < cuda->pack->nr_slots; i++) {
		if (cuda->pack->slots[i].stream)
			ovm_error_free(cuda->ops->wait(cuda->pack->slots[i].stream));
	}
}

/* Whether there may be blocks that are better left to the CPU. */
static bool has_large_blocks(const struct ovm_cuda *cuda, const struct ovm_pack_request *request)
{
	if (request->block_pages <= cuda->max_block_pages)
		return false;
	for (size_t i = 0; i < request->nr_extents; i++) {
		if (request->extents[i].ops & OVM_PACK_LZ4)
			return true;
	}
	return false;
}

struct ovm_error *ovm_cuda_pack(struct ovm_engine *engine, const struct ovm_pack_request *request,
				struct ovm_pack_result **ret)
{
	struct cuda_pack pack = {
		.engine = engine,
		.cuda = engine->state,
		.ops = engine->device->ops,
		.request = request,
	};
	bool changed;

	if (has_large_blocks(pack.cuda, request))
		return ovm_cpu_pack(engine, request, ret);

	struct ovm_error *err = ovm_mapping_refresh(pack.cuda->mapping, &changed);

	if (!err)
		err = pack_run(&pack, ret);
	if (err)
		abandon(pack.cuda);
	ovm_packing_deinit(&pack.packing);
	if (!err || err->code != OVM_ERROR_NO_MEMORY)
		return err;
	/* Of the device, most likely, and the CPU needs none of that. */
	ovm_error_free(err);
	ovm_cuda_pack_deinit(pack.cuda);
	return ovm_cpu_pack(engine, request, ret);
}
