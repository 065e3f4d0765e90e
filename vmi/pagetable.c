// SPDX-License-Identifier: GPL-2.0-only
#include "pagetable.h"

#include <string.h>

void ovm_pagetable_init(struct ovm_pagetable *table, const struct ovm_memory *memory, uint64_t root,
			unsigned int levels, uint64_t sme_mask)
{
	table->memory = memory;
	table->root = root & OVM_PTE_ADDRESS_MASK & ~sme_mask;
	table->levels = levels;
	table->sme_mask = sme_mask;
	for (size_t i = 0; i < sizeof(table->cache) / sizeof(table->cache[0]); i++)
		table->cache[i].valid = false;
}

static struct ovm_error *read_entry(struct ovm_pagetable *table, uint64_t table_gpa,
				    unsigned int level, unsigned int index, uint64_t *ret)
{
	const volatile uint64_t *mapped =
		ovm_memory_peek(table->memory, table_gpa + index * sizeof(*ret), sizeof(*ret));

	if (mapped) {
		*ret = *mapped;
		return NULL;
	}

	/* A system call reads a whole table for hardly more than one entry. */
	__typeof__(&table->cache[0]) cache = &table->cache[level - 1];

	if (!cache->valid || cache->gpa != table_gpa) {
		struct ovm_error *err = ovm_memory_read(table->memory, table_gpa, cache->entries,
							sizeof(cache->entries));

		if (err) {
			cache->valid = false;
			return err;
		}
		cache->gpa = table_gpa;
		cache->valid = true;
	}
	*ret = cache->entries[index];
	return NULL;
}

static void set_extent(struct ovm_mapping *mapping, uint64_t address, unsigned int level,
		       uint64_t page)
{
	uint64_t offset = address & ((1ULL << ovm_pagetable_shift(level)) - 1);

	mapping->address = address;
	mapping->size = (1ULL << ovm_pagetable_shift(level)) - offset;
	mapping->gpa = page + offset;
	mapping->level = level;
}

struct ovm_error *ovm_pagetable_lookup(struct ovm_pagetable *table, uint64_t address,
				       struct ovm_mapping *ret)
{
	uint64_t gpa = table->root;

	*ret = (struct ovm_mapping){.writable = true, .user = true};
	if (!ovm_pagetable_canonical(address, table->levels))
		return ovm_error_address(OVM_ERROR_FAULT, address, "not an address of the guest:");

	for (unsigned int level = table->levels;; level--) {
		uint64_t entry;
		struct ovm_error *err =
			read_entry(table, gpa, level, ovm_pagetable_index(address, level), &entry);

		if (err)
			return ovm_error_prepend(err, "page table of guest address 0x%llx",
						 (unsigned long long)address);
		ret->entry = entry;
		switch (ovm_pte_decode(entry, level, table->sme_mask, &gpa)) {
		case OVM_PTE_BAD:
			return ovm_error_address(OVM_ERROR_CORRUPT, address,
						 "reserved bits are set in the page-table entry "
						 "(level %u, 0x%llx) of guest address",
						 level, (unsigned long long)entry);
		case OVM_PTE_NONE:
			set_extent(ret, address, level, 0);
			return NULL;
		case OVM_PTE_TABLE:
		case OVM_PTE_PAGE:
			break;
		}
		ret->writable &= !!(entry & OVM_PTE_WRITABLE);
		ret->user &= !!(entry & OVM_PTE_USER);
		ret->no_execute |= !!(entry & OVM_PTE_NO_EXECUTE);
		if (level == 1 || (level <= 3 && (entry & OVM_PTE_PAGE_SIZE))) {
			ret->mapped = true;
			set_extent(ret, address, level, gpa);
			return NULL;
		}
	}
}
