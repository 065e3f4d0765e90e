// SPDX-License-Identifier: GPL-2.0-only
#include "page_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmi/cleanup.h"

enum { ARRANGE_BYTES = 1 << 20 };

/* What may become of a page without making a right copy of it wrong. */
static const uint32_t passing_kinds = OVM_PAGE_BIT(OVM_PAGE_MIGRATION) |
				      OVM_PAGE_BIT(OVM_PAGE_SWAP) | OVM_PAGE_BIT(OVM_PAGE_OTHER);

/* ---- pieces ---------------------------------------------------------------------------------- */

static uint64_t bytes(uint64_t nr_pages)
{
	return nr_pages << OVM_PAGE_SHIFT;
}

static uint64_t piece_end(const struct ovm_stored *piece)
{
	return piece->va + bytes(piece->nr_pages);
}

static bool has_place_in_ram(const struct ovm_stored *piece)
{
	return piece->state == OVM_STORED_TODO || piece->state == OVM_STORED_COPIED;
}

/* Let @last grow by @next, if they are one piece. */
static bool join(struct ovm_stored *last, const struct ovm_stored *next)
{
	if (last->state != next->state || last->kind != next->kind || piece_end(last) != next->va)
		return false;
	if (last->kind == OVM_SIFTED_RAW && last->offset + bytes(last->nr_pages) != next->offset)
		return false;
	if (has_place_in_ram(last) && last->gpa + bytes(last->nr_pages) != next->gpa)
		return false;
	if (last->state == OVM_STORED_TODO && last->flags != next->flags)
		return false;
	last->nr_pages += next->nr_pages;
	return true;
}

/* ---- update ---------------------------------------------------------------------------------- */

/* A store being made from another one and from runs. */
struct update {
	const struct ovm_page_store *from;
	/* Piece of it that the next address may be in. */
	size_t next;
	struct ovm_page_store to;
	size_t allocated;
	struct ovm_page_changes *changes;
};

static struct ovm_error *push(struct update *update, const struct ovm_stored *piece)
{
	struct ovm_page_store *to = &update->to;

	to->nr_pages += piece->nr_pages;
	if (to->nr && join(&to->pieces[to->nr - 1], piece))
		return NULL;
	if (to->nr == update->allocated) {
		size_t allocated = update->allocated ? update->allocated * 2 : 64;
		struct ovm_stored *pieces = reallocarray(to->pieces, allocated, sizeof(*pieces));

		if (!pieces)
			return ovm_error_no_memory();
		to->pieces = pieces;
		update->allocated = allocated;
	}
	to->pieces[to->nr++] = *piece;
	return NULL;
}

static bool in_ram(const struct ovm_run *run)
{
	return OVM_PAGE_BIT(run->kind) & OVM_PAGE_KINDS_RAM & ~OVM_PAGE_BIT(OVM_PAGE_ZERO);
}

static void block(struct update *update, const struct ovm_run *run, uint64_t nr_pages)
{
	struct ovm_page_changes *changes = update->changes;

	changes->blocked += nr_pages;
	if (!changes->first_blocked)
		changes->first_blocked = run;
}

/* Give pages a place in the file. */
static void place(struct ovm_page_store *store, struct ovm_stored *piece)
{
	piece->kind = OVM_SIFTED_RAW;
	piece->offset = store->end;
	store->end += bytes(piece->nr_pages);
}

/* Pages of @run from @va up to @end, which the store doesn't have. */
static struct ovm_error *add_new(struct update *update, const struct ovm_run *run, uint64_t va,
				 uint64_t end)
{
	struct ovm_stored piece = {
		.va = va,
		.nr_pages = (end - va) >> OVM_PAGE_SHIFT,
		.gpa = run->gpa + (va - run->va),
		.flags = run->flags & OVM_PAGES_FLAGS,
	};

	if (!in_ram(run)) {
		block(update, run, piece.nr_pages);
		return NULL;
	}
	if (update->to.sifted)
		piece.kind = OVM_SIFTED_NOT;
	else
		place(&update->to, &piece);
	update->changes->appeared += piece.nr_pages;
	update->changes->todo += piece.nr_pages;
	return push(update, &piece);
}

/* Whether pages may be what they were found to be, by the rules for where they are now. */
static bool allowed(enum ovm_sifted kind, uint8_t flags)
{
	switch (kind) {
	case OVM_SIFTED_ZERO:
		return (flags & OVM_PAGES_ZERO_BACKED) && !(flags & OVM_PAGES_WHOLE);
	case OVM_SIFTED_PARENT:
		return !(flags & OVM_PAGES_WHOLE);
	default:
		return true;
	}
}

/* What becomes of a piece that is within @run. */
static enum ovm_stored_state new_state(const struct ovm_stored *piece, const struct ovm_run *run,
				       uint64_t gpa)
{
	if (!allowed(piece->kind, run->flags))
		return in_ram(run) ? OVM_STORED_TODO : OVM_STORED_LOST;
	if (piece->state == OVM_STORED_VALID)
		return OVM_STORED_VALID;
	if (!in_ram(run))
		return OVM_STORED_LOST;
	if (piece->state == OVM_STORED_COPIED && piece->gpa == gpa)
		return OVM_STORED_VALID;
	return OVM_STORED_TODO;
}

/* Pages of @run from @va up to @end, which are within piece @old. */
static struct ovm_error *add_known(struct update *update, const struct ovm_run *run,
				   const struct ovm_stored *old, uint64_t va, uint64_t end)
{
	struct ovm_page_changes *changes = update->changes;
	struct ovm_stored piece = {
		.va = va,
		.nr_pages = (end - va) >> OVM_PAGE_SHIFT,
		.offset = old->offset + (va - old->va),
		.gpa = old->gpa + (va - old->va),
		.state = old->state,
		.kind = old->kind,
		.flags = run->flags & OVM_PAGES_FLAGS,
	};
	uint64_t gpa = run->gpa + (va - run->va);

	piece.state = new_state(&piece, run, gpa);
	piece.gpa = gpa;
	if (piece.state == OVM_STORED_TODO) {
		changes->todo += piece.nr_pages;
		if (old->state != OVM_STORED_TODO)
			changes->again += piece.nr_pages;
	}
	if (piece.state == OVM_STORED_LOST ||
	    (!in_ram(run) && !(OVM_PAGE_BIT(run->kind) & passing_kinds)))
		block(update, run, piece.nr_pages);
	changes->vanished -= piece.nr_pages;
	return push(update, &piece);
}

static struct ovm_error *add_run(struct update *update, const struct ovm_run *run)
{
	const struct ovm_page_store *from = update->from;
	uint64_t va = run->va, end = run->va + bytes(run->nr_pages);
	struct ovm_error *err = NULL;

	while (va < end && !err) {
		while (update->next < from->nr && piece_end(&from->pieces[update->next]) <= va)
			update->next++;

		const struct ovm_stored *old =
			update->next < from->nr ? &from->pieces[update->next] : NULL;
		bool known = old && old->va <= va;
		uint64_t until = end;

		if (known && piece_end(old) < end)
			until = piece_end(old);
		else if (!known && old && old->va < end)
			until = old->va;
		err = known ? add_known(update, run, old, va, until)
			    : add_new(update, run, va, until);
		va = until;
	}
	return err;
}

struct ovm_error *ovm_page_store_update(struct ovm_page_store *store, const struct ovm_run *runs,
					size_t nr, struct ovm_page_changes *changes)
{
	struct update update = {
		.from = store,
		.to = {.sifted = store->sifted, .end = store->end},
		.changes = changes,
	};
	struct ovm_error *err = NULL;
	uint64_t end = 0;

	*changes = (struct ovm_page_changes){.vanished = store->nr_pages};
	for (size_t i = 0; i < nr && !err; i++) {
		if (runs[i].va < end || runs[i].va + bytes(runs[i].nr_pages) < runs[i].va)
			err = ovm_error_address(OVM_ERROR_CORRUPT, runs[i].va,
						"pages are out of order at");
		else
			err = add_run(&update, &runs[i]);
		end = runs[i].va + bytes(runs[i].nr_pages);
	}
	if (err) {
		free(update.to.pieces);
		return err;
	}
	free(store->pieces);
	*store = update.to;
	return NULL;
}

static void join_all(struct ovm_page_store *store)
{
	size_t nr = 0;

	for (size_t i = 0; i < store->nr; i++)
		if (!nr || !join(&store->pieces[nr - 1], &store->pieces[i]))
			store->pieces[nr++] = store->pieces[i];
	store->nr = nr;
}

void ovm_page_store_distrust(struct ovm_page_store *store)
{
	for (size_t i = 0; i < store->nr; i++)
		store->pieces[i].state = OVM_STORED_LOST;
	join_all(store);
}

/* ---- sifting --------------------------------------------------------------------------------- */

struct ovm_error *ovm_page_store_unsifted(const struct ovm_page_store *store,
					  struct ovm_sift_piece **ret, size_t *ret_nr,
					  uint64_t *ret_pages)
{
	size_t nr = 0;

	for (size_t i = 0; i < store->nr && store->sifted; i++)
		nr += store->pieces[i].state == OVM_STORED_TODO;
	struct ovm_sift_piece *pieces = calloc(nr + 1, sizeof(*pieces));

	if (!pieces)
		return ovm_error_no_memory();
	*ret_nr = nr;
	*ret_pages = 0;
	nr = 0;
	for (size_t i = 0; i < store->nr && nr < *ret_nr; i++) {
		const struct ovm_stored *piece = &store->pieces[i];

		if (piece->state != OVM_STORED_TODO)
			continue;
		pieces[nr++] = (struct ovm_sift_piece){
			.va = piece->va,
			.gpa = piece->gpa,
			.nr_pages = piece->nr_pages,
			.first = *ret_pages,
			.flags = piece->flags,
		};
		*ret_pages += piece->nr_pages;
	}
	*ret = pieces;
	return NULL;
}

/* Cut a piece to be copied by what its pages are. */
static struct ovm_error *sift_piece(struct update *update, const struct ovm_stored *piece,
				    const uint8_t *answer)
{
	struct ovm_error *err = NULL;
	uint64_t nr;

	for (uint64_t i = 0; i < piece->nr_pages && !err; i += nr) {
		struct ovm_stored part = *piece;

		for (nr = 1; i + nr < piece->nr_pages && answer[i + nr] == answer[i];)
			nr++;
		part.va += bytes(i);
		part.gpa += bytes(i);
		part.nr_pages = nr;
		if (answer[i] != OVM_SIFTED_RAW)
			part.kind = (enum ovm_sifted)answer[i];
		else if (piece->kind == OVM_SIFTED_RAW)
			part.offset += bytes(i);
		else
			place(&update->to, &part);
		err = push(update, &part);
	}
	return err;
}

struct ovm_error *ovm_page_store_sift(struct ovm_page_store *store, const uint8_t *answer)
{
	struct update update = {.to = {.sifted = store->sifted, .end = store->end}};
	struct ovm_error *err = NULL;

	for (size_t i = 0; i < store->nr && !err; i++) {
		const struct ovm_stored *piece = &store->pieces[i];

		if (piece->state != OVM_STORED_TODO) {
			err = push(&update, piece);
			continue;
		}
		err = sift_piece(&update, piece, answer);
		answer += piece->nr_pages;
	}
	if (err) {
		free(update.to.pieces);
		return err;
	}
	free(store->pieces);
	*store = update.to;
	return NULL;
}

/* ---- copying --------------------------------------------------------------------------------- */

static bool is_to_be_copied(const struct ovm_stored *piece)
{
	return piece->state == OVM_STORED_TODO && piece->kind == OVM_SIFTED_RAW;
}

static int compare_offsets(const void *a, const void *b)
{
	const struct ovm_copy_run *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

struct ovm_error *ovm_page_store_todo(const struct ovm_page_store *store, struct ovm_copy_run **ret,
				      size_t *ret_nr)
{
	size_t nr = 0;

	for (size_t i = 0; i < store->nr; i++)
		nr += is_to_be_copied(&store->pieces[i]);
	struct ovm_copy_run *runs = calloc(nr + 1, sizeof(*runs));

	if (!runs)
		return ovm_error_no_memory();
	nr = 0;
	for (size_t i = 0; i < store->nr; i++) {
		const struct ovm_stored *piece = &store->pieces[i];

		if (is_to_be_copied(piece))
			runs[nr++] =
				(struct ovm_copy_run){piece->gpa, piece->nr_pages, piece->offset};
	}
	qsort(runs, nr, sizeof(*runs), compare_offsets);
	*ret = runs;
	*ret_nr = nr;
	return NULL;
}

void ovm_page_store_copied(struct ovm_page_store *store, bool paused)
{
	for (size_t i = 0; i < store->nr; i++)
		if (store->pieces[i].state == OVM_STORED_TODO)
			store->pieces[i].state = paused ? OVM_STORED_VALID : OVM_STORED_COPIED;
	join_all(store);
}

/* ---- what becomes of it ---------------------------------------------------------------------- */

struct ovm_page_counts ovm_page_store_count(const struct ovm_page_store *store)
{
	struct ovm_page_counts counts = {0};

	for (size_t i = 0; i < store->nr; i++) {
		const struct ovm_stored *piece = &store->pieces[i];

		if (piece->kind == OVM_SIFTED_ZERO)
			counts.zero += piece->nr_pages;
		else if (piece->kind == OVM_SIFTED_PARENT)
			counts.parent += piece->nr_pages;
		else
			counts.written += piece->nr_pages;
	}
	return counts;
}

struct ovm_error *ovm_page_store_pagemap(const struct ovm_page_store *store,
					 struct ovm_image_pagemap_entry **ret, size_t *ret_nr)
{
	struct ovm_image_pagemap_entry *entries = calloc(store->nr + 1, sizeof(*entries));
	uint64_t end = 0;
	size_t nr = 0;

	if (!entries)
		return ovm_error_no_memory();
	for (size_t i = 0; i < store->nr; i++) {
		const struct ovm_stored *piece = &store->pieces[i];
		bool in_parent = piece->kind == OVM_SIFTED_PARENT;

		if (piece->kind != OVM_SIFTED_RAW && !in_parent)
			continue;
		if (nr && piece->va == end && entries[nr - 1].in_parent == in_parent)
			entries[nr - 1].nr_pages += piece->nr_pages;
		else
			entries[nr++] = (struct ovm_image_pagemap_entry){piece->va, piece->nr_pages,
									 in_parent};
		end = piece_end(piece);
	}
	*ret = entries;
	*ret_nr = nr;
	return NULL;
}

bool ovm_page_store_arranged(const struct ovm_page_store *store)
{
	uint64_t offset = 0;

	for (size_t i = 0; i < store->nr; i++) {
		if (store->pieces[i].kind != OVM_SIFTED_RAW)
			continue;
		if (store->pieces[i].offset != offset)
			return false;
		offset += bytes(store->pieces[i].nr_pages);
	}
	return offset == store->end;
}

static bool read_all(int fd, uint8_t *buf, size_t len, uint64_t offset)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(fd, buf + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (!n)
			errno = EIO;
		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

static bool write_all(int fd, const uint8_t *buf, size_t len, uint64_t offset)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pwrite(fd, buf + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (!n)
			errno = EIO;
		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

static bool move(int from, int to, const struct ovm_stored *piece, uint64_t offset, uint8_t *buf)
{
	uint64_t len = bytes(piece->nr_pages);

	for (uint64_t done = 0; done < len;) {
		size_t n = len - done < ARRANGE_BYTES ? (size_t)(len - done) : ARRANGE_BYTES;

		if (!read_all(from, buf, n, piece->offset + done) ||
		    !write_all(to, buf, n, offset + done))
			return false;
		done += n;
	}
	return true;
}

struct ovm_error *ovm_page_store_arrange(const struct ovm_page_store *store, int from, int to,
					 const char *name)
{
	_cleanup_free_ uint8_t *buf = malloc(ARRANGE_BYTES);
	uint64_t offset = 0;

	if (!buf)
		return ovm_error_no_memory();
	for (size_t i = 0; i < store->nr; i++) {
		if (store->pieces[i].kind != OVM_SIFTED_RAW)
			continue;
		if (!move(from, to, &store->pieces[i], offset, buf))
			return ovm_error_errno(OVM_ERROR_OUTPUT, errno, name,
					       "can't arrange the pages of %s anew", name);
		offset += bytes(store->pieces[i].nr_pages);
	}
	return NULL;
}

void ovm_page_store_deinit(struct ovm_page_store *store)
{
	free(store->pieces);
	memset(store, 0, sizeof(*store));
}
