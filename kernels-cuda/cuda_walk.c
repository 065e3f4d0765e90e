// SPDX-License-Identifier: GPL-2.0-only
/*
 * The walk on a device, for all processes at once; see devicewalk.h for its steps.
 *
 * The list of items is worked on in batches, so that device memory has a bound: a batch's tables,
 * what became of them, and its runs. What a table holds is copied once, and what it became is
 * kept, so that steps that count and steps that write see the same.
 */
#include <stdlib.h>
#include <string.h>

#include "../vmi/cleanup.h"
#include "cuda.h"

enum {
	/* What a final entry above level 1 costs of the budget; see cpu_walk.c. */
	FINAL_ENTRY_COST = 64,
	/* Tables that the host reads at a time: they fit into half of the staging memory. */
	SUPPLY = OVM_CUDA_STAGING / 2 / OVM_PAGE_SIZE,
	/* How often a walk is repeated because the guest gave RAM back meanwhile. */
	MAX_TRIES = 2,
};

/* Entries that a device looks at in one walk: those of 8 TiB. The CPU is asked for more. */
static const uint64_t MAX_ENTRIES = UINT64_C(1) << 31;

/* What a batch tells the host, in the second half of the staging memory. */
struct batch_info {
	struct ovm_walk_item items[OVM_CUDA_MAX_ITEMS];
	uint32_t missing[OVM_CUDA_MAX_ITEMS];
	uint64_t counts[OVM_CUDA_MAX_ITEMS][OVM_WALK_NR_COUNTS];
	/* Of each item: how many it became, and how many of these are tables. */
	uint32_t nr_out[OVM_CUDA_MAX_ITEMS];
	uint32_t nr_tables[OVM_CUDA_MAX_ITEMS];
	uint64_t total;
};

struct cuda_walk {
	struct ovm_engine *engine;
	struct ovm_cuda *cuda;
	const struct ovm_walk_request *requests;
	size_t nr;
	struct ovm_walk_result **results;
	/* Of each result: how many runs there is room for. */
	size_t *room;
	/* Of each process, the number of its first range; one more for the end. */
	uint32_t *first_range;
	/* The process that runs are added to. */
	size_t process;
	/* On the device. */
	const struct ovm_walk *walks;
	const struct ovm_device_extent *extents;
	uint32_t nr_extents;
	struct ovm_device_vmemmap vmemmap;
	struct batch_info *info;
	/* The list is in buffer @list, the next one is made in the other. */
	enum ovm_cuda_use list, next;
	uint64_t nr_items, nr_next;
	/* What each process has used of its budget, and all together. */
	uint64_t *entries;
	uint64_t all_entries;
};

static void *buffer(const struct cuda_walk *walk, enum ovm_cuda_use use)
{
	return walk->cuda->buffers[use].data;
}

static struct ovm_walk_item *items_at(const struct cuda_walk *walk, uint64_t first)
{
	return (struct ovm_walk_item *)buffer(walk, walk->list) + first;
}

static struct ovm_error *launch(struct cuda_walk *walk, enum ovm_device_kernel kernel,
				uint64_t nr_blocks, const void *args, size_t size)
{
	return walk->cuda->ops->launch(walk->cuda->stream, kernel, (uint32_t)nr_blocks, args, size);
}

/* Copy between the device and pinned memory, without waiting. */
static struct ovm_error *fetch(struct cuda_walk *walk, void *to, const void *from, size_t size)
{
	return walk->cuda->ops->copy(walk->cuda->stream, to, from, size);
}

static struct ovm_error *wait(struct cuda_walk *walk)
{
	return walk->cuda->ops->wait(walk->cuda->stream);
}

static struct ovm_error *over_budget(void)
{
	/* Which process it is, and how the error reads, is found out by the CPU. */
	return ovm_error_format(OVM_ERROR_BUDGET, "too much for the walk on a device");
}

static bool cancelled(const struct cuda_walk *walk)
{
	const struct ovm_walk_request *request = &walk->requests[0];

	return request->cancelled && request->cancelled(request->arg);
}

/* ---- inputs ---------------------------------------------------------------------------------- */

/* A piece of memory that is put together here and copied to the device. */
struct inputs {
	uint8_t *data;
	size_t size;
};

static size_t inputs_add(struct inputs *inputs, const void *data, size_t size)
{
	size_t at = inputs->size;

	if (inputs->data && size)
		memcpy(inputs->data + at, data, size);
	inputs->size += (size + 15) / 16 * 16;
	return at;
}

/* Put them together; or, without room for data, only find how long they are. */
static void make_inputs(struct cuda_walk *walk, struct inputs *inputs, uintptr_t device)
{
	const struct ovm_engine *engine = walk->engine;
	const struct ovm_mapping_extent *extents;
	size_t nr_extents = ovm_mapping_extents(walk->cuda->mapping, &extents);
	size_t at = inputs_add(inputs, engine->ram, engine->nr_ram * sizeof(*engine->ram));
	const void *ram = (const void *)(device + at);
	size_t ranges = inputs->size;
	struct ovm_walk one;

	for (size_t i = 0; i < walk->nr; i++)
		for (size_t j = 0; j < walk->requests[i].nr_ranges; j++) {
			at = ranges + (walk->first_range[i] + j) * sizeof(struct ovm_walk_range);
			if (inputs->data)
				memcpy(inputs->data + at, &walk->requests[i].ranges[j],
				       sizeof(struct ovm_walk_range));
		}
	inputs->size += walk->first_range[walk->nr] * sizeof(struct ovm_walk_range);
	inputs->size = (inputs->size + 15) / 16 * 16;

	size_t zero = inputs->size;

	for (size_t i = 0; i < walk->nr; i++)
		inputs_add(inputs, walk->requests[i].zero_pages,
			   walk->requests[i].nr_zero_pages * sizeof(struct ovm_gpa_range));

	size_t walks = inputs->size;

	for (size_t i = 0; i < walk->nr; i++) {
		memset(&one, 0, sizeof(one));
		ovm_walk_init(&one, engine, &walk->requests[i]);
		one.ram = ram;
		one.ranges = (const void *)(device + ranges);
		one.nr_ranges = walk->first_range[i + 1];
		one.zero_pages = (const void *)(device + zero);
		zero += (one.nr_zero_pages * sizeof(struct ovm_gpa_range) + 15) / 16 * 16;
		at = walks + i * sizeof(one);
		if (inputs->data)
			memcpy(inputs->data + at, &one, sizeof(one));
	}
	inputs->size += (walk->nr * sizeof(one) + 15) / 16 * 16;
	walk->walks = (const void *)(device + walks);
	/* The same struct by another name: the kernels know nothing of mappings. */
	_Static_assert(sizeof(struct ovm_mapping_extent) == sizeof(struct ovm_device_extent),
		       "extents are copied as they are");
	at = inputs_add(inputs, extents, nr_extents * sizeof(*extents));
	walk->extents = (const void *)(device + at);
	walk->nr_extents = (uint32_t)nr_extents;
}

static struct ovm_error *upload_inputs(struct cuda_walk *walk)
{
	struct inputs inputs = {0};
	struct ovm_error *err;

	make_inputs(walk, &inputs, 0);
	err = ovm_cuda_reserve(walk->cuda, OVM_CUDA_INPUTS, inputs.size, 0);
	if (err)
		return err;
	inputs.data = calloc(1, inputs.size);
	if (!inputs.data)
		return ovm_error_no_memory();
	inputs.size = 0;
	make_inputs(walk, &inputs, (uintptr_t)buffer(walk, OVM_CUDA_INPUTS));
	err = ovm_cuda_upload(walk->cuda, buffer(walk, OVM_CUDA_INPUTS), inputs.data, inputs.size);
	free(inputs.data);
	return err;
}

/* The list begins with the top tables. */
static struct ovm_error *upload_roots(struct cuda_walk *walk)
{
	_cleanup_free_ struct ovm_walk_item *roots = calloc(walk->nr + 1, sizeof(*roots));
	struct ovm_error *err;

	if (!roots)
		return ovm_error_no_memory();
	for (size_t i = 0; i < walk->nr; i++) {
		roots[i].pte = ovm_pte_make(OVM_PTE_TABLE, 0, walk->requests[i].pgd);
		roots[i].level = walk->requests[i].levels;
		roots[i].range = walk->first_range[i];
		roots[i].process = (uint32_t)i;
		walk->entries[i] = OVM_TABLE_ENTRIES;
		if (walk->entries[i] > walk->requests[i].max_entries)
			return over_budget();
	}
	walk->nr_items = walk->nr;
	err = ovm_cuda_reserve(walk->cuda, walk->list, walk->nr * sizeof(*roots), 0);
	return err ? err
		   : ovm_cuda_upload(walk->cuda, buffer(walk, walk->list), roots,
				     walk->nr * sizeof(*roots));
}

static struct ovm_error *upload_all(struct cuda_walk *walk)
{
	struct ovm_walk first = {0};
	struct ovm_error *err;

	ovm_walk_init(&first, walk->engine, &walk->requests[0]);
	err = ovm_cuda_find_vmemmap(walk->cuda, walk->engine->memory, &first, &walk->requests[0],
				    &walk->vmemmap);
	if (!err)
		err = upload_inputs(walk);
	return err ? err : upload_roots(walk);
}

/* ---- tables ---------------------------------------------------------------------------------- */

/* Read tables into staging memory, and copy them to their places. */
static struct ovm_error *supply_some(struct cuda_walk *walk, const uint32_t *items, size_t nr)
{
	struct ovm_memory_read reads[SUPPLY];
	uint8_t *tables = buffer(walk, OVM_CUDA_TABLES);
	struct ovm_error *err;

	for (size_t i = 0; i < nr; i++) {
		reads[i].gpa = walk->info->items[items[i]].pte.gpa;
		reads[i].buf = walk->cuda->staging + (i << OVM_PAGE_SHIFT);
		reads[i].len = OVM_PAGE_SIZE;
	}
	err = ovm_error_prepend(ovm_memory_read_batch(walk->engine->memory, reads, nr),
				"can't read the process' page tables");
	for (size_t i = 0; i < nr && !err; i++)
		err = fetch(walk, tables + ((size_t)items[i] << OVM_PAGE_SHIFT), reads[i].buf,
			    OVM_PAGE_SIZE);
	return err ? err : wait(walk);
}

/* Read the tables that the device could not. */
static struct ovm_error *supply(struct cuda_walk *walk, uint32_t nr)
{
	uint32_t items[SUPPLY];
	struct ovm_error *err = NULL;
	size_t nr_items = 0;

	for (uint32_t i = 0; i < nr && !err; i++) {
		if (walk->info->missing[i])
			items[nr_items++] = i;
		if (nr_items == SUPPLY || (nr_items && i == nr - 1)) {
			err = supply_some(walk, items, nr_items);
			nr_items = 0;
		}
	}
	return err;
}

/* Load the tables of a level from a batch's items, and fetch the items. */
static struct ovm_error *load(struct cuda_walk *walk, uint64_t first, uint32_t nr, uint32_t level)
{
	struct ovm_error *err =
		ovm_cuda_reserve(walk->cuda, OVM_CUDA_TABLES, (size_t)nr << OVM_PAGE_SHIFT, 0);

	if (!err)
		err = ovm_cuda_reserve(walk->cuda, OVM_CUDA_MISSING, nr * sizeof(uint32_t), 0);
	if (err)
		return err;

	const struct ovm_load_args args = {
		.items = items_at(walk, first),
		.level = level,
		.nr_extents = walk->nr_extents,
		.extents = walk->extents,
		.tables = buffer(walk, OVM_CUDA_TABLES),
		.missing = buffer(walk, OVM_CUDA_MISSING),
	};

	err = launch(walk, OVM_KERNEL_LOAD, nr, &args, sizeof(args));
	if (!err)
		err = fetch(walk, walk->info->items, args.items, nr * sizeof(*args.items));
	if (!err)
		err = fetch(walk, walk->info->missing, args.missing, nr * sizeof(*args.missing));
	if (!err)
		err = wait(walk);
	return err ? err : supply(walk, nr);
}

static bool is_table(const struct ovm_walk_item *item, uint32_t level)
{
	return item->pte.state == OVM_PTE_TABLE && item->level == level;
}

static void count_tables(struct cuda_walk *walk, uint32_t nr, uint32_t level)
{
	for (uint32_t i = 0; i < nr; i++) {
		const struct ovm_walk_item *item = &walk->info->items[i];

		walk->results[item->process]->tables += is_table(item, level);
	}
}

/* Charge what a batch's tables became to the budgets of their processes. */
static struct ovm_error *charge(struct cuda_walk *walk, uint32_t nr, uint32_t level)
{
	for (uint32_t i = 0; i < nr; i++) {
		const struct ovm_walk_item *item = &walk->info->items[i];
		uint64_t tables = walk->info->nr_tables[i];
		uint64_t others = walk->info->nr_out[i] - tables;
		uint64_t more = tables * OVM_TABLE_ENTRIES + others * FINAL_ENTRY_COST;

		if (!is_table(item, level))
			continue;
		walk->entries[item->process] += more;
		walk->all_entries += more;
		if (walk->entries[item->process] > walk->requests[item->process].max_entries ||
		    walk->all_entries > MAX_ENTRIES)
			return over_budget();
	}
	return NULL;
}

/* ---- from one level to the next -------------------------------------------------------------- */

static struct ovm_error *count(struct cuda_walk *walk, const struct ovm_expand_args *args,
			       uint32_t nr)
{
	struct ovm_error *err = launch(walk, OVM_KERNEL_COUNT, nr, args, sizeof(*args));

	if (!err)
		err = ovm_cuda_scan(walk->cuda, args->nr_out, nr, OVM_CUDA_SUMS);
	if (!err)
		err = fetch(walk, &walk->info->total, (uint64_t *)buffer(walk, OVM_CUDA_SUMS) + nr,
			    sizeof(uint64_t));
	if (!err)
		err = fetch(walk, walk->info->nr_out, args->nr_out, nr * sizeof(uint32_t));
	if (!err)
		err = fetch(walk, walk->info->nr_tables, args->nr_tables, nr * sizeof(uint32_t));
	return err ? err : wait(walk);
}

static struct ovm_error *expand_batch(struct cuda_walk *walk, uint64_t first, uint32_t nr,
				      uint32_t level)
{
	struct ovm_cuda *cuda = walk->cuda;
	struct ovm_error *err = load(walk, first, nr, level);

	if (!err)
		err = ovm_cuda_reserve(cuda, OVM_CUDA_NUMBERS, nr * sizeof(uint32_t), 0);
	if (!err)
		err = ovm_cuda_reserve(cuda, OVM_CUDA_MORE_NUMBERS, nr * sizeof(uint32_t), 0);
	if (err)
		return err;

	struct ovm_expand_args args = {
		.walks = walk->walks,
		.items = items_at(walk, first),
		.tables = buffer(walk, OVM_CUDA_TABLES),
		.level = level,
		.nr_out = buffer(walk, OVM_CUDA_NUMBERS),
		.nr_tables = buffer(walk, OVM_CUDA_MORE_NUMBERS),
	};

	err = count(walk, &args, nr);
	if (err)
		return err;

	uint64_t total = walk->info->total;

	count_tables(walk, nr, level);
	err = charge(walk, nr, level);
	if (err)
		return err;
	if (!total)
		return NULL;
	err = ovm_cuda_reserve(cuda, walk->next, (walk->nr_next + total) * sizeof(*args.items),
			       walk->nr_next * sizeof(*args.items));
	if (err)
		return err;
	args.first = buffer(walk, OVM_CUDA_SUMS);
	args.out = (struct ovm_walk_item *)buffer(walk, walk->next) + walk->nr_next;
	walk->nr_next += total;
	return launch(walk, OVM_KERNEL_EXPAND, nr, &args, sizeof(args));
}

static struct ovm_error *for_batches(struct cuda_walk *walk, uint32_t level,
				     struct ovm_error *(*step)(struct cuda_walk *, uint64_t,
							       uint32_t, uint32_t))
{
	uint32_t max = walk->cuda->max_items;

	for (uint64_t first = 0; first < walk->nr_items; first += max) {
		uint64_t left = walk->nr_items - first;
		struct ovm_error *err =
			cancelled(walk)
				? ovm_error_format(OVM_ERROR_CANCELLED, "stopped on request")
				: step(walk, first, left < max ? (uint32_t)left : max, level);

		if (err)
			return err;
	}
	return NULL;
}

static struct ovm_error *expand_level(struct cuda_walk *walk, uint32_t level)
{
	enum ovm_cuda_use list = walk->list;
	struct ovm_error *err;

	walk->nr_next = 0;
	err = for_batches(walk, level, expand_batch);
	walk->list = walk->next;
	walk->next = list;
	walk->nr_items = walk->nr_next;
	return err;
}

/* ---- runs ------------------------------------------------------------------------------------ */

static void add_counts(struct cuda_walk *walk, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++) {
		struct ovm_walk_result *result = walk->results[walk->info->items[i].process];

		for (uint32_t kind = 0; kind < OVM_PAGE_NR_KINDS; kind++)
			result->pages[kind] += walk->info->counts[i][kind];
		result->prot_none_pages += walk->info->counts[i][OVM_PAGE_NR_KINDS];
	}
}

static struct ovm_error *reserve_runs(struct cuda_walk *walk, struct ovm_walk_result *result,
				      uint64_t more)
{
	size_t *room = &walk->room[walk->process];
	size_t want = result->nr_runs + more;

	/* The first may continue what is there. */
	if (want - 1 > walk->requests[walk->process].max_runs)
		return over_budget();
	if (want <= *room)
		return NULL;
	want = want > *room * 2 ? want : *room * 2;

	struct ovm_run *runs = reallocarray(result->runs, want, sizeof(*runs));

	if (!runs)
		return ovm_error_no_memory();
	result->runs = runs;
	*room = want;
	return NULL;
}

/* How many of the runs are in ranges below @end. */
static uint64_t count_below(const struct ovm_run *runs, uint64_t nr, uint32_t end)
{
	uint64_t low = 0, high = nr;

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;

		if (runs[middle].range < end)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Add runs of one process; only the first can continue what is there. */
static struct ovm_error *add_to_process(struct cuda_walk *walk, const struct ovm_run *runs,
					uint64_t nr)
{
	struct ovm_walk_result *result = walk->results[walk->process];
	uint32_t first_range = walk->first_range[walk->process];
	struct ovm_error *err = nr ? reserve_runs(walk, result, nr) : NULL;

	if (err || !nr)
		return err;

	struct ovm_run *to = result->runs + result->nr_runs;
	struct ovm_run first = runs[0];

	first.range -= first_range;
	if (result->nr_runs && ovm_run_merge(&to[-1], &first)) {
		runs++;
		nr--;
	}
	memcpy(to, runs, nr * sizeof(*runs));
	for (uint64_t i = 0; i < nr && first_range; i++)
		to[i].range -= first_range;
	result->nr_runs += nr;
	return NULL;
}

/* Add runs, which are in order of processes. */
static struct ovm_error *add_runs(struct cuda_walk *walk, const struct ovm_run *runs, uint64_t nr)
{
	struct ovm_error *err = NULL;

	while (nr && !err) {
		while (runs[0].range >= walk->first_range[walk->process + 1])
			walk->process++;

		uint64_t own = count_below(runs, nr, walk->first_range[walk->process + 1]);

		err = add_to_process(walk, runs, own);
		runs += own;
		nr -= own;
	}
	return err;
}

/* Fetch runs and add them, as many at a time as staging memory holds. */
static struct ovm_error *fetch_runs(struct cuda_walk *walk, const struct ovm_run *runs, uint64_t nr)
{
	const uint64_t max = OVM_CUDA_STAGING / 2 / sizeof(*runs);
	const struct ovm_run *staging = (const struct ovm_run *)walk->cuda->staging;
	struct ovm_error *err = NULL;

	for (uint64_t done = 0; done < nr && !err; done += max) {
		uint64_t part = nr - done < max ? nr - done : max;

		err = fetch(walk, walk->cuda->staging, runs + done, part * sizeof(*runs));
		if (!err)
			err = wait(walk);
		if (!err)
			err = add_runs(walk, staging, part);
	}
	return err;
}

static struct ovm_error *decode(struct cuda_walk *walk, const struct ovm_slots_args *args,
				uint32_t nr)
{
	struct ovm_error *err = launch(walk, OVM_KERNEL_SLOTS, nr, args, sizeof(*args));

	if (!err)
		err = ovm_cuda_scan(walk->cuda, args->nr_runs, nr, OVM_CUDA_SUMS);
	if (!err)
		err = fetch(walk, walk->info->counts, args->counts,
			    nr * sizeof(walk->info->counts[0]));
	if (!err)
		err = fetch(walk, &walk->info->total, (uint64_t *)buffer(walk, OVM_CUDA_SUMS) + nr,
			    sizeof(uint64_t));
	return err ? err : wait(walk);
}

/* Join the runs of a batch's items, and fetch them. */
static struct ovm_error *join_runs(struct cuda_walk *walk, uint64_t nr)
{
	struct ovm_cuda *cuda = walk->cuda;
	uint64_t nr_blocks = (nr + OVM_JOIN_RUNS - 1) / OVM_JOIN_RUNS;
	struct ovm_error *err =
		ovm_cuda_reserve(cuda, OVM_CUDA_JOINED, nr * sizeof(struct ovm_run), 0);

	if (!err)
		err = ovm_cuda_reserve(cuda, OVM_CUDA_MORE_NUMBERS, nr * sizeof(uint32_t), 0);
	if (err)
		return err;

	struct ovm_join_args args = {
		.runs = buffer(walk, OVM_CUDA_RUNS),
		.nr = nr,
		.head = buffer(walk, OVM_CUDA_MORE_NUMBERS),
		.out = buffer(walk, OVM_CUDA_JOINED),
	};

	err = launch(walk, OVM_KERNEL_JOINTS, nr_blocks, &args, sizeof(args));
	if (!err)
		err = ovm_cuda_scan(cuda, args.head, nr, OVM_CUDA_MORE_SUMS);
	args.first = buffer(walk, OVM_CUDA_MORE_SUMS);
	if (!err)
		err = launch(walk, OVM_KERNEL_JOIN, nr_blocks, &args, sizeof(args));
	if (!err)
		err = launch(walk, OVM_KERNEL_ENDS, nr_blocks, &args, sizeof(args));
	if (!err)
		err = fetch(walk, &walk->info->total, args.first + nr, sizeof(uint64_t));
	if (!err)
		err = wait(walk);
	return err ? err : fetch_runs(walk, args.out, walk->info->total);
}

static struct ovm_error *emit_batch(struct cuda_walk *walk, uint64_t first, uint32_t nr,
				    uint32_t level)
{
	struct ovm_cuda *cuda = walk->cuda;
	struct ovm_error *err = load(walk, first, nr, level);

	if (!err)
		err = ovm_cuda_reserve(cuda, OVM_CUDA_SLOTS,
				       (size_t)nr * OVM_TABLE_ENTRIES * sizeof(struct ovm_run), 0);
	if (!err)
		err = ovm_cuda_reserve(cuda, OVM_CUDA_NUMBERS, nr * sizeof(uint32_t), 0);
	if (!err)
		err = ovm_cuda_reserve(cuda, OVM_CUDA_COUNTS, nr * sizeof(walk->info->counts[0]),
				       0);
	if (err)
		return err;

	const struct ovm_slots_args args = {
		.walks = walk->walks,
		.vmemmap = walk->vmemmap,
		.items = items_at(walk, first),
		.tables = buffer(walk, OVM_CUDA_TABLES),
		.slots = buffer(walk, OVM_CUDA_SLOTS),
		.nr_runs = buffer(walk, OVM_CUDA_NUMBERS),
		.counts = buffer(walk, OVM_CUDA_COUNTS),
	};

	err = decode(walk, &args, nr);
	if (err)
		return err;
	count_tables(walk, nr, level);
	add_counts(walk, nr);

	uint64_t nr_runs = walk->info->total;

	if (!nr_runs)
		return NULL;
	err = ovm_cuda_reserve(cuda, OVM_CUDA_RUNS, nr_runs * sizeof(struct ovm_run), 0);
	if (err)
		return err;

	const struct ovm_runs_args runs = {
		.slots = args.slots,
		.first = buffer(walk, OVM_CUDA_SUMS),
		.out = buffer(walk, OVM_CUDA_RUNS),
	};

	err = launch(walk, OVM_KERNEL_RUNS, nr, &runs, sizeof(runs));
	return err ? err : join_runs(walk, nr_runs);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static struct ovm_error *walk_levels(struct cuda_walk *walk)
{
	struct ovm_error *err = upload_all(walk);

	for (uint32_t level = walk->requests[0].levels; level > 1 && !err; level--)
		err = expand_level(walk, level);
	if (!err)
		err = for_batches(walk, 1, emit_batch);
	for (size_t i = 0; i < walk->nr && !err; i++)
		if (walk->results[i]->nr_runs > walk->requests[i].max_runs)
			err = over_budget();
	return err;
}

static void reset_results(struct ovm_walk_result **results, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		free(results[i]->runs);
		memset(results[i], 0, sizeof(*results[i]));
	}
}

/* There is always an array, as the CPU's results have one. */
static struct ovm_error *finish_results(struct ovm_walk_result **results, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		if (!results[i]->runs)
			results[i]->runs = malloc(sizeof(*results[i]->runs));
		if (!results[i]->runs)
			return ovm_error_no_memory();
	}
	return NULL;
}

static struct ovm_error *walk_once(struct ovm_engine *engine,
				   const struct ovm_walk_request *requests, size_t nr,
				   struct ovm_walk_result **results)
{
	struct ovm_cuda *cuda = engine->state;
	_cleanup_free_ uint32_t *first_range = calloc(nr + 1, sizeof(*first_range));
	_cleanup_free_ size_t *room = calloc(nr, sizeof(*room));
	_cleanup_free_ uint64_t *entries = calloc(nr, sizeof(*entries));
	struct cuda_walk walk = {
		.engine = engine,
		.cuda = cuda,
		.requests = requests,
		.nr = nr,
		.results = results,
		.room = room,
		.first_range = first_range,
		.entries = entries,
		.info = (struct batch_info *)(cuda->staging + OVM_CUDA_STAGING / 2),
		.list = OVM_CUDA_ITEMS,
		.next = OVM_CUDA_NEXT_ITEMS,
	};

	_Static_assert(sizeof(struct batch_info) <= OVM_CUDA_STAGING / 2,
		       "what a batch tells fits into staging memory");
	if (!first_range || !room || !entries)
		return ovm_error_no_memory();
	for (size_t i = 0; i < nr; i++) {
		if (requests[i].nr_ranges > UINT32_MAX - 1 - first_range[i])
			return over_budget();
		first_range[i + 1] = first_range[i] + (uint32_t)requests[i].nr_ranges;
	}

	struct ovm_error *err = walk_levels(&walk);

	/* RAM must not be unmapped while something that was begun, and came to nothing, reads it.
	 */
	struct ovm_error *last = wait(&walk);

	if (!err)
		return last;
	ovm_error_free(last);
	return err;
}

struct ovm_error *ovm_cuda_walk(struct ovm_engine *engine, const struct ovm_walk_request *requests,
				size_t nr, struct ovm_walk_result **results, size_t *failed)
{
	struct ovm_cuda *cuda = engine->state;

	for (int i = 0; i < MAX_TRIES && nr; i++) {
		bool changed;
		struct ovm_error *err = ovm_mapping_refresh(cuda->mapping, &changed);

		if (!err)
			err = walk_once(engine, requests, nr, results);
		if (!err && ovm_mapping_holds_all(cuda->mapping))
			return finish_results(results, nr);
		reset_results(results, nr);
		/* The CPU can walk what is too much for a device. */
		if (err && err->code != OVM_ERROR_BUDGET && err->code != OVM_ERROR_NO_MEMORY)
			return err;
		if (err) {
			ovm_error_free(err);
			break;
		}
	}
	return ovm_cpu_walk(engine, requests, nr, results, failed);
}
