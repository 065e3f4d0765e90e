/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * x86-64 page tables, as the processor and Linux read them.
 *
 * Layout (Intel SDM vol. 3, 4.5): 512 entries of 8 bytes a table; levels are
 * counted from 1 (PT, 4 KiB a page) over 2 (PD, 2 MiB) and 3 (PDPT, 1 GiB) to
 * 4 (PML4) or 5 (PML5).  Bits 12-51 hold the physical address; bit 7 in
 * levels 2 and 3 says that the entry maps a page itself, and moves the PAT bit
 * to bit 12.  Bits 13 to 20 or 29 of such an entry are reserved.
 *
 * Linux (arch/x86/include/asm/pgtable*.h) keeps pages in entries that are not
 * present as well: with bit 8 set (PROT_NONE, NUMA hints), and large ones that
 * are being split, with bit 7 set.  In every entry that is not present and not
 * zero it stores the bits of the page's address inverted (pgtable-invert.h,
 * since v4.18), against speculative reads through them; the bits below the
 * alignment of a large page stay clear.
 */
#ifndef OVM_VMI_PAGETABLE_H
#define OVM_VMI_PAGETABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "memory.h"

#ifdef __cplusplus
extern "C" {
#endif

#define OVM_PTE_PRESENT	      (1ULL << 0)
#define OVM_PTE_WRITABLE      (1ULL << 1)
#define OVM_PTE_USER	      (1ULL << 2)
#define OVM_PTE_PAGE_SIZE     (1ULL << 7)
#define OVM_PTE_PROT_NONE     (1ULL << 8)
#define OVM_PTE_NO_EXECUTE    (1ULL << 63)
#define OVM_PTE_ADDRESS_MASK  0x000ffffffffff000ULL
#define OVM_PAGE_SIZE	      4096ULL
#define OVM_PAGETABLE_ENTRIES 512

/** Lowest address bit that an index into a table of @level covers: 12 for level 1. */
static inline unsigned int ovm_pagetable_shift(unsigned int level)
{
	return 12 + 9 * (level - 1);
}

/** Which entry of a table of @level maps @address. */
static inline unsigned int ovm_pagetable_index(uint64_t address, unsigned int level)
{
	return (address >> ovm_pagetable_shift(level)) % OVM_PAGETABLE_ENTRIES;
}

/** Whether the upper bits of @address are copies of the highest translated one. */
static inline bool ovm_pagetable_canonical(uint64_t address, unsigned int levels)
{
	unsigned int unused = 64 - (ovm_pagetable_shift(levels) + 9);

	return (uint64_t)((int64_t)(address << unused) >> unused) == address;
}

enum ovm_pte_kind {
	/** Nothing there: empty, or a swap or migration entry. */
	OVM_PTE_NONE,
	/** The address of the next lower table. */
	OVM_PTE_TABLE,
	/** The address of a page, present or not. */
	OVM_PTE_PAGE,
	/** Set in a way that neither the processor nor Linux allows. */
	OVM_PTE_BAD,
};

/**
 * Tell what an entry of a table of @level holds, and the address in it.
 *
 * @sme_mask: the memory encryption bit, which is no part of the address.
 */
static inline enum ovm_pte_kind ovm_pte_decode(uint64_t entry, unsigned int level,
					       uint64_t sme_mask, uint64_t *address)
{
	bool present = entry & OVM_PTE_PRESENT;
	bool may_be_large = level == 2 || level == 3;
	bool large = may_be_large && (entry & OVM_PTE_PAGE_SIZE);
	uint64_t bits = (present ? entry : ~entry) & OVM_PTE_ADDRESS_MASK & ~sme_mask;

	if (!present && !(entry & OVM_PTE_PROT_NONE) && !large)
		return OVM_PTE_NONE;
	if (level == 1 || large) {
		uint64_t offset_mask = (1ULL << ovm_pagetable_shift(level)) - 1;
		/* Bit 12 of a large page is its PAT bit. */
		uint64_t reserved = OVM_PTE_ADDRESS_MASK & offset_mask & ~OVM_PAGE_SIZE;

		*address = bits & ~offset_mask;
		return entry & reserved ? OVM_PTE_BAD : OVM_PTE_PAGE;
	}
	*address = bits;
	return present && !(entry & OVM_PTE_PAGE_SIZE) ? OVM_PTE_TABLE : OVM_PTE_BAD;
}

/** A piece of an address space that one entry maps, or that nothing maps. */
struct ovm_mapping {
	/** First address and bytes; starts at the address asked for, ends with the entry. */
	uint64_t address, size;
	/** Whether there is a page, even if it is not present. */
	bool mapped;
	/** Guest physical address of @address. */
	uint64_t gpa;
	/** The entry itself. */
	uint64_t entry;
	/** Level of the entry. */
	unsigned int level;
	/** Whether all levels allow writing, user mode, and forbid execution, respectively. */
	bool writable, user, no_execute;
};

/** Where a page table is and how it is read; reads each table it needs once. */
struct ovm_pagetable {
	const struct ovm_memory *memory;
	/** Guest physical address of the top table. */
	uint64_t root;
	/** 4 or 5. */
	unsigned int levels;
	uint64_t sme_mask;
	/** Copies of the last tables of each level, for memory that can't be mapped. */
	struct {
		uint64_t gpa;
		bool valid;
		uint64_t entries[OVM_PAGETABLE_ENTRIES];
	} cache[5];
};

/** Prepare to walk the table at @root. What was read is kept until the next call of this. */
void ovm_pagetable_init(struct ovm_pagetable *table, const struct ovm_memory *memory, uint64_t root,
			unsigned int levels, uint64_t sme_mask);

/**
 * Find out what is at @address and how far that goes.
 *
 * Errors: OVM_ERROR_FAULT when @address is not canonical or a table is not in RAM,
 * OVM_ERROR_CORRUPT for an entry that can't be.
 */
struct ovm_error *ovm_pagetable_lookup(struct ovm_pagetable *table, uint64_t address,
				       struct ovm_mapping *ret);

#ifdef __cplusplus
}
#endif

#endif /* OVM_VMI_PAGETABLE_H */
