/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Gets the pages of a process into pages-N.img, a first time and then again what moved, while the
 * guest runs and the process is frozen; and in the end, with the guest paused, what is left.
 */
#ifndef OVM_HOST_COPIER_H
#define OVM_HOST_COPIER_H

#include <stdbool.h>
#include <stdint.h>

#include "host/pages.h"
#include "kernels-cuda/engine.h"
#include "vmi/error.h"

struct ovm_copier;

struct ovm_parent;

struct ovm_copier_options {
	struct ovm_engine *engine;
	/** Leave out pages that are zero where nothing is zero as well. */
	bool skip_zero;
	/** Compress, in blocks of so many pages; 0: don't. */
	uint32_t block_pages;
	/** The images of an earlier dump, to which pages are left that are the same; or NULL. */
	struct ovm_parent *parent;
	/** Directory for the pages-N.img, and the first N. */
	int dir_fd;
	uint32_t first_id;
	bool (*cancelled)(void *arg);
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
};

/** Pages, in a round or under the pause in the end. */
struct ovm_copier_stats {
	/** Copied, and how many of them not for the first time. */
	uint64_t copied, again;
	/** Copied only under the pause since others may write them; of shared memory. */
	uint64_t outsiders, shmem;
	/** Were not there in the round before; are no longer there. */
	uint64_t appeared, vanished;
	/** Could not be copied now. */
	uint64_t blocked;
};

/** Whether pages are looked at, so that they have to be marked (ovm_pages_mark()). */
static inline bool ovm_copier_sifts(const struct ovm_copier_options *options)
{
	return options->skip_zero || options->parent || options->block_pages;
}

struct ovm_error *ovm_copier_create(const struct ovm_copier_options *options,
				    struct ovm_copier **ret);

/** NULL is fine; the files stay. */
void ovm_copier_destroy(struct ovm_copier *copier);

/**
 * A round while the guest runs and the process is frozen: find out which copies are right, and copy
 * what has none that is. Shared memory is left out, since others may write it.
 *
 * Errors: those of ovm_engine_copy(); OVM_ERROR_CORRUPT.
 */
struct ovm_error *ovm_copier_round(struct ovm_copier *copier, const struct ovm_pages *pages,
				   struct ovm_copier_stats *ret);

/**
 * Copy what is left, with the guest paused, and set the files' ids and pagemaps in @pages.
 *
 * Nothing is copied, and *@done is false, when more than @max_left pages are left that a further
 * round might copy.
 *
 * Errors: those of ovm_pages_check_run() when pages can't be saved, those of a round.
 */
struct ovm_error *ovm_copier_finish(struct ovm_copier *copier, struct ovm_pages *pages,
				    uint64_t max_left, struct ovm_copier_stats *ret, bool *done);

/** Bring the pages in the files into the order of the pagemaps; the guest may run. */
struct ovm_error *ovm_copier_arrange(struct ovm_copier *copier);

#endif /* OVM_HOST_COPIER_H */
