// SPDX-License-Identifier: GPL-2.0-only
#include "page_store.h"

#include <stdlib.h>
#include <string.h>

#include "page_store_private.h"
#include "vmi/cleanup.h"

enum {
	/* In ovm_stored.flags, beside enum ovm_pages_flags: it is in RAM now. */
	IN_RAM = 1 << 0,
};

/* What may become of a page without making a right copy of it wrong. */
static const uint32_t passing_kinds = OVM_PAGE_BIT(OVM_PAGE_MIGRATION) |
				      OVM_PAGE_BIT(OVM_PAGE_SWAP) | OVM_PAGE_BIT(OVM_PAGE_OTHER);

/* ---- pieces ---------------------------------------------------------------------------------- */

static bool has_place_in_ram(const struct ovm_stored *piece)
{
	return piece->state == OVM_STORED_TODO || piece->state == OVM_STORED_COPIED;
}

/* Let @last grow by @next, if they are one piece. */
static bool join(struct ovm_stored *last, const struct ovm_stored *next)
{
	const uint64_t len = ovm_stored_bytes(last->nr_pages);
	const bool compressed = last->kind == OVM_SIFTED_LZ4;

	if (last->state != next->state || last->kind != next->kind ||
	    ovm_stored_end(last) != next->va)
		return false;
	if (last->kind == OVM_SIFTED_RAW && last->offset + len != next->offset)
		return false;
	if (compressed && last->position + last->nr_pages != next->position)
		return false;
	/* A block goes the way of each of its pages: one may have to be copied for another. */
	if ((has_place_in_ram(last) || compressed) && last->gpa + len != next->gpa)
		return false;
	if ((last->state == OVM_STORED_TODO || compressed) && last->flags != next->flags)
		return false;
	last->nr_pages += next->nr_pages;
	return true;
}

struct ovm_store_update ovm_store_begin(const struct ovm_page_store *from)
{
	struct ovm_store_update update = {.from = from, .to = *from};

	update.to.pieces = NULL;
	update.to.nr = 0;
	update.to.nr_pages = 0;
	return update;
}

struct ovm_error *ovm_store_push(struct ovm_store_update *update, const struct ovm_stored *piece)
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

struct ovm_error *ovm_store_end(struct ovm_page_store *store, struct ovm_store_update *update,
				struct ovm_error *err)
{
	if (err) {
		free(update->to.pieces);
		return err;
	}
	free(store->pieces);
	*store = update->to;
	return NULL;
}

struct ovm_stored ovm_stored_part(const struct ovm_stored *piece, uint64_t first, uint64_t nr)
{
	struct ovm_stored part = *piece;

	part.va += ovm_stored_bytes(first);
	part.gpa += ovm_stored_bytes(first);
	part.offset += ovm_stored_bytes(first);
	part.position += first;
	part.nr_pages = nr;
	return part;
}

void ovm_store_place(struct ovm_page_store *store, struct ovm_stored *piece)
{
	piece->kind = OVM_SIFTED_RAW;
	piece->offset = store->end;
	store->end += ovm_stored_bytes(piece->nr_pages);
}

/* ---- update ---------------------------------------------------------------------------------- */

static bool in_ram(const struct ovm_run *run)
{
	return OVM_PAGE_BIT(run->kind) & OVM_PAGE_KINDS_RAM & ~OVM_PAGE_BIT(OVM_PAGE_ZERO);
}

static uint8_t piece_flags(const struct ovm_run *run)
{
	return (run->flags & OVM_PAGES_FLAGS) | (in_ram(run) ? IN_RAM : 0);
}

static void block(struct ovm_store_update *update, const struct ovm_run *run, uint64_t nr_pages)
{
	struct ovm_page_changes *changes = update->changes;

	changes->blocked += nr_pages;
	if (!changes->first_blocked)
		changes->first_blocked = run;
}

/* Pages of @run from @va up to @end, which the store doesn't have. */
static struct ovm_error *add_new(struct ovm_store_update *update, const struct ovm_run *run,
				 uint64_t va, uint64_t end)
{
	struct ovm_stored piece = {
		.va = va,
		.nr_pages = (end - va) >> OVM_PAGE_SHIFT,
		.gpa = run->gpa + (va - run->va),
		.flags = piece_flags(run),
	};

	if (!in_ram(run)) {
		block(update, run, piece.nr_pages);
		return NULL;
	}
	if (update->to.sifted)
		piece.kind = OVM_SIFTED_NOT;
	else
		ovm_store_place(&update->to, &piece);
	update->changes->appeared += piece.nr_pages;
	update->changes->todo += piece.nr_pages;
	return ovm_store_push(update, &piece);
}

/* Whether pages may be what they were found to be, by the rules for where they are now. */
static bool allowed(enum ovm_sifted kind, uint8_t flags)
{
	switch (kind) {
	case OVM_SIFTED_ZERO:
		return (flags & OVM_PAGES_ZERO_BACKED) && !(flags & OVM_PAGES_WHOLE);
	case OVM_SIFTED_PARENT:
		return !(flags & (OVM_PAGES_WHOLE | OVM_PAGES_OWN));
	case OVM_SIFTED_LZ4:
		return (flags & OVM_PAGES_COMPRESSIBLE) && !(flags & OVM_PAGES_WHOLE);
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
static struct ovm_error *add_known(struct ovm_store_update *update, const struct ovm_run *run,
				   const struct ovm_stored *old, uint64_t va, uint64_t end)
{
	struct ovm_page_changes *changes = update->changes;
	struct ovm_stored piece = ovm_stored_part(old, (va - old->va) >> OVM_PAGE_SHIFT,
						  (end - va) >> OVM_PAGE_SHIFT);
	uint64_t gpa = run->gpa + (va - run->va);

	piece.state = new_state(&piece, run, gpa);
	piece.gpa = gpa;
	piece.flags = piece_flags(run);
	if (piece.state == OVM_STORED_TODO) {
		changes->todo += piece.nr_pages;
		if (old->state != OVM_STORED_TODO)
			changes->again += piece.nr_pages;
	}
	if (piece.state == OVM_STORED_LOST ||
	    (!in_ram(run) && !(OVM_PAGE_BIT(run->kind) & passing_kinds)))
		block(update, run, piece.nr_pages);
	changes->vanished -= piece.nr_pages;
	return ovm_store_push(update, &piece);
}

static struct ovm_error *add_run(struct ovm_store_update *update, const struct ovm_run *run)
{
	const struct ovm_page_store *from = update->from;
	uint64_t va = run->va, end = run->va + ovm_stored_bytes(run->nr_pages);
	struct ovm_error *err = NULL;

	while (va < end && !err) {
		while (update->next < from->nr && ovm_stored_end(&from->pieces[update->next]) <= va)
			update->next++;

		const struct ovm_stored *old =
			update->next < from->nr ? &from->pieces[update->next] : NULL;
		bool known = old && old->va <= va;
		uint64_t until = end;

		if (known && ovm_stored_end(old) < end)
			until = ovm_stored_end(old);
		else if (!known && old && old->va < end)
			until = old->va;
		err = known ? add_known(update, run, old, va, until)
			    : add_new(update, run, va, until);
		va = until;
	}
	return err;
}

/* ---- blocks ---------------------------------------------------------------------------------- */

/* Count right pages of each block; *@broken if there are blocks with others. */
static struct ovm_error *count_right(const struct ovm_page_store *store, uint16_t **ret,
				     bool *broken)
{
	uint16_t *counts = calloc(store->nr_blocks + 1, sizeof(*counts));

	if (!counts)
		return ovm_error_no_memory();
	for (size_t i = 0; i < store->nr; i++) {
		const struct ovm_stored *piece = &store->pieces[i];
		const uint64_t end = piece->position + piece->nr_pages;

		if (piece->kind != OVM_SIFTED_LZ4 || piece->state != OVM_STORED_VALID)
			continue;
		for (uint64_t at = piece->position; at < end;) {
			uint64_t block = at / store->block_pages;
			uint64_t until = (block + 1) * store->block_pages;

			if (until > end)
				until = end;
			counts[block] += (uint16_t)(until - at);
			at = until;
		}
	}
	*broken = false;
	for (size_t i = 0; i < store->nr_blocks; i++)
		*broken |= counts[i] && counts[i] != store->blocks[i].nr_pages;
	*ret = counts;
	return NULL;
}

/* The run that has the page at @va. */
static const struct ovm_run *find_run(const struct ovm_store_update *update, uint64_t va)
{
	size_t low = 0, high = update->nr_runs;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (update->runs[middle].va <= va)
			low = middle;
		else
			high = middle;
	}
	return &update->runs[low];
}

/* Right pages that are in one block, which has others too: they are to be copied with these. */
static void break_block(struct ovm_store_update *update, struct ovm_stored *part)
{
	if (part->flags & IN_RAM) {
		part->state = OVM_STORED_TODO;
		update->changes->todo += part->nr_pages;
		update->changes->again += part->nr_pages;
		return;
	}
	part->state = OVM_STORED_LOST;
	block(update, find_run(update, part->va), part->nr_pages);
}

static struct ovm_error *break_piece(struct ovm_store_update *update,
				     const struct ovm_stored *piece, const uint16_t *counts)
{
	const uint32_t block_pages = update->to.block_pages;
	struct ovm_error *err = NULL;
	uint64_t nr;

	for (uint64_t i = 0; i < piece->nr_pages && !err; i += nr) {
		uint64_t at = piece->position + i, index = at / block_pages;

		nr = block_pages - at % block_pages;
		if (nr > piece->nr_pages - i)
			nr = piece->nr_pages - i;
		struct ovm_stored part = ovm_stored_part(piece, i, nr);

		if (counts[index] != update->to.blocks[index].nr_pages)
			break_block(update, &part);
		err = ovm_store_push(update, &part);
	}
	return err;
}

/* A block is right only if each of its pages is, and none is gone. */
static struct ovm_error *break_blocks(struct ovm_page_store *store, const struct ovm_run *runs,
				      size_t nr_runs, struct ovm_page_changes *changes)
{
	_cleanup_free_ uint16_t *counts = NULL;
	struct ovm_store_update update = ovm_store_begin(store);
	bool broken = false;
	struct ovm_error *err = store->nr_blocks ? count_right(store, &counts, &broken) : NULL;

	if (err || !broken)
		return err;
	update.runs = runs;
	update.nr_runs = nr_runs;
	update.changes = changes;
	for (size_t i = 0; i < store->nr && !err; i++) {
		const struct ovm_stored *piece = &store->pieces[i];

		if (piece->kind == OVM_SIFTED_LZ4 && piece->state == OVM_STORED_VALID)
			err = break_piece(&update, piece, counts);
		else
			err = ovm_store_push(&update, piece);
	}
	return ovm_store_end(store, &update, err);
}

struct ovm_error *ovm_page_store_update(struct ovm_page_store *store, const struct ovm_run *runs,
					size_t nr, struct ovm_page_changes *changes)
{
	struct ovm_store_update update = ovm_store_begin(store);
	struct ovm_error *err = NULL;
	uint64_t end = 0;

	update.changes = changes;
	*changes = (struct ovm_page_changes){.vanished = store->nr_pages};
	for (size_t i = 0; i < nr && !err; i++) {
		uint64_t len = ovm_stored_bytes(runs[i].nr_pages);

		if (runs[i].va < end || runs[i].va + len < runs[i].va)
			err = ovm_error_address(OVM_ERROR_CORRUPT, runs[i].va,
						"pages are out of order at");
		else
			err = add_run(&update, &runs[i]);
		end = runs[i].va + len;
	}
	err = ovm_store_end(store, &update, err);
	return err ? err : break_blocks(store, runs, nr, changes);
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

void ovm_page_store_deinit(struct ovm_page_store *store)
{
	free(store->pieces);
	free(store->blocks);
	memset(store, 0, sizeof(*store));
}
