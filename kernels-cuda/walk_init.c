// SPDX-License-Identifier: GPL-2.0-only
/* From a request to what the walker needs. */
#include <string.h>

#include "backend.h"
#include "devicewalk.h"

static void format_init(struct ovm_pte_format *format, const struct ovm_walk_request *request)
{
	uint64_t beyond = ~((UINT64_C(1) << request->phys_bits) - 1);

	format->address = OVM_PTE_ADDRESS & ~request->sme_mask;
	format->reserved = OVM_PTE_ADDRESS & beyond & ~request->sme_mask;
	format->nr_swap_types = request->nr_swap_types;
	format->migration_types = request->migration_types;
	format->marker_types = request->marker_types;
}

void ovm_walk_init(struct ovm_walk *walk, const struct ovm_engine *engine,
		   const struct ovm_walk_request *request)
{
	const struct ovm_gpa_range *last = &engine->ram[engine->nr_ram - 1];

	format_init(&walk->format, request);
	walk->ranges = request->ranges;
	walk->nr_ranges = (uint32_t)request->nr_ranges;
	walk->ram = engine->ram;
	walk->nr_ram = engine->nr_ram;
	walk->zero_pages = request->zero_pages;
	walk->nr_zero_pages = (uint32_t)request->nr_zero_pages;
	if (!request->page)
		return;
	walk->vmemmap_base = request->page->vmemmap_base;
	walk->page_size = request->page->page_size;
	walk->mapping_offset = request->page->mapping_offset;
	walk->compound_head_offset = request->page->compound_head_offset;
	walk->vmemmap_size = ((last->gpa + last->size) >> OVM_PAGE_SHIFT) * walk->page_size;
}
