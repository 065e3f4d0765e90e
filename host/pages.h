/* SPDX-License-Identifier: GPL-2.0-only */
/* Which pages of a tree of processes go into the images, and getting them there. */
#ifndef OVM_HOST_PAGES_H
#define OVM_HOST_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/image/image.h"
#include "kernels-cuda/engine.h"
#include "vmi/error.h"
#include "vmi/extract/record.h"
#include "vmi/kernel.h"

/** One pages-N.img: what is to be in it, and the pagemap that tells what it holds. */
struct ovm_pages_file {
	/** N; set when the pages are copied. */
	uint32_t id;
	/** What there is to be saved, and what stands in the way of it, by address. */
	struct ovm_run *runs;
	size_t nr_runs;
	/** Others than the process may write these pages. */
	bool outsiders;
	/** The number by which the parent's images were asked; set when the pages are copied. */
	uint64_t number;
	/** Set when the pages are copied. */
	struct ovm_image_pagemap_entry *entries;
	size_t nr_entries;
	/** Which the entries point into. */
	uint32_t *block_sizes;
	/** Pages that were compressed at a time; 0: none were. */
	uint32_t block_pages;
	/** The process whose private memory it is, or the shared memory object. */
	const struct ovm_rec_process *process;
	const struct ovm_rec_shmem *shmem;
};

/** Pages by what becomes of them: written, with the bytes that takes; left out as zero; left to the
 * parent's images. */
struct ovm_page_counts {
	uint64_t written, zero, parent;
	uint64_t bytes;
};

/** All pages of a tree. */
struct ovm_pages {
	/** Private memory of all processes but zombies, in the order of the tree; shared memory. */
	struct ovm_pages_file *files;
	size_t nr_files, nr_private;
	/** Pages whose tables were looked at. */
	uint64_t scanned;
	/** Pages to be written, as found and, once they are copied, as they were written. */
	struct ovm_page_counts private, shmem;
};

/**
 * Walk the page tables of all processes and decide what is saved: anonymous pages, pages of private
 * file mappings that differ from the file, the vDSO, the content of shared memory. What is found
 * in a guest that runs need not be true.
 *
 * Errors: OVM_ERROR_NOT_DUMPABLE for shared memory that is swapped out, OVM_ERROR_BUDGET for more
 * pages than RAM accounts for, those of ovm_engine_walk().
 */
struct ovm_error *ovm_pages_look(struct ovm_engine *engine, struct ovm_kernel *kernel,
				 const struct ovm_rec_tree *tree, bool (*cancelled)(void *arg),
				 void *arg, struct ovm_pages *ret);

/**
 * The error for pages of private memory that can't be saved, or NULL for those that can.
 *
 * Errors: OVM_ERROR_NOT_DUMPABLE for pages that are swapped out or not memory,
 * OVM_ERROR_INCONSISTENT for pages that are on the move, OVM_ERROR_CORRUPT.
 */
struct ovm_error *ovm_pages_check_run(int32_t pid, const struct ovm_run *run);

/** No number is known to be the one in the images. */
#define OVM_PAGES_NO_NUMBER UINT64_MAX

/** The number of a shared memory object in the images, unless those have to be made up. */
uint64_t ovm_pages_object_number(const struct ovm_rec_shmem *shmem);

/** Release what was found; also what is all zero. */
void ovm_pages_deinit(struct ovm_pages *pages);

enum { OVM_PAGES_NAME = 32 };

/** Name of pages-@id.img. */
void ovm_pages_name(uint32_t id, char name[OVM_PAGES_NAME]);

/**
 * Overwrite bytes of a process' private memory in the image. False when that doesn't hold all of
 * them.
 */
struct ovm_error *ovm_pages_patch(const struct ovm_pages *pages, int dir_fd,
				  const struct ovm_rec_process *process, uint64_t address,
				  const void *bytes, size_t len, bool *done);

#endif /* OVM_HOST_PAGES_H */
