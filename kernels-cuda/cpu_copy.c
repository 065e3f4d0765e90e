// SPDX-License-Identifier: GPL-2.0-only
/*
 * The copy on CPU cores.
 *
 * What is to be copied is cut into chunks that are contiguous in the sink; workers take
 * chunks in any order, since each knows its offset. A chunk is written with one
 * call, straight from the mapped guest RAM; only what can't be mapped (holes, other
 * processes' memory, files that can only be read) goes through a buffer.
 */
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "../vmi/cleanup.h"
#include "backend.h"
#include "chunks.h"
#include "placement.h"
#include "source.h"

struct worker {
	struct iovec iov[IOV_MAX];
	int nr_iov;
	/* Reads into the buffer that must come before the write. */
	struct ovm_memory_read reads[IOV_MAX];
	size_t nr_reads;
	/* Allocated on first use. */
	uint8_t *buffer;
	size_t used;
	uint64_t offset;
	/* Bytes in iov. */
	size_t pending;
};

struct cpu_copy {
	const struct ovm_copy_request *request;
	struct ovm_engine *engine;
	struct ovm_source *source;
	struct worker *workers;
	struct ovm_chunk *chunks;
	size_t nr_chunks;
	unsigned char *nodes;
	atomic_uint_fast64_t done;
	uint64_t total;
};

/* Write what a worker has gathered. */
static struct ovm_error *flush(struct cpu_copy *cpu, struct worker *worker)
{
	struct ovm_error *err =
		ovm_memory_read_batch(cpu->engine->memory, worker->reads, worker->nr_reads);

	if (!err && worker->nr_iov)
		err = ovm_page_sink_write(cpu->request->sink, worker->iov, worker->nr_iov,
					  worker->offset);
	worker->offset += worker->pending;
	atomic_fetch_add_explicit(&cpu->done, worker->pending, memory_order_relaxed);
	worker->nr_iov = 0;
	worker->nr_reads = 0;
	worker->used = 0;
	worker->pending = 0;
	return err;
}

/* Gather bytes, which continue the last piece or begin one. */
static struct ovm_error *gather(struct cpu_copy *cpu, struct worker *worker, const uint8_t *data,
				size_t len)
{
	struct iovec *last = worker->nr_iov ? &worker->iov[worker->nr_iov - 1] : NULL;

	worker->pending += len;
	if (last && (uint8_t *)last->iov_base + last->iov_len == data) {
		last->iov_len += len;
		return NULL;
	}
	worker->iov[worker->nr_iov].iov_base = (void *)(uintptr_t)data;
	worker->iov[worker->nr_iov].iov_len = len;
	worker->nr_iov++;
	return worker->nr_iov == IOV_MAX ? flush(cpu, worker) : NULL;
}

/* Gather bytes that have to be read into the buffer. */
static struct ovm_error *gather_read(struct cpu_copy *cpu, struct worker *worker,
				     unsigned int worker_index, uint64_t gpa, size_t len)
{
	if (!worker->buffer)
		worker->buffer = ovm_placement_alloc(
			cpu->request->chunk, ovm_pool_node(cpu->engine->pool, worker_index));
	if (!worker->buffer)
		return ovm_error_no_memory();
	if (worker->nr_reads == IOV_MAX) {
		struct ovm_error *err = flush(cpu, worker);

		if (err)
			return err;
	}

	struct ovm_memory_read *read = &worker->reads[worker->nr_reads++];

	read->gpa = gpa;
	read->buf = worker->buffer + worker->used;
	read->len = len;
	worker->used += len;
	return gather(cpu, worker, read->buf, len);
}

static struct ovm_error *copy_piece(struct cpu_copy *cpu, struct worker *worker,
				    unsigned int worker_index, uint64_t gpa, size_t len)
{
	while (len) {
		const uint8_t *map;
		size_t n = ovm_source_find(cpu->source, gpa, len, &map);
		struct ovm_error *err = map ? gather(cpu, worker, map, n)
					    : gather_read(cpu, worker, worker_index, gpa, n);

		if (err)
			return err;
		gpa += n;
		len -= n;
	}
	return NULL;
}

static struct ovm_error *copy_chunk(void *arg, unsigned int worker_index, size_t index)
{
	struct cpu_copy *cpu = arg;
	struct worker *worker = &cpu->workers[worker_index];
	const struct ovm_chunk *chunk = &cpu->chunks[index];
	const struct ovm_copy_run *copy = &cpu->request->copies[chunk->copy];
	uint64_t skip = chunk->skip;
	struct ovm_error *err = NULL;

	worker->offset = chunk->offset;
	for (uint64_t left = chunk->nr_pages; left && !err; copy++, skip = 0) {
		uint64_t nr = copy->nr_pages - skip < left ? copy->nr_pages - skip : left;

		err = copy_piece(cpu, worker, worker_index, copy->gpa + (skip << OVM_PAGE_SHIFT),
				 nr << OVM_PAGE_SHIFT);
		left -= nr;
	}
	return err ? err : flush(cpu, worker);
}

static bool copy_poll(void *arg)
{
	struct cpu_copy *cpu = arg;
	const struct ovm_copy_request *request = cpu->request;

	if (request->progress)
		request->progress(request->arg,
				  atomic_load_explicit(&cpu->done, memory_order_relaxed),
				  cpu->total);
	return request->cancelled && request->cancelled(request->arg);
}

/* Let each chunk be copied where the RAM of its first page is, if that matters. */
static struct ovm_error *plan_nodes(struct cpu_copy *cpu)
{
	if (ovm_pool_node(cpu->engine->pool, 0) < 0)
		return NULL;
	cpu->nodes = calloc(cpu->nr_chunks, sizeof(*cpu->nodes));
	if (!cpu->nodes)
		return ovm_error_no_memory();
	for (size_t i = 0; i < cpu->nr_chunks; i++) {
		const struct ovm_chunk *chunk = &cpu->chunks[i];
		uint64_t gpa =
			cpu->request->copies[chunk->copy].gpa + (chunk->skip << OVM_PAGE_SHIFT);
		int node = ovm_source_node(cpu->source, gpa);

		cpu->nodes[i] = node < 0 ? 0 : (unsigned char)(node % OVM_MAX_NODES);
	}
	return NULL;
}

static struct ovm_error *copy_run(struct cpu_copy *cpu)
{
	cpu->nr_chunks = ovm_plan_chunks(cpu->request, NULL);
	cpu->chunks = calloc(cpu->nr_chunks ? cpu->nr_chunks : 1, sizeof(*cpu->chunks));
	cpu->workers = calloc(ovm_pool_nr_threads(cpu->engine->pool), sizeof(*cpu->workers));
	if (!cpu->chunks || !cpu->workers)
		return ovm_error_no_memory();
	ovm_plan_chunks(cpu->request, cpu->chunks);
	for (size_t i = 0; i < cpu->nr_chunks; i++)
		cpu->total += cpu->chunks[i].nr_pages << OVM_PAGE_SHIFT;

	struct ovm_error *err = plan_nodes(cpu);

	if (err)
		return err;

	const struct ovm_pool_job job = {
		.nr = cpu->nr_chunks,
		.nodes = cpu->nodes,
		.run = copy_chunk,
		.arg = cpu,
		.poll = copy_poll,
		.poll_arg = cpu,
	};

	err = ovm_pool_run(cpu->engine->pool, &job);
	if (!err && cpu->request->progress)
		cpu->request->progress(cpu->request->arg, cpu->total, cpu->total);
	return err;
}

struct ovm_error *ovm_cpu_copy(struct ovm_engine *engine, const struct ovm_copy_request *request)
{
	struct cpu_copy cpu = {
		.request = request,
		.engine = engine,
		.source = engine->source,
	};

	ovm_source_refresh(cpu.source);

	struct ovm_error *err = copy_run(&cpu);

	for (unsigned int i = 0; cpu.workers && i < ovm_pool_nr_threads(engine->pool); i++)
		ovm_placement_free(cpu.workers[i].buffer, request->chunk);
	free(cpu.workers);
	free(cpu.chunks);
	free(cpu.nodes);
	return err;
}

static struct ovm_error *cpu_attach(struct ovm_engine *engine)
{
	(void)engine;
	return NULL;
}

static void cpu_detach(struct ovm_engine *engine)
{
	(void)engine;
}

const struct ovm_engine_backend ovm_backend_cpu = {
	.name = "cpu",
	.attach = cpu_attach,
	.detach = cpu_detach,
	.walk = ovm_cpu_walk,
	.copy = ovm_cpu_copy,
	.pack = ovm_cpu_pack,
};
