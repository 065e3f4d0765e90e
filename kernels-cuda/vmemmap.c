// SPDX-License-Identifier: GPL-2.0-only
#include "vmemmap.h"

#include <stdlib.h>

#include "../vmi/cleanup.h"

struct ovm_error *ovm_vmemmap_create(const struct ovm_memory *memory,
				     const struct ovm_pte_format *format, uint64_t pgd,
				     unsigned int levels, struct ovm_vmemmap **ret)
{
	struct ovm_vmemmap *vmemmap = calloc(1, sizeof(*vmemmap));

	if (!vmemmap)
		return ovm_error_no_memory();
	vmemmap->memory = memory;
	vmemmap->format = *format;
	vmemmap->pgd = pgd;
	vmemmap->levels = levels;
	*ret = vmemmap;
	return NULL;
}

void ovm_vmemmap_destroy(struct ovm_vmemmap *vmemmap)
{
	if (!vmemmap)
		return;
	free(vmemmap->copies);
	ovm_error_free(vmemmap->err);
	free(vmemmap);
}

/* Read guest memory: what is not RAM is the guest's fault, all else is kept as an error. */
static bool vmemmap_read(struct ovm_vmemmap *vmemmap, uint64_t gpa, void *buf, size_t len)
{
	struct ovm_error *err = ovm_memory_read(vmemmap->memory, gpa, buf, len);

	if (!err)
		return true;
	if (err->code == OVM_ERROR_FAULT || vmemmap->err)
		ovm_error_free(err);
	else
		vmemmap->err = err;
	return false;
}

bool ovm_vmemmap_translate(struct ovm_vmemmap *vmemmap, uint64_t va, uint64_t *ret_gpa,
			   unsigned int *ret_shift)
{
	uint64_t table = vmemmap->pgd;

	for (unsigned int level = vmemmap->levels; level; level--) {
		unsigned int shift = ovm_level_shift(level);
		uint64_t index = va >> shift & (OVM_TABLE_ENTRIES - 1);
		uint64_t raw;

		if (!vmemmap_read(vmemmap, table + index * sizeof(raw), &raw, sizeof(raw)))
			return false;

		struct ovm_pte pte = ovm_pte_decode(&vmemmap->format, raw, level);

		if (pte.state == OVM_PTE_PAGE && !(pte.flags & OVM_RUN_PROT_NONE)) {
			*ret_gpa = pte.gpa + (va & ((UINT64_C(1) << shift) - 1));
			*ret_shift = shift;
			return true;
		}
		if (pte.state != OVM_PTE_TABLE)
			return false;
		table = pte.gpa;
	}
	return false;
}

/* Fill a page's slot with a copy of its contents. */
static const uint8_t *vmemmap_copy_page(struct ovm_vmemmap *vmemmap, uint64_t gpa, size_t index)
{
	if (!vmemmap->copies)
		vmemmap->copies = malloc((size_t)OVM_VMEMMAP_PAGES * OVM_PAGE_SIZE);
	if (!vmemmap->copies) {
		if (!vmemmap->err)
			vmemmap->err = ovm_error_no_memory();
		return NULL;
	}

	uint8_t *copy = vmemmap->copies + index * OVM_PAGE_SIZE;

	return vmemmap_read(vmemmap, gpa, copy, OVM_PAGE_SIZE) ? copy : NULL;
}

static const uint8_t *vmemmap_fill_page(struct ovm_vmemmap *vmemmap, uint64_t va, uint64_t gpa)
{
	uint64_t number = va >> OVM_PAGE_SHIFT;
	size_t index = number % OVM_VMEMMAP_PAGES;
	struct ovm_vmemmap_slot *slot = &vmemmap->pages[index];
	uint64_t page_gpa = gpa & ~(uint64_t)(OVM_PAGE_SIZE - 1);

	/* The slot's copy may be about to change. */
	slot->tag = 0;

	const uint8_t *data = ovm_memory_peek(vmemmap->memory, page_gpa, OVM_PAGE_SIZE);

	if (!data)
		data = vmemmap_copy_page(vmemmap, page_gpa, index);
	if (!data)
		return NULL;
	slot->data = data;
	slot->tag = number + 1;
	return data + va % OVM_PAGE_SIZE;
}

const uint8_t *ovm_vmemmap_find(struct ovm_vmemmap *vmemmap, uint64_t va)
{
	const uint64_t chunk_size = UINT64_C(1) << OVM_VMEMMAP_CHUNK_SHIFT;
	uint64_t number = va >> OVM_VMEMMAP_CHUNK_SHIFT;
	struct ovm_vmemmap_slot *slot = &vmemmap->chunks[number % OVM_VMEMMAP_CHUNKS];
	uint64_t gpa;
	unsigned int shift;

	if (!ovm_vmemmap_translate(vmemmap, va, &gpa, &shift))
		return NULL;
	/* Ask once per chunk whether it can be used whole. */
	if (slot->tag != number + 1 && shift >= OVM_VMEMMAP_CHUNK_SHIFT) {
		uint64_t chunk_gpa = gpa & ~(chunk_size - 1);

		slot->data = ovm_memory_peek(vmemmap->memory, chunk_gpa, chunk_size);
		slot->tag = number + 1;
		if (slot->data)
			return slot->data + va % chunk_size;
	}
	return vmemmap_fill_page(vmemmap, va, gpa);
}
