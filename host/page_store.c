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
	if (last->state != next->state || piece_end(last) != next->va ||
	    last->offset + bytes(last->nr_pages) != next->offset)
		return false;
	if (has_place_in_ram(last) && last->gpa + bytes(last->nr_pages) != next->gpa)
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

/* Pages of @run from @va up to @end, which the store doesn't have. */
static struct ovm_error *add_new(struct update *update, const struct ovm_run *run, uint64_t va,
				 uint64_t end)
{
	struct ovm_stored piece = {
		.va = va,
		.nr_pages = (end - va) >> OVM_PAGE_SHIFT,
		.offset = update->to.end,
		.gpa = run->gpa + (va - run->va),
	};

	if (!in_ram(run)) {
		block(update, run, piece.nr_pages);
		return NULL;
	}
	update->to.end += end - va;
	update->changes->appeared += piece.nr_pages;
	update->changes->todo += piece.nr_pages;
	return push(update, &piece);
}

/* What becomes of a piece that is within @run. */
static enum ovm_stored_state new_state(const struct ovm_stored *piece, const struct ovm_run *run,
				       uint64_t gpa)
{
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
	struct update update = {.from = store, .to = {.end = store->end}, .changes = changes};
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

/* ---- copying --------------------------------------------------------------------------------- */

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
		nr += store->pieces[i].state == OVM_STORED_TODO;
	struct ovm_copy_run *runs = calloc(nr + 1, sizeof(*runs));

	if (!runs)
		return ovm_error_no_memory();
	nr = 0;
	for (size_t i = 0; i < store->nr; i++) {
		const struct ovm_stored *piece = &store->pieces[i];

		if (piece->state == OVM_STORED_TODO)
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

		if (nr && piece->va == end)
			entries[nr - 1].nr_pages += piece->nr_pages;
		else
			entries[nr++] =
				(struct ovm_image_pagemap_entry){piece->va, piece->nr_pages};
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
