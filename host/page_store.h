/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a pages-N.img holds while it is being filled from a guest that runs.
 *
 * The process is frozen, so that what a page holds doesn't change; but the
 * kernel may move it at any time.  A copy is right if the page was found at one
 * place of RAM before it was made and at the same place afterwards.  From then
 * on it stays right, wherever the page goes.
 *
 * Pages have their places in the file in the order in which they were first
 * met.  What an image wants is the order of addresses; mostly that is the same,
 * else the file is arranged anew in the end.
 *
 * With @sifted, a page has a place only once it was looked at: one that need not
 * be in the file has none.
 */
#ifndef OVM_HOST_PAGE_STORE_H
#define OVM_HOST_PAGE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/image/image.h"
#include "host/pages.h"
#include "host/sift.h"
#include "kernels-cuda/engine.h"
#include "vmi/error.h"

enum ovm_stored_state {
	/** To be copied from where it is. */
	OVM_STORED_TODO,
	/** Copied from there while the guest ran. */
	OVM_STORED_COPIED,
	/** Copied, and right. */
	OVM_STORED_VALID,
	/** Has a place in the file, but is not in RAM now. */
	OVM_STORED_LOST,
};

/** Pages at consecutive addresses, at consecutive places in the file if they have some. */
struct ovm_stored {
	uint64_t va;
	uint64_t nr_pages;
	/** OVM_SIFTED_RAW: byte in the file. */
	uint64_t offset;
	/** OVM_SIFTED_LZ4: block times pages of a block, and the page in the block. */
	uint64_t position;
	/** TODO, COPIED, and whatever is compressed: where in RAM, consecutively. */
	uint64_t gpa;
	enum ovm_stored_state state;
	/** TODO: what it was when it was last looked at. */
	enum ovm_sifted kind;
	/** TODO, and whatever is compressed: enum ovm_pages_flags of where it was found. */
	uint8_t flags;
};

/** Pages that are compressed together. */
struct ovm_stored_block {
	/** Byte in the file, and how many there are. */
	uint64_t offset;
	uint32_t size;
	uint16_t nr_pages;
	/** It begins an entry of the pagemap. */
	bool first;
};

struct ovm_page_store {
	/** Pages are looked at before they get a place. */
	bool sifted;
	/** Places come from packing (ovm_engine_pack()). */
	bool packed;
	/** Pages of a block, but for the last ones of an entry; 0: nothing is compressed. */
	uint32_t block_pages;
	struct ovm_stored_block *blocks;
	size_t nr_blocks, allocated_blocks;
	/** In order of address. */
	struct ovm_stored *pieces;
	size_t nr;
	uint64_t nr_pages;
	/** Behind the last place that was given away, in bytes. */
	uint64_t end;
};

/** What an update found. */
struct ovm_page_changes {
	/** Pages to be copied now, and how many of them again, since they moved under a copy. */
	uint64_t todo, again;
	/** Pages that were not there before, and that are no longer there. */
	uint64_t appeared, vanished;
	/** Pages without a right copy that are not in RAM, and the first run that has some. */
	uint64_t blocked;
	const struct ovm_run *first_blocked;
};

/**
 * Compare a store with what page tables say now: @runs, in order of address.
 *
 * Copies made since the last update that are where they were become right; what moved is to be
 * copied again. Pages that are in no run have vanished. @changes points into @runs.
 *
 * Errors: OVM_ERROR_CORRUPT for runs out of order; the store is as it was then.
 */
struct ovm_error *ovm_page_store_update(struct ovm_page_store *store, const struct ovm_run *runs,
					size_t nr, struct ovm_page_changes *changes);

/** Forget that any copy is right, or was made. */
void ovm_page_store_distrust(struct ovm_page_store *store);

/**
 * What is to be looked at before it can be copied, by address, with the places in the answer; the
 * caller frees *@ret. There is nothing if the store isn't sifted.
 */
struct ovm_error *ovm_page_store_unsifted(const struct ovm_page_store *store,
					  struct ovm_sift_piece **ret, size_t *ret_nr,
					  uint64_t *ret_pages);

/** Take the answer, an enum ovm_sifted for each page that was to be looked at. */
struct ovm_error *ovm_page_store_sift(struct ovm_page_store *store, const uint8_t *answer);

struct ovm_pack_extent;
struct ovm_pack_result;

/** What is to be packed. */
struct ovm_unpacked {
	struct ovm_copy_run *copies;
	size_t nr_copies;
	struct ovm_pack_extent *extents;
	size_t nr_extents;
};

/**
 * What is to be packed, by address; with @sifted only what ovm_page_store_sift() has left. @ops are
 * the operations that are wanted, of enum ovm_pack_ops.
 */
struct ovm_error *ovm_page_store_unpacked(struct ovm_page_store *store, bool sifted, uint32_t ops,
					  struct ovm_unpacked *ret);

void ovm_unpacked_deinit(struct ovm_unpacked *unpacked);

/** Take the result of packing these pages to the end of the file. */
struct ovm_error *ovm_page_store_pack(struct ovm_page_store *store,
				      const struct ovm_pack_result *result);

/** What is to be copied, by rising offset; the caller frees *@ret. */
struct ovm_error *ovm_page_store_todo(const struct ovm_page_store *store, struct ovm_copy_run **ret,
				      size_t *ret_nr);

/** All that was to be copied is; it is right at once if the guest was paused. */
void ovm_page_store_copied(struct ovm_page_store *store, bool paused);

/** Count the pages. */
struct ovm_page_counts ovm_page_store_count(const struct ovm_page_store *store);

/** A pagemap; the caller frees both arrays. */
struct ovm_page_store_map {
	struct ovm_image_pagemap_entry *entries;
	size_t nr;
	/** Which the entries point into. */
	uint32_t *block_sizes;
};

/** The pagemap of the file when it is arranged, adjacent addresses joined. */
struct ovm_error *ovm_page_store_pagemap(const struct ovm_page_store *store,
					 struct ovm_page_store_map *ret);

/** Bytes of the file when it is arranged. */
uint64_t ovm_page_store_size(const struct ovm_page_store *store);

/** Whether the pages are in the file by rising address, without gaps but for alignment. */
bool ovm_page_store_arranged(const struct ovm_page_store *store);

/**
 * Write the pages of @from into @to by rising address, without gaps.
 *
 * Errors: OVM_ERROR_OUTPUT about the file @name.
 */
struct ovm_error *ovm_page_store_arrange(const struct ovm_page_store *store, int from, int to,
					 const char *name);

/** Release what a store holds. */
void ovm_page_store_deinit(struct ovm_page_store *store);

#endif /* OVM_HOST_PAGE_STORE_H */
