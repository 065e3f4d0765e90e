/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The walker: one text for the CPU and for CUDA.
 *
 * A walk goes level by level. Its work is a list of items in address order: page
 * tables, and entries of upper levels that map a huge page or are otherwise
 * final; of the latter, one for every 512 ranges that they touch. Each step replaces every table by
 * the items of the next level (ovm_walk_expand), until only level 1 tables and final entries are
 * left, which become runs (ovm_walk_emit). Items don't depend on each other, so any number of
 * threads may do a step, and prefix sums over the items' results keep the order.
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
	/** Where there are ranges of several processes in a row: this one's begin at that of its
	 * first item, and end before @nr_ranges. */
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
	/** Index of the process. */
	uint32_t process;
	uint32_t reserved;
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
static inline OVM_HD bool ovm_walk_child(const struct ovm_walk *walk,
					 const struct ovm_walk_item *item, uint64_t raw, uint32_t i,
					 uint32_t range, struct ovm_walk_item *ret)
{
	ret->pte = ovm_pte_decode(&walk->format, raw, item->level);
	if (ret->pte.state == OVM_PTE_NONE)
		return false;
	ret->va = item->va + ((uint64_t)i << ovm_level_shift(item->level));
	ret->range = range;
	ret->level = item->level;
	ret->process = item->process;
	ret->reserved = 0;
	if (ret->pte.state == OVM_PTE_TABLE) {
		if (!ovm_gpa_ranges_contain(walk->ram, walk->nr_ram, ret->pte.gpa, OVM_PAGE_SIZE))
			ret->pte = ovm_pte_make(OVM_PTE_OTHER, OVM_PAGE_BAD, 0);
		else
			ret->level = item->level - 1;
	}
	return true;
}

/** First address behind what an item covers. */
static inline OVM_HD uint64_t ovm_walk_item_end(const struct ovm_walk_item *item)
{
	return item->va + (UINT64_C(1) << ovm_walk_item_shift(item));
}

/** How many items the child that ovm_walk_child() made stands for. */
static inline OVM_HD uint32_t ovm_walk_child_items(const struct ovm_walk *walk,
						   const struct ovm_walk_item *child)
{
	if (child->pte.state == OVM_PTE_TABLE)
		return 1;

	uint32_t end = ovm_walk_range_find_start(walk->ranges, child->range, walk->nr_ranges,
						 ovm_walk_item_end(child));

	return (end - child->range + OVM_TABLE_ENTRIES - 1) / OVM_TABLE_ENTRIES;
}

/** The range that the entry for [@va, @va + @size) of an item's table is entered with; false: none.
 */
static inline OVM_HD bool ovm_walk_entry_range(const struct ovm_walk *walk,
					       const struct ovm_walk_item *item, uint64_t va,
					       uint64_t size, uint32_t *ret)
{
	uint32_t r = item->range;

	if (r < walk->nr_ranges && walk->ranges[r].end <= va)
		r = ovm_walk_range_find(walk->ranges, r + 1, walk->nr_ranges, va);
	*ret = r;
	return r < walk->nr_ranges && walk->ranges[r].start < va + size;
}

/** Most items that a table can become. */
static inline OVM_HD uint64_t ovm_walk_max_items(const struct ovm_walk *walk)
{
	return OVM_TABLE_ENTRIES + (uint64_t)walk->nr_ranges / OVM_TABLE_ENTRIES;
}

/**
 * Make the items below a table of level 2 or more: at most ovm_walk_max_items().
 *
 * @table: the local copy of its entries
 * @out: room for the items
 */
static inline OVM_HD uint32_t ovm_walk_expand(const struct ovm_walk *walk,
					      const struct ovm_walk_item *item,
					      const uint64_t *table, struct ovm_walk_item *out)
{
	unsigned int shift = ovm_level_shift(item->level);
	uint64_t end = ovm_walk_item_end(item);
	uint64_t next = item->va;
	uint32_t nr = 0;

	for (uint32_t r = item->range; r < walk->nr_ranges && walk->ranges[r].start < end; r++) {
		uint64_t clip_start, clip_end;

		/* A slot that several ranges share is entered once, with the first of them. */
		if (!ovm_walk_clip(walk, r, next, end, &clip_start, &clip_end))
			continue;

		uint64_t last = (clip_end - 1 - item->va) >> shift;

		for (uint64_t i = (clip_start - item->va) >> shift; i <= last; i++) {
			struct ovm_walk_item child;

			if (!ovm_walk_child(walk, item, table[i], (uint32_t)i, r, &child))
				continue;
			for (uint32_t left = ovm_walk_child_items(walk, &child); left; left--) {
				out[nr++] = child;
				child.range += OVM_TABLE_ENTRIES;
			}
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

/** Whether runs of this kind were asked for in its range. */
static inline OVM_HD bool ovm_walk_wants(const struct ovm_walk *walk, const struct ovm_run *run)
{
	uint32_t kinds = walk->ranges[run->range].kinds;

	return !kinds || kinds & OVM_PAGE_BIT(run->kind);
}

static inline OVM_HD void ovm_run_builder_add(const struct ovm_walk *walk,
					      struct ovm_run_builder *builder,
					      const struct ovm_run *run)
{
	builder->counts.pages[run->kind] += run->nr_pages;
	if (run->flags & OVM_RUN_PROT_NONE)
		builder->counts.prot_none_pages += run->nr_pages;
	if (!ovm_walk_wants(walk, run))
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

/** [@start, @end) of range @r, which entry @pte covers from address @va on. */
static inline OVM_HD void ovm_walk_make_run(const struct ovm_walk *walk, void *arg,
					    const struct ovm_pte *pte, uint64_t va, uint32_t r,
					    uint64_t start, uint64_t end, struct ovm_run *ret)
{
	uint64_t offset = start - va;

	ret->va = start;
	ret->gpa = pte->gpa;
	ret->nr_pages = (end - start) >> OVM_PAGE_SHIFT;
	ret->range = r;
	ret->kind = pte->kind;
	ret->flags = pte->flags;
	ret->swap_type = pte->swap_type;
	ret->reserved = 0;
	if (pte->state == OVM_PTE_PAGE) {
		ret->gpa += offset;
		ret->kind = ovm_walk_page_kind(walk, arg, &walk->ranges[r], ret->gpa, end - start);
		if (ret->kind == OVM_PAGE_BAD)
			ret->gpa = 0;
	} else if (pte->kind == OVM_PAGE_SWAP) {
		ret->gpa += offset >> OVM_PAGE_SHIFT;
	}
}

/**
 * What slot @i, below 512, of an item stands for: of a level 1 table, the page of entry @i; of a
 * final entry, what range @i of those that it touches has of it. False: nothing.
 *
 * @raw: the local copy of entry @i; not used for a final entry
 */
static inline OVM_HD bool ovm_walk_slot(const struct ovm_walk *walk, void *arg,
					const struct ovm_walk_item *item, uint64_t raw, uint32_t i,
					struct ovm_run *ret)
{
	uint64_t start, end;
	uint32_t r;

	if (item->pte.state != OVM_PTE_TABLE) {
		r = item->range + i;
		if (r >= walk->nr_ranges ||
		    !ovm_walk_clip(walk, r, item->va, ovm_walk_item_end(item), &start, &end))
			return false;
		ovm_walk_make_run(walk, arg, &item->pte, item->va, r, start, end, ret);
		return true;
	}
	start = item->va + ((uint64_t)i << OVM_PAGE_SHIFT);
	if (!ovm_walk_entry_range(walk, item, start, OVM_PAGE_SIZE, &r))
		return false;

	struct ovm_pte pte = ovm_pte_decode(&walk->format, raw, 1);

	if (pte.state == OVM_PTE_NONE)
		return false;
	ovm_walk_make_run(walk, arg, &pte, start, r, start, start + OVM_PAGE_SIZE, ret);
	return true;
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

		struct ovm_run run;

		if (pte.state == OVM_PTE_NONE)
			continue;
		ovm_walk_make_run(walk, arg, &pte, start, r, start, start + OVM_PAGE_SIZE, &run);
		ovm_run_builder_add(walk, builder, &run);
	}
}

enum {
	/** Most runs that an item can finish, the one that was open before it included. */
	OVM_WALK_MAX_RUNS = OVM_TABLE_ENTRIES + 1,
};

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
	uint64_t end = ovm_walk_item_end(item);

	if (item->pte.state != OVM_PTE_TABLE) {
		struct ovm_run run;

		for (uint32_t i = 0;
		     i < OVM_TABLE_ENTRIES && ovm_walk_slot(walk, arg, item, 0, i, &run); i++)
			ovm_run_builder_add(walk, builder, &run);
		return;
	}
	for (uint32_t r = item->range; r < walk->nr_ranges && walk->ranges[r].start < end; r++) {
		uint64_t clip_start, clip_end;

		if (ovm_walk_clip(walk, r, va, end, &clip_start, &clip_end))
			ovm_walk_emit_entries(walk, arg, table, va, r,
					      (uint32_t)((clip_start - va) >> OVM_PAGE_SHIFT),
					      (uint32_t)((clip_end - va) >> OVM_PAGE_SHIFT),
					      builder);
	}
}

#endif /* OVM_KERNELS_CUDA_PAGEWALK_H */
