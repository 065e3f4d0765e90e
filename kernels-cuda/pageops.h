/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What single page-table entries, page descriptors and runs mean.
 *
 * This text and pagewalk.h are compiled for the CPU and for CUDA. Hence only
 * fixed-width integers, no calls out, and no C that isn't C++ too.
 */
#ifndef OVM_KERNELS_CUDA_PAGEOPS_H
#define OVM_KERNELS_CUDA_PAGEOPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lanes.h"
#include "run.h"

/*
 * x86-64 page-table entry.
 *
 * | 63 | 62..59 | 58..52 | 51..12          | 11..9 | 8 | 7   | 6 | 5 | 4..1 | 0 |
 * | NX | key    | sw     | address         | sw    | G | PSE | D | A | ...  | P |
 *
 * Levels count from 1 (4 KiB pages) to 4 or 5 (the top). At levels 2 and 3 bit
 * 7 means a page of 2 MiB or 1 GiB, whose address starts at bit 21 or 30; bit
 * 12 is then PAT, and the bits between must be 0. At level 1 bit 7 is PAT.
 *
 * Without P, Linux uses the entry for itself:
 *  - G set (level 1), or PSE set (levels 2 and 3: PROT_NONE, or a huge page
 *    that is being split): the page is there. All address bits are inverted,
 *    as a guard against L1TF.
 *  - else a swap entry: type in 63..59, inverted offset in 58..9.
 *  - only A and D, which a CPU erratum may set: nothing.
 *
 * Source: Intel SDM volume 3, 4.5; Linux 6.1 arch/x86/include/asm:
 * pgtable_64.h (swap entries), pgtable-invert.h, pgtable.h (pmd_present).
 */
#define OVM_PTE_PRESENT	 (UINT64_C(1) << 0)
#define OVM_PTE_ACCESSED (UINT64_C(1) << 5)
#define OVM_PTE_DIRTY	 (UINT64_C(1) << 6)
#define OVM_PTE_PSE	 (UINT64_C(1) << 7)
#define OVM_PTE_GLOBAL	 (UINT64_C(1) << 8)
#define OVM_PTE_ADDRESS	 UINT64_C(0x000ffffffffff000)

enum {
	OVM_TABLE_SHIFT = 9,
	OVM_TABLE_ENTRIES = 1 << OVM_TABLE_SHIFT,
	OVM_SWAP_TYPE_SHIFT = 59,
};

/** How to read the entries of one guest. */
struct ovm_pte_format {
	/** Address bits of an entry, without the encryption bit. */
	uint64_t address;
	/** Bits that are 0 in every present entry. */
	uint64_t reserved;
	uint32_t nr_swap_types;
	uint32_t migration_types;
	uint32_t marker_types;
};

enum ovm_pte_state {
	OVM_PTE_NONE,
	/** Points to the table of the next level. */
	OVM_PTE_TABLE,
	/** Maps a page of its level's size. */
	OVM_PTE_PAGE,
	/** Anything else: the kind says what. */
	OVM_PTE_OTHER,
};

/** A decoded entry; the fields are those of struct ovm_run. */
struct ovm_pte {
	uint64_t gpa;
	/** enum ovm_pte_state. */
	uint8_t state;
	/** enum ovm_page_kind, for OVM_PTE_OTHER. */
	uint8_t kind;
	uint8_t flags;
	uint8_t swap_type;
};

/** log2 of the bytes that one entry of a level maps. */
static inline OVM_HD unsigned int ovm_level_shift(unsigned int level)
{
	return OVM_PAGE_SHIFT + OVM_TABLE_SHIFT * (level - 1);
}

static inline OVM_HD struct ovm_pte ovm_pte_make(uint8_t state, uint8_t kind, uint64_t gpa)
{
	struct ovm_pte pte;

	pte.gpa = gpa;
	pte.state = state;
	pte.kind = kind;
	pte.flags = 0;
	pte.swap_type = 0;
	return pte;
}

/** Decode a swap entry: neither present nor empty nor PROT_NONE. */
static inline OVM_HD struct ovm_pte ovm_pte_decode_swap(const struct ovm_pte_format *format,
							uint64_t raw)
{
	uint32_t type = (uint32_t)(raw >> OVM_SWAP_TYPE_SHIFT);
	uint8_t kind = OVM_PAGE_OTHER;

	if (type < format->nr_swap_types)
		kind = OVM_PAGE_SWAP;
	else if (format->migration_types >> type & 1)
		kind = OVM_PAGE_MIGRATION;
	else if (format->marker_types >> type & 1)
		kind = OVM_PAGE_MARKER;

	struct ovm_pte pte = ovm_pte_make(OVM_PTE_OTHER, kind, ~raw << 5 >> 14);

	pte.swap_type = (uint8_t)type;
	return pte;
}

static inline OVM_HD struct ovm_pte ovm_pte_decode_absent(const struct ovm_pte_format *format,
							  uint64_t raw, unsigned int level)
{
	if (!(raw & ~(OVM_PTE_ACCESSED | OVM_PTE_DIRTY)))
		return ovm_pte_make(OVM_PTE_NONE, 0, 0);
	if (level > 3)
		return ovm_pte_make(OVM_PTE_OTHER, OVM_PAGE_BAD, 0);

	uint64_t page = level == 1 ? OVM_PTE_GLOBAL : OVM_PTE_PSE;

	if (raw & page) {
		uint64_t offset = (UINT64_C(1) << ovm_level_shift(level)) - 1;
		struct ovm_pte pte =
			ovm_pte_make(OVM_PTE_PAGE, 0, ~raw & format->address & ~offset);

		pte.flags = OVM_RUN_PROT_NONE;
		return pte;
	}
	if (raw & OVM_PTE_GLOBAL)
		return ovm_pte_make(OVM_PTE_OTHER, OVM_PAGE_BAD, 0);
	return ovm_pte_decode_swap(format, raw);
}

/** Decode an entry of a table of the given level. */
static inline OVM_HD struct ovm_pte ovm_pte_decode(const struct ovm_pte_format *format,
						   uint64_t raw, unsigned int level)
{
	if (!(raw & OVM_PTE_PRESENT))
		return ovm_pte_decode_absent(format, raw, level);
	if (raw & format->reserved)
		return ovm_pte_make(OVM_PTE_OTHER, OVM_PAGE_BAD, 0);

	uint64_t address = raw & format->address;

	if (level == 1)
		return ovm_pte_make(OVM_PTE_PAGE, 0, address);
	if (!(raw & OVM_PTE_PSE))
		return ovm_pte_make(OVM_PTE_TABLE, 0, address);

	/* Bit 12 is PAT. The encryption bit can't be below bit 32. */
	uint64_t offset = (UINT64_C(1) << ovm_level_shift(level)) - 1;

	address &= ~(UINT64_C(1) << OVM_PAGE_SHIFT);
	if (level > 3 || address & offset)
		return ovm_pte_make(OVM_PTE_OTHER, OVM_PAGE_BAD, 0);
	return ovm_pte_make(OVM_PTE_PAGE, 0, address);
}

/** Whether all of [gpa, gpa + len) is in one of the ranges, which are sorted and disjoint. */
static inline OVM_HD bool ovm_gpa_ranges_contain(const struct ovm_gpa_range *ranges, uint32_t nr,
						 uint64_t gpa, uint64_t len)
{
	for (uint32_t i = 0; i < nr; i++) {
		uint64_t offset = gpa - ranges[i].gpa;

		if (offset < ranges[i].size)
			return len <= ranges[i].size - offset;
	}
	return false;
}

/** The first of the ranges [@low, @high) that ends after @va; @high when there is none. */
static inline OVM_HD uint32_t ovm_walk_range_find(const struct ovm_walk_range *ranges, uint32_t low,
						  uint32_t high, uint64_t va)
{
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (ranges[middle].end <= va)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/** The first of the ranges [@low, @high) that starts at or after @va; @high when there is none. */
static inline OVM_HD uint32_t ovm_walk_range_find_start(const struct ovm_walk_range *ranges,
							uint32_t low, uint32_t high, uint64_t va)
{
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (ranges[middle].start < va)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/** Whether the pages of a run of this kind follow each other in its gpa field. */
static inline OVM_HD bool ovm_run_is_linear(const struct ovm_run *run)
{
	return OVM_PAGE_BIT(run->kind) &
	       (OVM_PAGE_BIT(OVM_PAGE_ANON) | OVM_PAGE_BIT(OVM_PAGE_FILE) |
		OVM_PAGE_BIT(OVM_PAGE_MAPPED) | OVM_PAGE_BIT(OVM_PAGE_DEVICE) |
		OVM_PAGE_BIT(OVM_PAGE_SWAP));
}

/**
 * Append @next to @run if they make one run. The rule is associative, so runs that were made from
 * pieces of an address space don't depend on where it was cut.
 */
static inline OVM_HD bool ovm_run_merge(struct ovm_run *run, const struct ovm_run *next)
{
	if (run->kind != next->kind || run->range != next->range || run->flags != next->flags ||
	    run->swap_type != next->swap_type ||
	    run->va + (run->nr_pages << OVM_PAGE_SHIFT) != next->va)
		return false;
	if (ovm_run_is_linear(run)) {
		unsigned int shift = run->kind == OVM_PAGE_SWAP ? 0 : OVM_PAGE_SHIFT;

		if (run->gpa + (run->nr_pages << shift) != next->gpa)
			return false;
	} else if (run->kind != OVM_PAGE_ZERO && run->gpa != next->gpa) {
		return false;
	}
	run->nr_pages += next->nr_pages;
	return true;
}

#endif /* OVM_KERNELS_CUDA_PAGEOPS_H */
