// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pagemaps: which pages a pages-N.img holds, in its order.
 *
 * Entries may span areas. They are split where pages that may be restored lazily (private
 * anonymous memory that is neither locked nor huge pages) meet others, as CRIU has it.
 */
#include "pagemap.h"

#include "file.h"
#include "mm.h"
#include "proto/pagemap.pb-c.h"
#include "vmi/cleanup.h"
#include "write.h"

enum {
	PAGE_SHIFT = 12,
	/* Flags of an entry. */
	PE_PARENT = 1,
	PE_LAZY = 2,
	PE_PRESENT = 4,
	PE_ALIGNED = 8,
	/* Bytes of an entry have to fit into 32 bits nowhere, but its pages times 4096 into 63. */
	MAX_PAGES = 1 << 30,
};

struct walk {
	struct ovm_image_file *image;
	/* Where the next pages lie, or NULL with @flat. */
	const struct ovm_rec_vma *vma;
	bool flat;
	/* What the entries being added are. */
	uint32_t flags;
	PagemapEntry entry;
};

static struct ovm_error *put(struct walk *walk)
{
	if (!walk->entry.nr_pages)
		return NULL;
	struct ovm_error *err = ovm_image_file_put(walk->image, &walk->entry.base);

	walk->entry.nr_pages = 0;
	return err;
}

/* Add pages with the same flags, to the present entry if they go on from there. */
static struct ovm_error *add(struct walk *walk, uint64_t address, uint64_t nr, uint32_t flags)
{
	PagemapEntry *entry = &walk->entry;

	while (nr) {
		uint64_t end = entry->vaddr + ((uint64_t)entry->nr_pages << PAGE_SHIFT);

		if (entry->nr_pages == MAX_PAGES || end != address || entry->flags != flags) {
			struct ovm_error *err = put(walk);

			if (err)
				return err;
			entry->vaddr = address;
			entry->flags = flags;
		}
		uint64_t part = MAX_PAGES - entry->nr_pages;

		if (part > nr)
			part = nr;
		entry->nr_pages += (uint32_t)part;
		address += part << PAGE_SHIFT;
		nr -= part;
	}
	return NULL;
}

static struct ovm_error *add_in_areas(struct walk *walk, uint64_t address, uint64_t nr)
{
	struct ovm_error *err = NULL;

	while (nr && !err) {
		while (walk->vma && walk->vma->end <= address)
			walk->vma = walk->vma->next;
		if (!walk->vma || walk->vma->start > address)
			return ovm_error_address(OVM_ERROR_CORRUPT, address,
						 "a page lies in no memory area");
		uint64_t part = (walk->vma->end - address) >> PAGE_SHIFT;
		uint32_t lazy = walk->flags & PE_PRESENT && ovm_image_vma_may_be_lazy(walk->vma)
					? PE_LAZY
					: 0;

		if (!part || part > nr)
			part = nr;
		err = add(walk, address, part, walk->flags | lazy);
		address += part << PAGE_SHIFT;
		nr -= part;
	}
	return err;
}

/* Whether pages are lazy, all of them or none. */
static struct ovm_error *find_lazy(struct walk *walk, uint64_t address, uint64_t nr, uint32_t *ret)
{
	const uint64_t end = address + (nr << PAGE_SHIFT);
	bool first = true;

	*ret = 0;
	while (!walk->flat && address < end) {
		while (walk->vma && walk->vma->end <= address)
			walk->vma = walk->vma->next;
		uint32_t lazy = walk->vma && ovm_image_vma_may_be_lazy(walk->vma) ? PE_LAZY : 0;

		if (!walk->vma || walk->vma->start > address || (!first && lazy != *ret))
			return ovm_error_address(OVM_ERROR_CORRUPT, address,
						 "a block of pages lies in no memory area");
		*ret = lazy;
		first = false;
		address = walk->vma->end;
	}
	return NULL;
}

/* Pages that are in compressed blocks: an entry of its own. */
static struct ovm_error *add_blocks(struct walk *walk, const struct ovm_image_pagemap_entry *pages,
				    uint32_t block_pages)
{
	PagemapBlocks blocks = PAGEMAP_BLOCKS__INIT;
	PagemapEntry entry = PAGEMAP_ENTRY__INIT;
	uint32_t lazy;
	struct ovm_error *err = put(walk);

	if (!err)
		err = find_lazy(walk, pages->address, pages->nr_pages, &lazy);
	if (err)
		return err;
	blocks.n_block_sizes = pages->nr_blocks;
	blocks.block_sizes = (uint32_t *)(uintptr_t)pages->block_sizes;
	blocks.has_total_payload_size = blocks.has_pages_per_block = true;
	for (size_t i = 0; i < pages->nr_blocks; i++)
		blocks.total_payload_size += pages->block_sizes[i];
	blocks.pages_per_block = block_pages;
	entry.vaddr = pages->address;
	entry.nr_pages = (uint32_t)pages->nr_pages;
	entry.has_flags = true;
	entry.flags = walk->flags | lazy;
	entry.blocks = &blocks;
	return ovm_image_file_put(walk->image, &entry.base);
}

/* CRIU looks in the parent's images for a pagemap of the same number. */
static struct ovm_error *check_number(const struct ovm_image_pagemap *pagemap, uint64_t number)
{
	for (size_t i = 0; i < pagemap->nr && pagemap->number != number; i++)
		if (pagemap->entries[i].in_parent)
			return ovm_error_format(OVM_ERROR_NOT_DUMPABLE,
						"shared memory %llu has another number (%llu) than "
						"its inode: dump without a parent",
						(unsigned long long)pagemap->number,
						(unsigned long long)number);
	return NULL;
}

static struct ovm_error *add_entries(struct walk *walk, const struct ovm_image_pagemap *pagemap)
{
	struct ovm_error *err = NULL;
	uint64_t last = 0;

	for (size_t i = 0; i < pagemap->nr && !err; i++) {
		const struct ovm_image_pagemap_entry *entry = &pagemap->entries[i];

		if (entry->address < last ||
		    entry->nr_pages > (UINT64_MAX - entry->address) >> PAGE_SHIFT)
			return ovm_error_address(OVM_ERROR_CORRUPT, entry->address,
						 "pages are out of order");
		last = entry->address + (entry->nr_pages << PAGE_SHIFT);
		walk->flags = entry->in_parent ? PE_PARENT : PE_PRESENT;
		if (entry->aligned)
			walk->flags |= PE_ALIGNED;
		if (entry->nr_blocks)
			err = add_blocks(walk, entry, pagemap->block_pages);
		else if (walk->flat)
			err = add(walk, entry->address, entry->nr_pages, walk->flags);
		else
			err = add_in_areas(walk, entry->address, entry->nr_pages);
	}
	return err ? err : put(walk);
}

struct ovm_error *ovm_image_pagemap_write(int dir_fd, enum ovm_image_type type, uint64_t number,
					  const struct ovm_image_pagemap *pagemap,
					  const struct ovm_rec_vma *vmas)
{
	_cleanup_image_file_ struct ovm_image_file *image = NULL;
	PagemapHead head = PAGEMAP_HEAD__INIT;
	struct ovm_error *err = check_number(pagemap, number);

	if (!err)
		err = ovm_image_file_create(dir_fd, type, number, &image);
	if (err)
		return err;
	struct walk walk = {
		.image = image,
		.vma = vmas,
		.flat = !vmas,
		.entry = PAGEMAP_ENTRY__INIT,
	};

	head.pages_id = pagemap->pages_id;
	walk.entry.has_flags = true;
	err = ovm_image_file_put(image, &head.base);
	if (!err)
		err = add_entries(&walk, pagemap);
	if (err)
		return err;
	return ovm_image_file_finish(ovm_take_pointer(image));
}

struct ovm_error *ovm_image_write_pagemap(const struct ovm_image_job *job)
{
	const struct ovm_rec_process *rec = job->process->rec;

	return ovm_error_prepend(ovm_image_pagemap_write(job->dir_fd, OVM_IMAGE_PAGEMAP,
							 (uint64_t)rec->pid, &job->process->pagemap,
							 rec->mm.vmas),
				 "pid %d", rec->pid);
}
