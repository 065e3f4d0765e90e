/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A worker's view of the guest kernel's page descriptors.
 *
 * The kernel maps them at consecutive virtual addresses (SPARSEMEM_VMEMMAP),
 * mostly by 2 MiB pages, each of which describes 128 MiB of RAM. So a small cache
 * of translations, direct-mapped, makes nearly every look-up two loads.
 */
#ifndef OVM_KERNELS_CUDA_VMEMMAP_H
#define OVM_KERNELS_CUDA_VMEMMAP_H

#include "engine.h"
#include "pageops.h"

enum {
	OVM_VMEMMAP_CHUNK_SHIFT = 21,
	/* Chunks of descriptors that are cached: those of 64 GiB of RAM. */
	OVM_VMEMMAP_CHUNKS = 512,
	/* Single pages of descriptors, where chunks aren't contiguous or can't be mapped. */
	OVM_VMEMMAP_PAGES = 512,
};

struct ovm_vmemmap_slot {
	/** Page or chunk number plus 1; 0: empty. */
	uint64_t tag;
	/** NULL: a chunk that must be looked up by page, a page that can't be read. */
	const uint8_t *data;
};

struct ovm_vmemmap {
	const struct ovm_memory *memory;
	struct ovm_pte_format format;
	uint64_t pgd;
	unsigned int levels;
	struct ovm_vmemmap_slot chunks[OVM_VMEMMAP_CHUNKS];
	struct ovm_vmemmap_slot pages[OVM_VMEMMAP_PAGES];
	/** Copies of pages that can't be mapped; allocated when the first one is met. */
	uint8_t *copies;
	/** Failures of the host; those of the guest's page tables read as "not there". */
	struct ovm_error *err;
};

/** Make a view with an empty cache; @format is that of the guest's page tables. */
struct ovm_error *ovm_vmemmap_create(const struct ovm_memory *memory,
				     const struct ovm_pte_format *format, uint64_t pgd,
				     unsigned int levels, struct ovm_vmemmap **ret);

/** Free a view; NULL is fine. */
void ovm_vmemmap_destroy(struct ovm_vmemmap *vmemmap);

/**
 * Walk the kernel's page tables to @va; @ret_shift is log2 of the size of the page found. False if
 * nothing is mapped there, or if it can't be read: see @err.
 */
bool ovm_vmemmap_translate(struct ovm_vmemmap *vmemmap, uint64_t va, uint64_t *ret_gpa,
			   unsigned int *ret_shift);

/** Where the page of descriptors at @va can be read; NULL if it can't. */
const uint8_t *ovm_vmemmap_find(struct ovm_vmemmap *vmemmap, uint64_t va);

/** Where 8 aligned bytes at @va can be read, if the translation is in the cache. */
static inline const uint8_t *ovm_vmemmap_cached(const struct ovm_vmemmap *vmemmap, uint64_t va)
{
	uint64_t number = va >> OVM_VMEMMAP_CHUNK_SHIFT;
	const struct ovm_vmemmap_slot *slot = &vmemmap->chunks[number % OVM_VMEMMAP_CHUNKS];

	if (slot->tag == number + 1 && slot->data)
		return slot->data + va % (1 << OVM_VMEMMAP_CHUNK_SHIFT);
	number = va >> OVM_PAGE_SHIFT;
	slot = &vmemmap->pages[number % OVM_VMEMMAP_PAGES];
	if (slot->tag == number + 1 && slot->data)
		return slot->data + va % OVM_PAGE_SIZE;
	return NULL;
}

/** Read 8 aligned bytes at @va, once; false if they can't be read. */
static inline bool ovm_vmemmap_load(struct ovm_vmemmap *vmemmap, uint64_t va, uint64_t *ret)
{
	const uint8_t *data = va % 8 ? NULL : ovm_vmemmap_cached(vmemmap, va);

	if (!data) {
		data = va % 8 ? NULL : ovm_vmemmap_find(vmemmap, va);
		if (!data)
			return false;
	}
	*ret = *(const volatile uint64_t *)data;
	return true;
}

#endif /* OVM_KERNELS_CUDA_VMEMMAP_H */
