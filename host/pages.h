/* SPDX-License-Identifier: GPL-2.0-only */
/* Which pages of a process go into the images, and getting them there. */
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

/** One pages-N.img: what is copied into it and the pagemap that tells what it holds. */
struct ovm_pages_file {
	/** N. */
	uint32_t id;
	struct ovm_page_list *list;
	struct ovm_image_pagemap_entry *entries;
	/** The shared memory object it belongs to; NULL: the process' private memory. */
	const struct ovm_rec_shmem *shmem;
};

/** All pages of one process. */
struct ovm_pages {
	struct ovm_pages_file *files; /* private memory first */
	size_t nr_files;
	/** Pages whose tables were looked at, and pages to be written. */
	uint64_t scanned, private_pages, shmem_pages;
};

/**
 * Walk the page tables of a process and decide what is saved: anonymous pages, pages of private
 * file mappings that differ from the file, the vDSO, the content of shared memory.
 *
 * Errors: OVM_ERROR_NOT_DUMPABLE for pages that are swapped out, OVM_ERROR_INCONSISTENT for pages
 * that are on the move, OVM_ERROR_BUDGET for more pages than RAM accounts for, those of
 * ovm_engine_walk().
 */
struct ovm_error *ovm_pages_plan(struct ovm_engine *engine, struct ovm_kernel *kernel,
				 const struct ovm_rec_process *process, uint32_t first_id,
				 bool (*cancelled)(void *arg), void *arg, struct ovm_pages *ret);

/** Release what a plan holds. */
void ovm_pages_deinit(struct ovm_pages *pages);

struct ovm_pages_copy_options {
	/** Directory for the pages-N.img. */
	int dir_fd;
	bool (*cancelled)(void *arg);
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
};

/** Copy the pages into pages-N.img. The guest must be paused. */
struct ovm_error *ovm_pages_copy(struct ovm_engine *engine, const struct ovm_pages *pages,
				 const struct ovm_pages_copy_options *options);

/**
 * Overwrite bytes of private memory in the image. False when the image doesn't hold all of them.
 */
struct ovm_error *ovm_pages_patch(const struct ovm_pages *pages, int dir_fd, uint64_t address,
				  const void *bytes, size_t len, bool *done);

#endif /* OVM_HOST_PAGES_H */
