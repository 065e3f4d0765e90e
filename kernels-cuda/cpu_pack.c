// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packing on CPU cores.
 *
 * Workers take chunks by rising index. Each copies its pages, since a guest may
 * change them, and finds out what becomes of them and how large they get; then it waits
 * until the chunks before are placed, places its own, and writes while others go on. A
 * chunk that is waited for has been taken, so none waits for one that nobody works on.
 */
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#ifdef OVM_HAVE_LZ4
#include <lz4.h>
#endif

#include "backend.h"
#include "packing.h"
#include "placement.h"

enum {
	READ_SIZE = 16 << 10,
};

struct worker {
	/* The pages of a chunk, and its compressed blocks, each where its pages would be. */
	uint8_t *in;
	uint8_t *out;
	struct ovm_packing_work work;
	struct iovec iov[IOV_MAX];
	int nr_iov;
	/* Bytes in iov, and where they go. */
	uint64_t pending;
	uint64_t offset;
#ifdef OVM_HAVE_LZ4
	LZ4_stream_t lz4;
#else
	uint16_t lz4[OVM_LZ4_TABLE];
#endif
};

struct cpu_pack {
	struct ovm_engine *engine;
	const struct ovm_pack_request *request;
	struct ovm_packing packing;
	struct worker **workers;
	/* Pages that are written or left out. */
	atomic_uint_fast64_t done;
	pthread_mutex_t lock;
	pthread_cond_t placed;
	/* Under the lock: the chunk that is to be placed next; a chunk has failed. */
	size_t turn;
	bool failed;
};

static size_t buffer_size(const struct cpu_pack *pack)
{
	return (size_t)pack->packing.max_pages << OVM_PAGE_SHIFT;
}

static void worker_free(const struct cpu_pack *pack, struct worker *worker)
{
	if (!worker)
		return;
	ovm_placement_free(worker->in, buffer_size(pack));
	ovm_placement_free(worker->out, buffer_size(pack));
	ovm_packing_work_deinit(&worker->work);
	free(worker);
}

/* The state of a worker, made by itself when it first does something. */
static struct ovm_error *worker_get(struct cpu_pack *pack, unsigned int index, struct worker **ret)
{
	int node = ovm_pool_node(pack->engine->pool, index);

	*ret = pack->workers[index];
	if (*ret)
		return NULL;
	*ret = pack->workers[index] = calloc(1, sizeof(**ret));
	if (!*ret)
		return ovm_error_no_memory();
	(*ret)->in = ovm_placement_alloc(buffer_size(pack), node);
	(*ret)->out = ovm_placement_alloc(buffer_size(pack), node);
	if (!(*ret)->in || !(*ret)->out)
		return ovm_error_no_memory();
	return ovm_packing_work_init(&(*ret)->work, &pack->packing);
}

/* Find out about @nr pages of a chunk from page @first on. */
static void classify(struct cpu_pack *pack, struct worker *worker, uint32_t first, uint32_t nr)
{
	for (uint32_t i = first; i < first + nr; i++) {
		const void *page = worker->in + ((size_t)i << OVM_PAGE_SHIFT);
		bool zero = ovm_page_is_zero(page);

		worker->work.zero[i] = zero;
		if (pack->packing.key && zero)
			worker->work.hashes[i] = pack->packing.zero_hash;
		else if (pack->packing.key)
			worker->work.hashes[i] = ovm_cpu_hash_page(pack->packing.key, page);
	}
}

/* Read a piece of RAM that begins with page @page of a chunk, and classify its pages. */
static struct ovm_error *read_piece(struct cpu_pack *pack, struct worker *worker, uint32_t page,
				    uint64_t gpa, size_t len)
{
	while (len) {
		uint8_t *to = worker->in + ((size_t)page << OVM_PAGE_SHIFT);
		const uint8_t *map;
		/* As much as the nearest cache holds until it is classified. */
		size_t n = ovm_source_find(pack->engine->source, gpa,
					   len < READ_SIZE ? len : READ_SIZE, &map);

		if (map) {
			memcpy(to, map, n);
		} else {
			struct ovm_error *err = ovm_memory_read(pack->engine->memory, gpa, to, n);

			if (err)
				return err;
		}
		classify(pack, worker, page, (uint32_t)(n >> OVM_PAGE_SHIFT));
		page += (uint32_t)(n >> OVM_PAGE_SHIFT);
		gpa += n;
		len -= n;
	}
	return NULL;
}

static struct ovm_error *read_chunk(struct cpu_pack *pack, struct worker *worker,
				    const struct ovm_packing_chunk *chunk)
{
	const struct ovm_copy_run *copy = &pack->request->copies[chunk->copy];
	struct ovm_error *err = NULL;
	uint64_t skip = chunk->copy_skip;
	uint64_t nr;

	for (uint32_t i = 0; i < chunk->nr_pages && !err; i += (uint32_t)nr, copy++, skip = 0) {
		nr = copy->nr_pages - skip;
		if (nr > chunk->nr_pages - i)
			nr = chunk->nr_pages - i;
		err = read_piece(pack, worker, i, copy->gpa + (skip << OVM_PAGE_SHIFT),
				 nr << OVM_PAGE_SHIFT);
	}
	return err;
}

/* Encode a block; 0 if that isn't worth it. */
static uint32_t encode(struct worker *worker, const uint8_t *in, uint32_t bytes, uint8_t *out,
		       uint32_t worth, uint32_t acceleration)
{
#ifdef OVM_HAVE_LZ4
	return (uint32_t)LZ4_compress_fast_extState(&worker->lz4, (const char *)in, (char *)out,
						    (int)bytes, (int)worth, (int)acceleration);
#else
	memset(worker->lz4, 0, sizeof(worker->lz4));
	return ovm_lz4_encode(in, bytes, out, worth, worker->lz4, acceleration);
#endif
}

static void compress(struct cpu_pack *pack, struct worker *worker)
{
	struct ovm_packing_work *work = &worker->work;

	for (uint32_t i = 0; i < work->nr_blocks; i++) {
		size_t offset = (size_t)work->blocks[i].first << OVM_PAGE_SHIFT;

		if (!work->sizes[i])
			continue;

		uint32_t size = encode(
			worker, worker->in + offset, work->sizes[i], worker->out + offset,
			ovm_lz4_worth(work->blocks[i].nr_pages), pack->request->acceleration);

		if (size)
			work->sizes[i] = size;
	}
}

static struct ovm_error *flush(struct cpu_pack *pack, struct worker *worker)
{
	struct ovm_error *err = NULL;

	if (worker->nr_iov)
		err = ovm_page_sink_write(pack->request->sink, worker->iov, worker->nr_iov,
					  worker->offset);
	worker->offset += worker->pending;
	worker->pending = 0;
	worker->nr_iov = 0;
	return err;
}

static struct ovm_error *put(struct cpu_pack *pack, struct worker *worker, const uint8_t *data,
			     size_t len)
{
	struct iovec *last = worker->nr_iov ? &worker->iov[worker->nr_iov - 1] : NULL;

	if (!len)
		return NULL;
	worker->pending += len;
	if (last && (uint8_t *)last->iov_base + last->iov_len == data) {
		last->iov_len += len;
		return NULL;
	}
	worker->iov[worker->nr_iov].iov_base = (void *)(uintptr_t)data;
	worker->iov[worker->nr_iov].iov_len = len;
	worker->nr_iov++;
	return worker->nr_iov == IOV_MAX ? flush(pack, worker) : NULL;
}

static struct ovm_error *put_blocks(struct cpu_pack *pack, struct worker *worker,
				    const struct ovm_pack_piece *piece)
{
	const struct ovm_packing_work *work = &worker->work;
	struct ovm_error *err = NULL;

	for (uint64_t i = piece->first_block; i < piece->first_block + piece->nr_blocks && !err;
	     i++) {
		size_t offset = (size_t)work->blocks[i].first << OVM_PAGE_SHIFT;
		bool raw = work->sizes[i] == work->blocks[i].nr_pages << OVM_PAGE_SHIFT;

		err = put(pack, worker, (raw ? worker->in : worker->out) + offset, work->sizes[i]);
	}
	return err;
}

static struct ovm_error *write_chunk(struct cpu_pack *pack, struct worker *worker)
{
	static const uint8_t zeroes[OVM_PAGE_SIZE];
	const struct ovm_packing_work *work = &worker->work;
	struct ovm_error *err = NULL;

	worker->offset = work->offset;
	for (uint32_t i = 0; i < work->nr_pieces && !err; i++) {
		const struct ovm_pack_piece *piece = &work->pieces[i];

		err = put(pack, worker, zeroes, work->padding[i]);
		if (!err && piece->how == OVM_PACKED_RAW)
			err = put(pack, worker, worker->in + (piece->page << OVM_PAGE_SHIFT),
				  piece->nr_pages << OVM_PAGE_SHIFT);
		else if (!err && piece->how == OVM_PACKED_LZ4)
			err = put_blocks(pack, worker, piece);
	}
	return err ? err : flush(pack, worker);
}

/* Wait until it is a chunk's turn; false when a chunk before has failed. */
static bool wait_turn(struct cpu_pack *pack, size_t index)
{
	while (pack->turn != index && !pack->failed)
		pthread_cond_wait(&pack->placed, &pack->lock);
	return !pack->failed;
}

/*
 * Place a chunk, unless working on it failed with @err; the others learn of either. What failed
 * because another chunk did is no error of its own.
 */
static struct ovm_error *place_chunk(struct cpu_pack *pack, size_t index, struct worker *worker,
				     struct ovm_error *err, bool *placed)
{
	pthread_mutex_lock(&pack->lock);
	if (!err && wait_turn(pack, index)) {
		err = ovm_packing_place(&pack->packing, &pack->packing.chunks[index],
					&worker->work);
		*placed = !err;
		pack->turn++;
	}
	if (err)
		pack->failed = true;
	pthread_cond_broadcast(&pack->placed);
	pthread_mutex_unlock(&pack->lock);
	return err;
}

static struct ovm_error *pack_chunk(void *arg, unsigned int worker_index, size_t index)
{
	struct cpu_pack *pack = arg;
	const struct ovm_packing_chunk *chunk = &pack->packing.chunks[index];
	struct worker *worker;
	struct ovm_error *err = worker_get(pack, worker_index, &worker);
	bool placed = false;

	if (!err)
		err = read_chunk(pack, worker, chunk);
	if (!err) {
		ovm_packing_cut(&pack->packing, chunk, &worker->work);
		compress(pack, worker);
	}
	err = place_chunk(pack, index, worker, err, &placed);
	if (placed)
		err = write_chunk(pack, worker);
	if (placed && !err)
		atomic_fetch_add_explicit(&pack->done, chunk->nr_pages, memory_order_relaxed);
	return err;
}

static bool pack_poll(void *arg)
{
	struct cpu_pack *pack = arg;
	const struct ovm_pack_request *request = pack->request;

	if (request->progress)
		request->progress(request->arg,
				  atomic_load_explicit(&pack->done, memory_order_relaxed)
					  << OVM_PAGE_SHIFT,
				  pack->packing.nr_pages << OVM_PAGE_SHIFT);
	return request->cancelled && request->cancelled(request->arg);
}

static struct ovm_error *pack_run(struct cpu_pack *pack, struct ovm_pack_result **ret)
{
	struct ovm_pool *pool = pack->engine->pool;

	pack->workers = calloc(ovm_pool_nr_threads(pool), sizeof(struct worker *));
	if (!pack->workers)
		return ovm_error_no_memory();

	struct ovm_error *err = ovm_packing_init(&pack->packing, pack->request);

	if (err)
		return err;

	/* Nodes have queues of their own, and chunks have to be taken in order. */
	const struct ovm_pool_job job = {
		.nr = pack->packing.nr_chunks,
		.run = pack_chunk,
		.arg = pack,
		.poll = pack_poll,
		.poll_arg = pack,
	};

	err = ovm_pool_run(pool, &job);
	if (!err)
		err = ovm_packing_finish(&pack->packing, pack->engine, ret);
	if (!err)
		pack_poll(pack);
	return err;
}

struct ovm_error *ovm_cpu_pack(struct ovm_engine *engine, const struct ovm_pack_request *request,
			       struct ovm_pack_result **ret)
{
	struct cpu_pack pack = {
		.engine = engine,
		.request = request,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.placed = PTHREAD_COND_INITIALIZER,
	};

	ovm_source_refresh(engine->source);

	struct ovm_error *err = pack_run(&pack, ret);

	for (unsigned int i = 0; pack.workers && i < ovm_pool_nr_threads(engine->pool); i++)
		worker_free(&pack, pack.workers[i]);
	free(pack.workers);
	ovm_packing_deinit(&pack.packing);
	pthread_cond_destroy(&pack.placed);
	pthread_mutex_destroy(&pack.lock);
	return err;
}
