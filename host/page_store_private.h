/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of the page store have in common: pieces, and making a list of them. */
#ifndef OVM_HOST_PAGE_STORE_PRIVATE_H
#define OVM_HOST_PAGE_STORE_PRIVATE_H

#include "page_store.h"

/** A store being made from another one. */
struct ovm_store_update {
	const struct ovm_page_store *from;
	/** Piece of it that the next address may be in. */
	size_t next;
	struct ovm_page_store to;
	size_t allocated;
	const struct ovm_run *runs;
	size_t nr_runs;
	struct ovm_page_changes *changes;
};

static inline uint64_t ovm_stored_bytes(uint64_t nr_pages)
{
	return nr_pages << OVM_PAGE_SHIFT;
}

static inline uint64_t ovm_stored_end(const struct ovm_stored *piece)
{
	return piece->va + ovm_stored_bytes(piece->nr_pages);
}

/** Begin a store with nothing but what isn't in pieces. */
struct ovm_store_update ovm_store_begin(const struct ovm_page_store *from);

/** Append a piece, or let the last one grow by it. */
struct ovm_error *ovm_store_push(struct ovm_store_update *update, const struct ovm_stored *piece);

/** A part of a piece: @nr pages from page @first on. */
struct ovm_stored ovm_stored_part(const struct ovm_stored *piece, uint64_t first, uint64_t nr);

/** Give pages a place in the file. */
void ovm_store_place(struct ovm_page_store *store, struct ovm_stored *piece);

/** Take the pieces of @update, or free them if @err is an error, which is returned. */
struct ovm_error *ovm_store_end(struct ovm_page_store *store, struct ovm_store_update *update,
				struct ovm_error *err);

#endif /* OVM_HOST_PAGE_STORE_PRIVATE_H */
