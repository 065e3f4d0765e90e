/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The images of an earlier dump, which those of this one leave pages to.
 *
 * A set of images may name another one, by the symbolic link "parent", that has
 * pages which it left out itself (CRIU 3.17.1, criu/pagemap.c: entries with
 * PE_PARENT); that one may again.  Pages are found there by number of the
 * process or object and by address, so that it is by content only that a page
 * is told to be the same.
 *
 * Nothing that is read here is trusted: numbers are bounded and files have to be
 * as long as they say.
 */
#ifndef OVM_HOST_PARENT_H
#define OVM_HOST_PARENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/image/table.h"
#include "vmi/error.h"

enum {
	/** Sets of images in a row. */
	OVM_PARENT_MAX = 64,
};

struct ovm_parent;
struct ovm_parent_pages;

/**
 * Open a set of images with those that it leaves pages to.
 *
 * Errors: OVM_ERROR_USAGE with the path, for what is no such set.
 */
struct ovm_error *ovm_parent_open(const char *directory, struct ovm_parent **ret);

/** NULL is fine. */
void ovm_parent_close(struct ovm_parent *parent);

/** Whether some of its images may be compressed, so that CRIU has to know of that. */
bool ovm_parent_is_compressed(const struct ovm_parent *parent);

/** For tests: let there be memory for so many pieces of pages, of all that is open together. */
void ovm_parent_set_budget(struct ovm_parent *parent, size_t nr);

/** The directory; owned by the parent. */
int ovm_parent_fd(const struct ovm_parent *parent);

/**
 * Find out which pages there are of a process (OVM_IMAGE_PAGEMAP, its pid) or of shared memory
 * (OVM_IMAGE_PAGEMAP_SHMEM). *@ret is NULL if there is no such pagemap.
 *
 * All that are open share one budget of memory. @cancelled is asked now and then; it may be NULL.
 *
 * Errors: OVM_ERROR_USAGE for damaged images, and for those that take too much memory;
 * OVM_ERROR_CANCELLED.
 */
struct ovm_error *ovm_parent_pages_open(struct ovm_parent *parent, enum ovm_image_type type,
					uint64_t number, bool (*cancelled)(void *arg), void *arg,
					struct ovm_parent_pages **ret);

/** NULL is fine. */
void ovm_parent_pages_close(struct ovm_parent_pages *pages);

/**
 * Open the files that the pages are in, one for each set of images at most. Between this and
 * ovm_parent_pages_end() content can be compared; at other times no file is open, as there may be
 * more of them than can be at once.
 *
 * Errors: OVM_ERROR_USAGE for files that are not there any more.
 */
struct ovm_error *ovm_parent_pages_begin(struct ovm_parent_pages *pages);

void ovm_parent_pages_end(struct ovm_parent_pages *pages);

/**
 * What one thread keeps from one comparison to the next one with the same pages: RAM comes in
 * pieces of a page each where it is scattered, and a block has to be decoded once for all of them.
 * Zero at first; all of it is the implementation's.
 */
struct ovm_parent_lookup {
	/* Where the last page was found. */
	size_t at;
	/* What is read. */
	uint8_t *buf;
	size_t buf_size;
	/* The pages of a block, and which one it is; none without pages. */
	uint8_t *block;
	size_t block_size;
	uint64_t offset;
	unsigned int level;
	uint32_t block_pages, size;
};

/** Free what it points to. */
void ovm_parent_lookup_deinit(struct ovm_parent_lookup *lookup);

/**
 * Compare @nr pages at @va with what the images hold, as far as their answer is OVM_SIFTED_RAW:
 * those that are the same get OVM_SIFTED_PARENT. Several threads may do so at once, each
 * with a lookup of its own.
 *
 * Errors: OVM_ERROR_USAGE when the images can't be read.
 */
struct ovm_error *ovm_parent_compare(const struct ovm_parent_pages *pages, uint64_t va,
				     const uint8_t *content, uint64_t nr, uint8_t *answer,
				     struct ovm_parent_lookup *lookup);

#endif /* OVM_HOST_PARENT_H */
