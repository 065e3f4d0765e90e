/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The walker: one text for the CPU and for CUDA.
 *
 * A walk goes level by level. Its work is a list of items in address order: page
 * tables, and entries of upper levels that map a huge page or are otherwise
 * final. Each step replaces every table by the items of the next level
 * (ovm_walk_expand), until only level 1 tables and final entries are left,
 * which become runs (ovm_walk_emit). Items don't depend on each other, so any number
 * of threads may do a step, and prefix sums over the items' results keep the order.
 *
 * Tables reach these functions as local copies: no entry is read twice from the guest.
 *
 * Work is bounded by the ranges asked for: a table is only entered where a range
 * is, so tables that form loops or are shared end at level 1 like others.
 */
#ifndef OVM_KERNELS_CUDA_PAGEWALK_H
#define OVM_KERNELS_CUDA_PAGEWALK_H

#include "pageops.h"

/** What a walk needs to know; the arrays are sorted and disjoint. */
struct ovm_walk {
	struct ovm_pte_format format;
	const struct ovm_walk_range *ranges;
	uint32_t nr_ranges;
	/** Guest RAM, adjacent ranges joined. */
	const struct ovm_gpa_range *ram;
	uint32_t nr_ram;
	const struct ovm_gpa_range *zero_pages;
	uint32_t nr_zero_pages;
	/** Page descriptors; size 0 means that they can't be read. */
	uint64_t vmemmap_base;
	uint32_t page_size;
	uint32_t mapping_offset;
	uint32_t compound_head_offset;
	/** Bytes of page descriptors that RAM can need. */
	uint64_t vmemmap_size;
};

/** Something that is to be walked on, in address order. */
struct ovm_walk_item {
	/** First address that it covers. */
	uint64_t va;
	/** A table (its address), or a final entry. */
	struct ovm_pte pte;
	/** First range that ends after @va. */
	uint32_t range;
	/** Level of the table, or of the table that the final entry is in. */
	uint32_t level;
};

struct ovm_walk_counts {
	uint64_t pages[OVM_PAGE_NR_KINDS];
	uint64_t prot_none_pages;
};

/** Where runs go. */
struct ovm_run_builder {
	/** Room for finished runs, or NULL to only count them. */
	struct ovm_run *out;
	uint64_t nr;
	/** The run that may still grow; no pages: there is none. */
	struct ovm_run open;
	struct ovm_walk_counts counts;
};

/*
 * How to read 8 aligned bytes of the guest kernel's page descriptors. The including
 * file defines both; a prefetch may do nothing.
 */
static inline OVM_HD bool ovm_walk_load_vmemmap(void *arg, uint64_t va, uint64_t *ret);
static inline OVM_HD void ovm_walk_prefetch_vmemmap(void *arg, uint64_t va);

/** log2 of the bytes that an item covers. */
static inline OVM_HD unsigned int ovm_walk_item_shift(const struct ovm_walk_item *item)
{
	return ovm_level_shift(item->pte.state == OVM_PTE_TABLE ? item->level + 1 : item->level);
}

/** Clip range @r to [@from, @end): false when nothing is left. */
static inline OVM_HD bool ovm_walk_clip(const struct ovm_walk *walk, uint32_t r, uint64_t from,
					uint64_t end, uint64_t *clip_start, uint64_t *clip_end)
{
	const struct ovm_walk_range *range = &walk->ranges[r];

	*clip_start = range->start > from ? range->start : from;
	*clip_end = range->end < end ? range->end : end;
	return *clip_start < *clip_end;
}

/** What an entry above level 1 becomes in the list of items; false: nothing. */
static inline OVM_HD bool ovm_walk_child(const struct ovm_walk *walk, uint64_t raw,
					 unsigned int level, struct ovm_walk_item *ret)
{
	ret->pte = ovm_pte_decode(&walk->format, raw, level);
	ret->level = level;
	if (ret->pte.state == OVM_PTE_NONE)
		return false;
	if (ret->pte.state == OVM_PTE_TABLE) {
		if (!ovm_gpa_ranges_contain(walk->ram, walk->nr_ram, ret->pte.gpa, OVM_PAGE_SIZE))
			ret->pte = ovm_pte_make(OVM_PTE_OTHER, OVM_PAGE_BAD, 0);
		else
			ret->level = level - 1;
	}
	return true;
}

/**
 * Make the items below a table of level 2 or more: at most 512.
 *
 * @table: the local copy of its entries
 * @out: room for the items
 */
static inline OVM_HD uint32_t ovm_walk_expand(const struct ovm_walk *walk,
					      const struct ovm_walk_item *item,
					      const uint64_t *table, struct ovm_walk_item *out)
{
	unsigned int shift = ovm_level_shift(item->level);
	uint64_t end = item->va + ((uint64_t)OVM_TABLE_ENTRIES << shift);
	uint64_t next = item->va;
	uint32_t nr = 0;

	for (uint32_t r = item->range; r < walk->nr_ranges && walk->ranges[r].start < end; r++) {
		uint64_t clip_start, clip_end;

		/* A slot that several ranges share is entered once, with the first of them. */
		if (!ovm_walk_clip(walk, r, next, end, &clip_start, &clip_end))
			continue;

		uint64_t last = (clip_end - 1 - item->va) >> shift;

		for (uint64_t i = (clip_start - item->va) >> shift; i <= last; i++) {
			if (!ovm_walk_child(walk, table[i], item->level, &out[nr]))
				continue;
			out[nr].va = item->va + (i << shift);
			out[nr].range = r;
			nr++;
		}
		next = item->va + ((last + 1) << shift);
	}
	return nr;
}

/** Finish the run that is open. */
static inline OVM_HD void ovm_run_builder_flush(struct ovm_run_builder *builder)
{
	if (!builder->open.nr_pages)
		return;
	if (builder->out)
		builder->out[builder->nr] = builder->open;
	builder->nr++;
	builder->open.nr_pages = 0;
}

static inline OVM_HD void ovm_run_builder_add(const struct ovm_walk *walk,
					      struct ovm_run_builder *builder,
					      const struct ovm_run *run)
{
	uint32_t kinds = walk->ranges[run->range].kinds;

	builder->counts.pages[run->kind] += run->nr_pages;
	if (run->flags & OVM_RUN_PROT_NONE)
		builder->counts.prot_none_pages += run->nr_pages;
	if (kinds && !(kinds & OVM_PAGE_BIT(run->kind)))
		return;
	if (builder->open.nr_pages && ovm_run_merge(&builder->open, run))
		return;
	ovm_run_builder_flush(builder);
	builder->open = *run;
}

/** Guest virtual address of the descriptor of a page. */
static inline OVM_HD uint64_t ovm_walk_descriptor(const struct ovm_walk *walk, uint64_t gpa)
{
	return walk->vmemmap_base + (gpa >> OVM_PAGE_SHIFT) * walk->page_size;
}

/**
 * Tell anonymous RAM from other RAM by its page descriptor.
 *
 * struct page { ...; compound_head: address of the head page, plus 1, in tail pages;
 *               mapping: bit 0 set if anonymous; ... }
 * Source: Linux 6.1 include/linux/page-flags.h (compound_head(), PAGE_MAPPING_ANON).
 */
static inline OVM_HD uint8_t ovm_walk_classify(const struct ovm_walk *walk, void *arg, uint64_t gpa)
{
	uint64_t page = ovm_walk_descriptor(walk, gpa);
	uint64_t word;

	if (!ovm_walk_load_vmemmap(arg, page + walk->compound_head_offset, &word))
		return OVM_PAGE_BAD;
	if (word & 1) {
		page = word - 1;
		if (page - walk->vmemmap_base >= walk->vmemmap_size ||
		    (page - walk->vmemmap_base) % walk->page_size)
			return OVM_PAGE_BAD;
	}
	if (!ovm_walk_load_vmemmap(arg, page + walk->mapping_offset, &word))
		return OVM_PAGE_BAD;
	return word & 1 ? OVM_PAGE_ANON : OVM_PAGE_FILE;
}

/** The kind of a mapped page of @size bytes, of which [@gpa, @gpa + @len) is in @range. */
static inline OVM_HD uint8_t ovm_walk_page_kind(const struct ovm_walk *walk, void *arg,
						const struct ovm_walk_range *range, uint64_t gpa,
						uint64_t len)
{
	if (ovm_gpa_ranges_contain(walk->zero_pages, walk->nr_zero_pages, gpa, len))
		return OVM_PAGE_ZERO;
	if (!ovm_gpa_ranges_contain(walk->ram, walk->nr_ram, gpa, len))
		return OVM_PAGE_DEVICE;
	if (range->flags & OVM_RANGE_ANON)
		return OVM_PAGE_ANON;
	if (!walk->page_size)
		return OVM_PAGE_MAPPED;
	return ovm_walk_classify(walk, arg, gpa);
}

/** Add [@start, @end) of range @r, which entry @pte covers from address @va on. */
static inline OVM_HD void ovm_walk_emit_entry(const struct ovm_walk *walk, void *arg,
					      struct ovm_run_builder *builder,
					      const struct ovm_pte *pte, uint64_t va, uint32_t r,
					      uint64_t start, uint64_t end)
{
	uint64_t offset = start - va;
	struct ovm_run run;

	run.va = start;
	run.gpa = pte->gpa;
	run.nr_pages = (end - start) >> OVM_PAGE_SHIFT;
	run.range = r;
	run.kind = pte->kind;
	run.flags = pte->flags;
	run.swap_type = pte->swap_type;
	run.reserved = 0;
	if (pte->state == OVM_PTE_PAGE) {
		run.gpa += offset;
		run.kind = ovm_walk_page_kind(walk, arg, &walk->ranges[r], run.gpa, end - start);
		if (run.kind == OVM_PAGE_BAD)
			run.gpa = 0;
	} else if (pte->kind == OVM_PAGE_SWAP) {
		run.gpa += offset >> OVM_PAGE_SHIFT;
	}
	ovm_run_builder_add(walk, builder, &run);
}

/** Prefetch what classifying a level 1 entry will read. */
static inline OVM_HD void ovm_walk_prefetch(const struct ovm_walk *walk, void *arg, uint64_t raw)
{
	if (raw & OVM_PTE_PRESENT)
		ovm_walk_prefetch_vmemmap(arg,
					  ovm_walk_descriptor(walk, raw & walk->format.address));
}

/** Make runs of the entries [@i, @end) of a level 1 table, all within range @r. */
static inline OVM_HD void ovm_walk_emit_entries(const struct ovm_walk *walk, void *arg,
						const uint64_t *table, uint64_t va, uint32_t r,
						uint32_t i, uint32_t end,
						struct ovm_run_builder *builder)
{
	/* Far enough ahead to hide a cache miss, near enough to stay in the cache. */
	const uint32_t ahead = 16;
	bool classified = walk->page_size && !(walk->ranges[r].flags & OVM_RANGE_ANON);

	for (uint32_t j = i; classified && j < end && j < i + ahead; j++)
		ovm_walk_prefetch(walk, arg, table[j]);
	for (; i < end; i++) {
		if (classified && i + ahead < end)
			ovm_walk_prefetch(walk, arg, table[i + ahead]);

		struct ovm_pte pte = ovm_pte_decode(&walk->format, table[i], 1);
		uint64_t start = va + ((uint64_t)i << OVM_PAGE_SHIFT);

		if (pte.state != OVM_PTE_NONE)
			ovm_walk_emit_entry(walk, arg, builder, &pte, start, r, start,
					    start + OVM_PAGE_SIZE);
	}
}

/**
 * Most runs that an item can finish, the one that was open before it included.
 *
 * @item: a level 1 table or a final entry
 */
static inline OVM_HD uint64_t ovm_walk_max_runs(const struct ovm_walk *walk,
						const struct ovm_walk_item *item)
{
	if (item->pte.state == OVM_PTE_TABLE)
		return OVM_TABLE_ENTRIES + 1;

	uint64_t end = item->va + (UINT64_C(1) << ovm_walk_item_shift(item));
	uint32_t last = ovm_walk_range_find(walk->ranges, walk->nr_ranges, end);

	return (uint64_t)last - item->range + 2;
}

/**
 * Make the runs of an item. The last one stays open, to be merged or flushed.
 *
 * @item: a level 1 table or a final entry
 * @arg: for ovm_walk_load_vmemmap()
 * @table: the local copy of the table; not used for a final entry
 */
static inline OVM_HD void ovm_walk_emit(const struct ovm_walk *walk, void *arg,
					const struct ovm_walk_item *item, const uint64_t *table,
					struct ovm_run_builder *builder)
{
	uint64_t va = item->va;
	uint64_t end = va + (UINT64_C(1) << ovm_walk_item_shift(item));

	for (uint32_t r = item->range; r < walk->nr_ranges && walk->ranges[r].start < end; r++) {
		uint64_t clip_start, clip_end;

		if (!ovm_walk_clip(walk, r, va, end, &clip_start, &clip_end))
			continue;
		if (item->pte.state == OVM_PTE_TABLE)
			ovm_walk_emit_entries(walk, arg, table, va, r,
					      (uint32_t)((clip_start - va) >> OVM_PAGE_SHIFT),
					      (uint32_t)((clip_end - va) >> OVM_PAGE_SHIFT),
					      builder);
		else
			ovm_walk_emit_entry(walk, arg, builder, &item->pte, va, r, clip_start,
					    clip_end);
	}
}

#endif /* OVM_KERNELS_CUDA_PAGEWALK_H */
