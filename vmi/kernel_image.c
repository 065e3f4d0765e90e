// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel image as a page table shows it: where it starts, which parts are
 * text, read-only data and data.
 */
#include "kernel_private.h"

enum {
	/* More steps than 4 KiB pages in the room for the image would be a fault of ours. */
	MAX_STEPS = OVM_KERNEL_IMAGE_ROOM / 4096,
	MAX_RUNS = sizeof(((struct ovm_image_map *)NULL)->runs) / sizeof(struct ovm_image_run),
};

/* Take a mapping into the last run or a new one; false when it belongs to no image any more. */
static bool add_mapping(struct ovm_image_map *map, const struct ovm_mapping *mapping)
{
	uint64_t phys_base = mapping->gpa - (mapping->address - OVM_START_KERNEL_MAP);
	struct ovm_image_run *last = map->nr ? &map->runs[map->nr - 1] : NULL;

	if (!map->nr) {
		map->start = mapping->address;
		map->phys_base = phys_base;
	} else if (phys_base != map->phys_base) {
		return false;
	}
	if (last && last->address + last->size == mapping->address &&
	    last->writable == mapping->writable && last->no_execute == mapping->no_execute) {
		last->size += mapping->size;
	} else {
		if (map->nr == MAX_RUNS)
			return false;
		map->runs[map->nr++] = (struct ovm_image_run){
			mapping->address, mapping->size, mapping->writable, mapping->no_execute};
	}
	map->end = mapping->address + mapping->size;
	return true;
}

struct ovm_error *ovm_image_map(const struct ovm_memory *memory, uint64_t pgd_gpa,
				unsigned int levels, struct ovm_image_map *ret)
{
	const uint64_t end = OVM_START_KERNEL_MAP + OVM_KERNEL_IMAGE_ROOM;
	uint64_t address = OVM_START_KERNEL_MAP;
	struct ovm_pagetable table;

	*ret = (struct ovm_image_map){.pgd_gpa = pgd_gpa, .levels = levels};
	ovm_pagetable_init(&table, memory, pgd_gpa, levels, 0);
	for (unsigned int i = 0; i < MAX_STEPS && address < end; i++) {
		struct ovm_mapping mapping;
		struct ovm_error *err = ovm_pagetable_lookup(&table, address, &mapping);

		if (err)
			return err;
		if (mapping.size > end - address)
			mapping.size = end - address;
		/* Parts that are freed after boot are unmapped. */
		if (mapping.mapped && (mapping.entry & OVM_PTE_PRESENT) &&
		    !add_mapping(ret, &mapping))
			break;
		address += mapping.size;
	}
	/* The image is aligned to 2 MiB and far larger than that. */
	if (!ret->nr || ret->start % (2 << 20) || ret->end - ret->start < (4 << 20))
		return ovm_error_address(OVM_ERROR_KERNEL, pgd_gpa,
					 "no kernel image is mapped by the page table at");
	return NULL;
}
