/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The walk on a device: what blocks do with the items of pagewalk.h.
 *
 *	load	   copy the tables of items into device memory, once
 *	count	   how many items of the next level each table becomes
 *	expand	   write them, to where the prefix sums of the counts say
 *	slots	   what each of an item's 512 slots stands for, and where runs begin
 *	runs	   write the runs, to where the prefix sums of their numbers say
 *	joints	   which runs continue the one before them, across items
 *	join	   write what is left, to where prefix sums say
 *	ends	   and how long it became
 *
 * Only load, and slots for page descriptors, read guest memory; each word once.
 */
#ifndef OVM_KERNELS_CUDA_DEVICEWALK_H
#define OVM_KERNELS_CUDA_DEVICEWALK_H

#include "lanes.h"
#include "pageops.h"

/** The guest kernel's page descriptors, by chunks of 2 MiB of their virtual addresses. */
struct ovm_device_vmemmap {
	/** Number of the first chunk: its address, shifted. */
	uint64_t first;
	uint64_t nr;
	/**
	 * Device address of each chunk; or, with bit 0 set, index (shifted by 1) of its first page
	 * in @pages; 0: it can't be read.
	 */
	const uint64_t *chunks;
	/** Device address of each page; 0: it can't be read. */
	const uint64_t *pages;
};

enum {
	OVM_DEVICE_CHUNK_SHIFT = 21,
	OVM_DEVICE_CHUNK_PAGES = 1 << (OVM_DEVICE_CHUNK_SHIFT - OVM_PAGE_SHIFT),
};

static inline OVM_HD const uint8_t *
ovm_device_vmemmap_find(const struct ovm_device_vmemmap *vmemmap, uint64_t va)
{
	uint64_t chunk = (va >> OVM_DEVICE_CHUNK_SHIFT) - vmemmap->first;

	if (va % 8 || chunk >= vmemmap->nr)
		return 0;

	uint64_t at = vmemmap->chunks[chunk];
	uint64_t offset = va % (1 << OVM_DEVICE_CHUNK_SHIFT);

	if (at & 1) {
		at = vmemmap->pages[(at >> 1) + (offset >> OVM_PAGE_SHIFT)];
		offset %= OVM_PAGE_SIZE;
	}
	return at ? (const uint8_t *)(uintptr_t)at + offset : 0;
}

static inline OVM_HD bool ovm_walk_load_vmemmap(void *arg, uint64_t va, uint64_t *ret)
{
	const uint8_t *data = ovm_device_vmemmap_find((const struct ovm_device_vmemmap *)arg, va);

	if (!data)
		return false;
	*ret = *(const volatile uint64_t *)data;
	return true;
}

/* Other threads run while one waits for memory. */
static inline OVM_HD void ovm_walk_prefetch_vmemmap(void *arg, uint64_t va)
{
	(void)arg;
	(void)va;
}

#include "pagewalk.h"

/** RAM that the device can read; see mapping.h. */
struct ovm_device_extent {
	uint64_t gpa;
	uint64_t size;
	const uint8_t *device;
};

/** Where the device can read the page at @gpa; NULL: nowhere. Extents are sorted. */
static inline OVM_HD const uint8_t *ovm_device_page(const struct ovm_device_extent *extents,
						    uint32_t nr, uint64_t gpa)
{
	uint32_t low = 0, high = nr;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (gpa - extents[middle].gpa < extents[middle].size)
			return extents[middle].device + (gpa - extents[middle].gpa);
		if (extents[middle].gpa > gpa)
			high = middle;
		else
			low = middle + 1;
	}
	return 0;
}

/**
 * Make @first[i] the sum of the first i of the 512 numbers in @count, and *@total that of all. For
 * a whole block; @count and @first are shared.
 */
static inline OVM_HD void ovm_device_sum_slots(const uint32_t *count, uint32_t *first,
					       uint32_t *total)
{
	enum {
		GROUP = 32,
		NR_GROUPS = OVM_TABLE_ENTRIES / GROUP,
	};
	OVM_SHARED(uint32_t, group[NR_GROUPS]);

	OVM_SYNC();
	OVM_LANES(i, NR_GROUPS) {
		uint32_t sum = 0;

		for (uint32_t j = 0; j < GROUP; j++)
			sum += count[i * GROUP + j];
		group[i] = sum;
	}
	OVM_SYNC();
	OVM_LANES(i, NR_GROUPS) {
		uint32_t sum = 0;

		for (uint32_t j = 0; j < i; j++)
			sum += group[j];
		for (uint32_t j = 0; j < GROUP; j++) {
			first[i * GROUP + j] = sum;
			sum += count[i * GROUP + j];
		}
		if (i == NR_GROUPS - 1)
			*total = sum;
	}
	OVM_SYNC();
}

/* ---- load ------------------------------------------------------------------------------------ */

struct ovm_load_args {
	const struct ovm_walk_item *items;
	/** Tables of another level are left alone. */
	uint32_t level;
	uint32_t nr_extents;
	const struct ovm_device_extent *extents;
	/** 512 entries an item. */
	uint64_t *tables;
	/** 1 for each item whose table the device can't read: it is empty for now. */
	uint32_t *missing;
};

/** One block an item. */
static inline OVM_HD void ovm_load_body(const struct ovm_load_args *args, uint32_t block)
{
	const struct ovm_walk_item *item = &args->items[block];
	bool wanted = item->pte.state == OVM_PTE_TABLE && item->level == args->level;
	const uint8_t *page =
		wanted ? ovm_device_page(args->extents, args->nr_extents, item->pte.gpa) : 0;
	const volatile uint64_t *from = (const volatile uint64_t *)page;
	uint64_t *to = args->tables + (uint64_t)block * OVM_TABLE_ENTRIES;

	OVM_LANES(i, 1)
		args->missing[block] = wanted && !page;
	if (!wanted)
		return;
	OVM_LANES(i, OVM_TABLE_ENTRIES)
		to[i] = page ? from[i] : 0;
}

/* ---- count, expand --------------------------------------------------------------------------- */

struct ovm_expand_args {
	/** By process. */
	const struct ovm_walk *walks;
	const struct ovm_walk_item *items;
	const uint64_t *tables;
	/** Level of the tables to replace; other items stay. */
	uint32_t level;
	uint32_t reserved;
	/** Of each item: how many items it becomes, and how many of these are tables. */
	uint32_t *nr_out;
	uint32_t *nr_tables;
	/** Where they go: by the sums of @nr_out. */
	const uint64_t *first;
	struct ovm_walk_item *out;
};

/* What entry @i of the block's table becomes: how many items that are alike but for their range. */
static inline OVM_HD uint32_t ovm_expand_entry(const struct ovm_expand_args *args, uint32_t block,
					       uint32_t i, struct ovm_walk_item *ret)
{
	const struct ovm_walk_item *item = &args->items[block];
	const struct ovm_walk *walk = &args->walks[item->process];
	uint64_t size = UINT64_C(1) << ovm_level_shift(item->level);
	uint64_t raw = args->tables[(uint64_t)block * OVM_TABLE_ENTRIES + i];
	uint32_t range;

	if (!ovm_walk_entry_range(walk, item, item->va + i * size, size, &range) ||
	    !ovm_walk_child(walk, item, raw, i, range, ret))
		return 0;
	return ovm_walk_child_items(walk, ret);
}

static inline OVM_HD bool ovm_expand_wanted(const struct ovm_expand_args *args, uint32_t block)
{
	const struct ovm_walk_item *item = &args->items[block];

	return item->pte.state == OVM_PTE_TABLE && item->level == args->level;
}

/** One block an item. */
static inline OVM_HD void ovm_count_body(const struct ovm_expand_args *args, uint32_t block)
{
	enum {
		NR = OVM_TABLE_ENTRIES,
	};
	OVM_SHARED(uint32_t, items[NR]);
	OVM_SHARED(uint32_t, tables[NR]);
	OVM_SHARED(uint32_t, part[2 * 16]);

	if (!ovm_expand_wanted(args, block)) {
		OVM_LANES(i, 1) {
			args->nr_out[block] = 1;
			args->nr_tables[block] = 0;
		}
		return;
	}
	OVM_LANES(i, NR) {
		struct ovm_walk_item child;

		items[i] = ovm_expand_entry(args, block, i, &child);
		tables[i] = items[i] && child.pte.state == OVM_PTE_TABLE;
	}
	OVM_SYNC();
	OVM_LANES(i, 16) {
		uint32_t nr = 0, nr_tables = 0;

		for (uint32_t j = 0; j < NR / 16; j++) {
			nr += items[i * (NR / 16) + j];
			nr_tables += tables[i * (NR / 16) + j];
		}
		part[i] = nr;
		part[16 + i] = nr_tables;
	}
	OVM_SYNC();
	OVM_LANES(i, 1) {
		uint32_t nr = 0, nr_tables = 0;

		for (uint32_t j = 0; j < 16; j++) {
			nr += part[j];
			nr_tables += part[16 + j];
		}
		args->nr_out[block] = nr;
		args->nr_tables[block] = nr_tables;
	}
}

/** One block an item. */
static inline OVM_HD void ovm_expand_body(const struct ovm_expand_args *args, uint32_t block)
{
	struct ovm_walk_item *out = args->out + args->first[block];
	OVM_SHARED(uint32_t, count[OVM_TABLE_ENTRIES]);
	OVM_SHARED(uint32_t, first[OVM_TABLE_ENTRIES]);
	OVM_SHARED(uint32_t, total);

	if (!ovm_expand_wanted(args, block)) {
		OVM_LANES(i, 1)
			*out = args->items[block];
		return;
	}
	OVM_LANES(i, OVM_TABLE_ENTRIES) {
		struct ovm_walk_item child;

		count[i] = ovm_expand_entry(args, block, i, &child);
	}
	ovm_device_sum_slots(count, first, &total);
	OVM_LANES(i, OVM_TABLE_ENTRIES) {
		struct ovm_walk_item child;
		uint32_t nr = ovm_expand_entry(args, block, i, &child);

		for (uint32_t j = 0; j < nr; j++) {
			out[first[i] + j] = child;
			child.range += OVM_TABLE_ENTRIES;
		}
	}
}

/* ---- slots, runs ----------------------------------------------------------------------------- */

enum {
	/** Numbers that an item counts: pages of each kind, and PROT_NONE pages. */
	OVM_WALK_NR_COUNTS = OVM_PAGE_NR_KINDS + 1,
};

struct ovm_slots_args {
	const struct ovm_walk *walks;
	struct ovm_device_vmemmap vmemmap;
	const struct ovm_walk_item *items;
	const uint64_t *tables;
	/** 512 an item; no pages: nothing. */
	struct ovm_run *slots;
	/** How many runs begin in each item. */
	uint32_t *nr_runs;
	/** OVM_WALK_NR_COUNTS an item. */
	uint64_t *counts;
};

/* Whether slot @i continues the one before it. */
static inline OVM_HD bool ovm_slot_continues(const struct ovm_run *slots, uint32_t i)
{
	struct ovm_run before;

	if (!i || !slots[i - 1].nr_pages)
		return false;
	before = slots[i - 1];
	return ovm_run_merge(&before, &slots[i]);
}

/** One block an item. */
static inline OVM_HD void ovm_slots_body(const struct ovm_slots_args *args, uint32_t block)
{
	enum {
		NR_PARTS = 16,
		PART = OVM_TABLE_ENTRIES / NR_PARTS,
	};
	const struct ovm_walk_item *item = &args->items[block];
	const struct ovm_walk *walk = &args->walks[item->process];
	const uint64_t *table = args->tables + (uint64_t)block * OVM_TABLE_ENTRIES;
	struct ovm_run *slots = args->slots + (uint64_t)block * OVM_TABLE_ENTRIES;
	bool is_table = item->pte.state == OVM_PTE_TABLE;
	OVM_SHARED(uint64_t, pages[OVM_TABLE_ENTRIES]);
	OVM_SHARED(uint8_t, kind[OVM_TABLE_ENTRIES]);
	OVM_SHARED(uint8_t, none[OVM_TABLE_ENTRIES]);
	OVM_SHARED(uint64_t, part[NR_PARTS * (OVM_WALK_NR_COUNTS + 1)]);

	OVM_LANES(i, OVM_TABLE_ENTRIES) {
		struct ovm_run run;
		uint64_t raw = is_table ? table[i] : 0;

		pages[i] = 0;
		kind[i] = 0;
		none[i] = 0;
		if (!ovm_walk_slot(walk, (void *)&args->vmemmap, item, raw, i, &run)) {
			slots[i].nr_pages = 0;
			continue;
		}
		pages[i] = run.nr_pages;
		kind[i] = run.kind;
		none[i] = run.flags & OVM_RUN_PROT_NONE;
		if (!ovm_walk_wants(walk, &run))
			run.nr_pages = 0;
		slots[i] = run;
	}
	OVM_SYNC();
	/* Each lane sums one number over one part of the slots; the last one counts the runs. */
	OVM_LANES(i, NR_PARTS * (OVM_WALK_NR_COUNTS + 1)) {
		uint32_t what = i / NR_PARTS, begin = i % NR_PARTS * PART;
		uint64_t sum = 0;

		for (uint32_t j = begin; j < begin + PART; j++) {
			if (what < OVM_PAGE_NR_KINDS)
				sum += kind[j] == what ? pages[j] : 0;
			else if (what == OVM_PAGE_NR_KINDS)
				sum += none[j] ? pages[j] : 0;
			else
				sum += slots[j].nr_pages && !ovm_slot_continues(slots, j);
		}
		part[i] = sum;
	}
	OVM_SYNC();
	OVM_LANES(i, OVM_WALK_NR_COUNTS + 1) {
		uint64_t sum = 0;

		for (uint32_t j = 0; j < NR_PARTS; j++)
			sum += part[i * NR_PARTS + j];
		if (i < OVM_WALK_NR_COUNTS)
			args->counts[block * OVM_WALK_NR_COUNTS + i] = sum;
		else
			args->nr_runs[block] = (uint32_t)sum;
	}
}

struct ovm_runs_args {
	const struct ovm_run *slots;
	/** Sums of nr_runs. */
	const uint64_t *first;
	struct ovm_run *out;
};

/** One block an item. */
static inline OVM_HD void ovm_runs_body(const struct ovm_runs_args *args, uint32_t block)
{
	const struct ovm_run *slots = args->slots + (uint64_t)block * OVM_TABLE_ENTRIES;
	struct ovm_run *out = args->out + args->first[block];
	OVM_SHARED(uint32_t, head[OVM_TABLE_ENTRIES]);
	OVM_SHARED(uint32_t, before[OVM_TABLE_ENTRIES]);
	OVM_SHARED(uint32_t, total);

	OVM_LANES(i, OVM_TABLE_ENTRIES)
		head[i] = slots[i].nr_pages && !ovm_slot_continues(slots, i);
	ovm_device_sum_slots(head, before, &total);
	OVM_LANES(i, OVM_TABLE_ENTRIES) {
		if (head[i])
			out[before[i]] = slots[i];
	}
	OVM_SYNC();
	/* The last slot of a run knows where it ends, and its first where it begins. */
	OVM_LANES(i, OVM_TABLE_ENTRIES) {
		bool last = i == OVM_TABLE_ENTRIES - 1 || head[i + 1] || !slots[i + 1].nr_pages;

		if (slots[i].nr_pages && last) {
			struct ovm_run *run = &out[before[i] + head[i] - 1];
			uint64_t end = slots[i].va + (slots[i].nr_pages << OVM_PAGE_SHIFT);

			run->nr_pages = (end - run->va) >> OVM_PAGE_SHIFT;
		}
	}
}

/* ---- joints, join, ends ---------------------------------------------------------------------- */

enum {
	/** Runs that a block looks at. */
	OVM_JOIN_RUNS = 1024,
};

struct ovm_join_args {
	const struct ovm_run *runs;
	uint64_t nr;
	/** 1 for each run that does not continue the one before it. */
	uint32_t *head;
	/** Sums of @head. */
	const uint64_t *first;
	struct ovm_run *out;
};

/* Whether run @i continues the one before it. */
static inline OVM_HD bool ovm_run_continues(const struct ovm_join_args *args, uint64_t i)
{
	struct ovm_run before;

	if (!i)
		return false;
	before = args->runs[i - 1];
	return ovm_run_merge(&before, &args->runs[i]);
}

/** One block for each OVM_JOIN_RUNS runs. */
static inline OVM_HD void ovm_joints_body(const struct ovm_join_args *args, uint32_t block)
{
	OVM_LANES(lane, OVM_JOIN_RUNS) {
		uint64_t i = (uint64_t)block * OVM_JOIN_RUNS + lane;

		if (i < args->nr)
			args->head[i] = !ovm_run_continues(args, i);
	}
}

static inline OVM_HD void ovm_join_body(const struct ovm_join_args *args, uint32_t block)
{
	OVM_LANES(lane, OVM_JOIN_RUNS) {
		uint64_t i = (uint64_t)block * OVM_JOIN_RUNS + lane;

		if (i < args->nr && args->head[i])
			args->out[args->first[i]] = args->runs[i];
	}
}

static inline OVM_HD void ovm_ends_body(const struct ovm_join_args *args, uint32_t block)
{
	OVM_LANES(lane, OVM_JOIN_RUNS) {
		uint64_t i = (uint64_t)block * OVM_JOIN_RUNS + lane;

		if (i < args->nr && (i == args->nr - 1 || args->head[i + 1])) {
			const struct ovm_run *last = &args->runs[i];
			struct ovm_run *run = &args->out[args->first[i] + args->head[i] - 1];

			run->nr_pages = (last->va + (last->nr_pages << OVM_PAGE_SHIFT) - run->va) >>
					OVM_PAGE_SHIFT;
		}
	}
}

#endif /* OVM_KERNELS_CUDA_DEVICEWALK_H */
