// SPDX-License-Identifier: GPL-2.0-only
/*
 * The walk on CPU cores.
 *
 * Each step splits the list of items into chunks. A worker copies a chunk's
 * tables out of guest RAM with one batch of reads, decodes the copies and puts
 * what it found into the chunk's own array; the arrays are then joined in order.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../vmi/cleanup.h"
#include "backend.h"
#include "pagewalk.h"
#include "placement.h"
#include "vmemmap.h"

enum {
	/* Items a chunk: their tables fit into a CPU's second-level cache. */
	CHUNK_ITEMS = 64,
	TABLES_SIZE = CHUNK_ITEMS * OVM_PAGE_SIZE,
	/* What a final entry above level 1 costs of the budget: bounds the list of items. */
	FINAL_ENTRY_COST = 64,
};

static inline bool ovm_walk_load_vmemmap(void *arg, uint64_t va, uint64_t *ret)
{
	return ovm_vmemmap_load(arg, va, ret);
}

static inline void ovm_walk_prefetch_vmemmap(void *arg, uint64_t va)
{
	const uint8_t *data = ovm_vmemmap_cached(arg, va);

	if (data)
		__builtin_prefetch(data);
	/* gcc takes a function that only prefetches for one without effects, and drops its calls.
	 */
	__asm__ volatile("");
}

struct worker {
	/* Copies of the tables of a chunk. */
	uint64_t (*tables)[OVM_TABLE_ENTRIES];
	/* NULL when pages are not classified. */
	struct ovm_vmemmap *vmemmap;
	struct ovm_walk_counts counts;
};

/* What a chunk became: items or runs. */
struct chunk {
	void *data;
	size_t nr;
	size_t cap;
};

struct cpu_walk {
	struct ovm_walk walk;
	const struct ovm_walk_request *request;
	struct ovm_pool *pool;
	const struct ovm_memory *memory;
	struct worker *workers;
	struct ovm_walk_item *items;
	size_t nr_items;
	struct chunk *chunks;
	size_t nr_chunks;
	atomic_uint_fast64_t entries;
	atomic_uint_fast64_t runs;
	/* Most runs while they are cut where chunks meet. */
	uint64_t max_cut_runs;
	uint64_t tables;
};

/* Make room for @more elements, by doubling. */
static struct ovm_error *chunk_reserve(struct chunk *chunk, size_t more, size_t size)
{
	if (chunk->cap - chunk->nr >= more)
		return NULL;

	size_t cap = chunk->cap * 2 > chunk->nr + more ? chunk->cap * 2 : chunk->nr + more;
	void *data = reallocarray(chunk->data, cap, size);

	if (!data)
		return ovm_error_no_memory();
	chunk->data = data;
	chunk->cap = cap;
	return NULL;
}

static struct ovm_error *over_budget(uint64_t max, const char *what)
{
	return ovm_error_format(OVM_ERROR_BUDGET,
				"the process' page tables hold more than %llu %s: they are "
				"damaged, or the limit is too low",
				(unsigned long long)max, what);
}

static struct ovm_error *charge(atomic_uint_fast64_t *used, uint64_t amount, uint64_t max,
				const char *what)
{
	if (atomic_fetch_add_explicit(used, amount, memory_order_relaxed) + amount <= max)
		return NULL;
	return over_budget(max, what);
}

static struct ovm_error *charge_items(struct cpu_walk *cpu, const struct ovm_walk_item *items,
				      size_t nr)
{
	uint64_t entries = 0;

	for (size_t i = 0; i < nr; i++)
		entries +=
			items[i].pte.state == OVM_PTE_TABLE ? OVM_TABLE_ENTRIES : FINAL_ENTRY_COST;
	return charge(&cpu->entries, entries, cpu->request->max_entries, "entries");
}

static size_t chunk_items(const struct cpu_walk *cpu, size_t chunk,
			  const struct ovm_walk_item **ret)
{
	size_t first = chunk * CHUNK_ITEMS;
	size_t left = cpu->nr_items - first;

	*ret = cpu->items + first;
	return left < CHUNK_ITEMS ? left : CHUNK_ITEMS;
}

/* Copy the tables of those items that are tables of at least @min_level. */
static struct ovm_error *load_tables(const struct cpu_walk *cpu, const struct worker *worker,
				     const struct ovm_walk_item *items, size_t nr,
				     unsigned int min_level)
{
	struct ovm_memory_read reads[CHUNK_ITEMS];
	size_t nr_reads = 0;

	for (size_t i = 0; i < nr; i++) {
		if (items[i].pte.state != OVM_PTE_TABLE || items[i].level < min_level)
			continue;
		reads[nr_reads].gpa = items[i].pte.gpa;
		reads[nr_reads].buf = worker->tables[i];
		reads[nr_reads].len = OVM_PAGE_SIZE;
		nr_reads++;
	}
	return ovm_error_prepend(ovm_memory_read_batch(cpu->memory, reads, nr_reads),
				 "can't read the process' page tables");
}

static struct ovm_error *expand_item(struct cpu_walk *cpu, const struct worker *worker,
				     const struct ovm_walk_item *item, size_t index,
				     struct chunk *out)
{
	struct ovm_error *err = chunk_reserve(out, ovm_walk_max_items(&cpu->walk), sizeof(*item));

	if (err)
		return err;

	struct ovm_walk_item *items = (struct ovm_walk_item *)out->data + out->nr;

	if (item->pte.state != OVM_PTE_TABLE || item->level == 1) {
		items[0] = *item;
		out->nr++;
		return NULL;
	}

	uint32_t nr = ovm_walk_expand(&cpu->walk, item, worker->tables[index], items);

	out->nr += nr;
	return charge_items(cpu, items, nr);
}

static struct ovm_error *expand_chunk(void *arg, unsigned int worker_index, size_t index)
{
	struct cpu_walk *cpu = arg;
	const struct worker *worker = &cpu->workers[worker_index];
	const struct ovm_walk_item *items;
	size_t nr = chunk_items(cpu, index, &items);
	struct ovm_error *err = load_tables(cpu, worker, items, nr, 2);

	for (size_t i = 0; i < nr && !err; i++)
		err = expand_item(cpu, worker, &items[i], i, &cpu->chunks[index]);
	return err;
}

/* The runs of an item; those that @builder finishes go into @out. */
static struct ovm_error *emit_item(struct cpu_walk *cpu, struct worker *worker,
				   const struct ovm_walk_item *item, size_t index,
				   struct ovm_run_builder *builder, struct chunk *out)
{
	struct ovm_error *err = chunk_reserve(out, OVM_WALK_MAX_RUNS, sizeof(struct ovm_run));

	if (err)
		return err;
	builder->out = (struct ovm_run *)out->data + out->nr;
	builder->nr = 0;
	ovm_walk_emit(&cpu->walk, worker->vmemmap, item, worker->tables[index], builder);
	out->nr += builder->nr;
	if (worker->vmemmap && worker->vmemmap->err)
		return ovm_error_prepend(ovm_take_pointer(worker->vmemmap->err),
					 "can't read the guest's page descriptors");
	return charge(&cpu->runs, builder->nr, cpu->max_cut_runs, "runs of pages");
}

static void add_counts(struct ovm_walk_counts *sum, const struct ovm_walk_counts *counts)
{
	for (unsigned int i = 0; i < OVM_PAGE_NR_KINDS; i++)
		sum->pages[i] += counts->pages[i];
	sum->prot_none_pages += counts->prot_none_pages;
}

static struct ovm_error *emit_chunk(void *arg, unsigned int worker_index, size_t index)
{
	struct cpu_walk *cpu = arg;
	struct worker *worker = &cpu->workers[worker_index];
	struct chunk *out = &cpu->chunks[index];
	const struct ovm_walk_item *items;
	size_t nr = chunk_items(cpu, index, &items);
	struct ovm_error *err = load_tables(cpu, worker, items, nr, 1);
	struct ovm_run_builder builder = {0};

	for (size_t i = 0; i < nr && !err; i++)
		err = emit_item(cpu, worker, &items[i], i, &builder, out);
	if (!err)
		err = chunk_reserve(out, 1, sizeof(struct ovm_run));
	if (err)
		return err;
	builder.out = (struct ovm_run *)out->data + out->nr;
	builder.nr = 0;
	ovm_run_builder_flush(&builder);
	out->nr += builder.nr;
	add_counts(&worker->counts, &builder.counts);
	return NULL;
}

static void free_chunks(struct cpu_walk *cpu)
{
	for (size_t i = 0; i < cpu->nr_chunks; i++)
		free(cpu->chunks[i].data);
	free(cpu->chunks);
	cpu->chunks = NULL;
	cpu->nr_chunks = 0;
}

/* Run a step over all items; its results are in cpu->chunks. */
static struct ovm_error *run_step(struct cpu_walk *cpu,
				  struct ovm_error *(*step)(void *, unsigned int, size_t))
{
	size_t nr = (cpu->nr_items + CHUNK_ITEMS - 1) / CHUNK_ITEMS;

	cpu->chunks = calloc(nr ? nr : 1, sizeof(*cpu->chunks));
	if (!cpu->chunks)
		return ovm_error_no_memory();
	cpu->nr_chunks = nr;

	const struct ovm_pool_job job = {
		.nr = nr,
		.run = step,
		.arg = cpu,
		.poll = cpu->request->cancelled,
		.poll_arg = cpu->request->arg,
	};

	return ovm_pool_run(cpu->pool, &job);
}

/* Join the chunks' arrays, freeing each as soon as it is copied. */
static struct ovm_error *join_items(struct cpu_walk *cpu)
{
	size_t total = 0;

	for (size_t i = 0; i < cpu->nr_chunks; i++)
		total += cpu->chunks[i].nr;

	struct ovm_walk_item *items = calloc(total ? total : 1, sizeof(*items));

	if (!items)
		return ovm_error_no_memory();
	free(cpu->items);
	cpu->items = items;
	cpu->nr_items = total;
	for (size_t i = 0; i < cpu->nr_chunks; i++) {
		struct chunk *chunk = &cpu->chunks[i];

		if (chunk->nr)
			memcpy(items, chunk->data, chunk->nr * sizeof(*items));
		items += chunk->nr;
		free(ovm_take_pointer(chunk->data));
	}
	return NULL;
}

/* An array of runs; a long one is in huge pages, since faults would cost more than the walk. */
static struct ovm_run *alloc_runs(size_t nr)
{
	const size_t huge = 2 << 20;
	size_t size = nr * sizeof(struct ovm_run);

	if (size < 2 * huge)
		return malloc(size ? size : 1);

	size = (size + huge - 1) / huge * huge;

	struct ovm_run *runs = aligned_alloc(huge, size);

	if (runs)
		madvise(runs, size, MADV_HUGEPAGE);
	return runs;
}

static size_t join_run(struct ovm_run *runs, size_t nr, const struct ovm_run *run)
{
	if (nr && ovm_run_merge(&runs[nr - 1], run))
		return nr;
	runs[nr] = *run;
	return nr + 1;
}

/* Join the chunks' runs; a run that was cut where chunks meet becomes one again. */
static struct ovm_error *join_runs(struct cpu_walk *cpu, struct ovm_walk_result *result)
{
	size_t total = 0;

	for (size_t i = 0; i < cpu->nr_chunks; i++)
		total += cpu->chunks[i].nr;
	result->runs = alloc_runs(total);
	if (!result->runs)
		return ovm_error_no_memory();
	for (size_t i = 0; i < cpu->nr_chunks; i++) {
		struct chunk *chunk = &cpu->chunks[i];
		const struct ovm_run *runs = chunk->data;

		if (!chunk->nr)
			continue;
		result->nr_runs = join_run(result->runs, result->nr_runs, &runs[0]);
		if (chunk->nr > 1)
			memcpy(&result->runs[result->nr_runs], &runs[1],
			       (chunk->nr - 1) * sizeof(*runs));
		result->nr_runs += chunk->nr - 1;
		free(ovm_take_pointer(chunk->data));
	}
	return NULL;
}

static void count_tables(struct cpu_walk *cpu, unsigned int level)
{
	for (size_t i = 0; i < cpu->nr_items; i++)
		cpu->tables +=
			cpu->items[i].pte.state == OVM_PTE_TABLE && cpu->items[i].level == level;
}

static struct ovm_error *walk_run(struct cpu_walk *cpu, struct ovm_walk_result *result)
{
	struct ovm_error *err;

	for (unsigned int level = cpu->request->levels; level > 1; level--) {
		count_tables(cpu, level);
		err = run_step(cpu, expand_chunk);
		if (!err)
			err = join_items(cpu);
		if (err)
			return err;
		free_chunks(cpu);
	}
	count_tables(cpu, 1);
	cpu->max_cut_runs = cpu->request->max_runs + cpu->nr_items;
	if (cpu->max_cut_runs < cpu->nr_items)
		cpu->max_cut_runs = UINT64_MAX;
	err = run_step(cpu, emit_chunk);
	if (!err)
		err = join_runs(cpu, result);
	if (!err && result->nr_runs > cpu->request->max_runs)
		err = over_budget(cpu->request->max_runs, "runs of pages");
	if (err)
		return err;
	result->tables = cpu->tables;
	for (unsigned int i = 0; i < ovm_pool_nr_threads(cpu->pool); i++) {
		const struct ovm_walk_counts *counts = &cpu->workers[i].counts;

		for (unsigned int kind = 0; kind < OVM_PAGE_NR_KINDS; kind++)
			result->pages[kind] += counts->pages[kind];
		result->prot_none_pages += counts->prot_none_pages;
	}
	return NULL;
}

static struct ovm_error *workers_init(struct cpu_walk *cpu)
{
	unsigned int nr = ovm_pool_nr_threads(cpu->pool);
	const struct ovm_page_layout *page = cpu->request->page;

	cpu->workers = calloc(nr, sizeof(*cpu->workers));
	if (!cpu->workers)
		return ovm_error_no_memory();
	for (unsigned int i = 0; i < nr; i++) {
		struct worker *worker = &cpu->workers[i];
		struct ovm_error *err = NULL;

		worker->tables = ovm_placement_alloc(TABLES_SIZE, ovm_pool_node(cpu->pool, i));
		if (!worker->tables)
			return ovm_error_no_memory();
		if (page)
			err = ovm_vmemmap_create(cpu->memory, &cpu->walk.format, page->kernel_pgd,
						 cpu->request->levels, &worker->vmemmap);
		if (err)
			return err;
	}
	return NULL;
}

static void walk_deinit(struct cpu_walk *cpu)
{
	for (unsigned int i = 0; cpu->workers && i < ovm_pool_nr_threads(cpu->pool); i++) {
		ovm_placement_free(cpu->workers[i].tables, TABLES_SIZE);
		ovm_vmemmap_destroy(cpu->workers[i].vmemmap);
	}
	free(cpu->workers);
	free(cpu->items);
	free_chunks(cpu);
}

static struct ovm_error *walk_one(struct ovm_engine *engine, const struct ovm_walk_request *request,
				  struct ovm_walk_result *result)
{
	struct cpu_walk cpu = {
		.request = request,
		.pool = engine->pool,
		.memory = engine->memory,
	};

	ovm_walk_init(&cpu.walk, engine, request);
	cpu.items = calloc(1, sizeof(*cpu.items));
	if (!cpu.items)
		return ovm_error_no_memory();
	cpu.items[0].pte = ovm_pte_make(OVM_PTE_TABLE, 0, request->pgd);
	cpu.items[0].level = request->levels;
	cpu.nr_items = 1;

	struct ovm_error *err = workers_init(&cpu);

	if (!err)
		err = charge_items(&cpu, cpu.items, 1);
	if (!err)
		err = walk_run(&cpu, result);
	walk_deinit(&cpu);
	return err;
}

struct ovm_error *ovm_cpu_walk(struct ovm_engine *engine, const struct ovm_walk_request *requests,
			       size_t nr, struct ovm_walk_result **results, size_t *failed)
{
	for (size_t i = 0; i < nr; i++) {
		struct ovm_error *err = walk_one(engine, &requests[i], results[i]);

		if (err) {
			*failed = i;
			return err;
		}
	}
	return NULL;
}
