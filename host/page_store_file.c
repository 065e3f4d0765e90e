// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where the pages of a store are in the file, and where they are to be in the end.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "kernels-cuda/pack.h"
#include "page_store_private.h"
#include "vmi/cleanup.h"

enum {
	ARRANGE_BYTES = 1 << 20,
	/* Pages that are packed into one entry of a pagemap. */
	MAX_EXTENT_PAGES = 16384,
};

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
static struct ovm_error *sift_piece(struct ovm_store_update *update, const struct ovm_stored *piece,
				    const uint8_t *answer)
{
	struct ovm_error *err = NULL;
	uint64_t nr;

	for (uint64_t i = 0; i < piece->nr_pages && !err; i += nr) {
		for (nr = 1; i + nr < piece->nr_pages && answer[i + nr] == answer[i];)
			nr++;
		struct ovm_stored part = ovm_stored_part(piece, i, nr);

		if (answer[i] != OVM_SIFTED_RAW)
			part.kind = (enum ovm_sifted)answer[i];
		else if (update->to.packed)
			part.kind = OVM_SIFTED_NOT;
		else if (piece->kind != OVM_SIFTED_RAW)
			ovm_store_place(&update->to, &part);
		err = ovm_store_push(update, &part);
	}
	return err;
}

struct ovm_error *ovm_page_store_sift(struct ovm_page_store *store, const uint8_t *answer)
{
	struct ovm_store_update update = ovm_store_begin(store);
	struct ovm_error *err = NULL;

	for (size_t i = 0; i < store->nr && !err; i++) {
		const struct ovm_stored *piece = &store->pieces[i];

		if (piece->state != OVM_STORED_TODO) {
			err = ovm_store_push(&update, piece);
			continue;
		}
		err = sift_piece(&update, piece, answer);
		answer += piece->nr_pages;
	}
	return ovm_store_end(store, &update, err);
}

/* ---- packing --------------------------------------------------------------------------------- */

static bool is_to_be_packed(const struct ovm_stored *piece)
{
	return piece->state == OVM_STORED_TODO && piece->kind == OVM_SIFTED_NOT;
}

static uint32_t operations(const struct ovm_stored *piece, uint32_t wanted)
{
	uint32_t ops = 0;

	if (piece->flags & OVM_PAGES_WHOLE)
		return 0;
	if (piece->flags & OVM_PAGES_ZERO_BACKED)
		ops |= OVM_PACK_DROP_ZERO;
	if (piece->flags & OVM_PAGES_COMPRESSIBLE)
		ops |= OVM_PACK_LZ4;
	return ops & wanted;
}

/* Whether pages at consecutive addresses can be in one entry of a pagemap. */
static bool can_continue(const struct ovm_pack_extent *extent, const struct ovm_stored *last,
			 const struct ovm_stored *piece)
{
	return ovm_stored_end(last) == piece->va && last->flags == piece->flags &&
	       extent->nr_pages < MAX_EXTENT_PAGES;
}

static struct ovm_error *list_extents(const struct ovm_page_store *store, uint32_t ops,
				      struct ovm_unpacked *ret)
{
	const struct ovm_stored *last = NULL;
	uint64_t offset = 0;

	for (size_t i = 0; i < store->nr; i++) {
		const struct ovm_stored *piece = &store->pieces[i];

		if (!is_to_be_packed(piece))
			continue;
		ret->copies[ret->nr_copies++] =
			(struct ovm_copy_run){piece->gpa, piece->nr_pages, offset};
		offset += ovm_stored_bytes(piece->nr_pages);
		if (last && can_continue(&ret->extents[ret->nr_extents - 1], last, piece))
			ret->extents[ret->nr_extents - 1].nr_pages += piece->nr_pages;
		else
			ret->extents[ret->nr_extents++] = (struct ovm_pack_extent){
				.nr_pages = piece->nr_pages,
				.parent = OVM_PACK_NO_PARENT,
				.ops = operations(piece, ops),
			};
		last = piece;
	}
	return NULL;
}

struct ovm_error *ovm_page_store_unpacked(struct ovm_page_store *store, bool sifted, uint32_t ops,
					  struct ovm_unpacked *ret)
{
	size_t nr = 0;

	*ret = (struct ovm_unpacked){0};
	for (size_t i = 0; i < store->nr; i++) {
		struct ovm_stored *piece = &store->pieces[i];

		/* What it was before says nothing. */
		if (!sifted && piece->state == OVM_STORED_TODO)
			piece->kind = OVM_SIFTED_NOT;
		nr += is_to_be_packed(piece);
	}
	ret->copies = calloc(nr + 1, sizeof(*ret->copies));
	ret->extents = calloc(nr + 1, sizeof(*ret->extents));
	if (!ret->copies || !ret->extents) {
		ovm_unpacked_deinit(ret);
		return ovm_error_no_memory();
	}
	return list_extents(store, ops, ret);
}

void ovm_unpacked_deinit(struct ovm_unpacked *unpacked)
{
	free(unpacked->copies);
	free(unpacked->extents);
}

/* Take the blocks of a piece; *@position becomes that of its first page. */
static struct ovm_error *take_blocks(struct ovm_page_store *store,
				     const struct ovm_pack_result *result,
				     const struct ovm_pack_piece *packed, uint64_t *position)
{
	const size_t nr = store->nr_blocks + packed->nr_blocks;
	uint64_t offset = packed->offset, left = packed->nr_pages;

	if (nr > store->allocated_blocks) {
		size_t allocated = nr + nr / 2 + 64;
		struct ovm_stored_block *blocks =
			reallocarray(store->blocks, allocated, sizeof(*blocks));

		if (!blocks)
			return ovm_error_no_memory();
		store->blocks = blocks;
		store->allocated_blocks = allocated;
	}
	*position = store->nr_blocks * store->block_pages;
	for (uint64_t i = 0; i < packed->nr_blocks; i++) {
		uint64_t pages = left < store->block_pages ? left : store->block_pages;
		uint32_t size = result->block_sizes[packed->first_block + i];

		store->blocks[store->nr_blocks++] = (struct ovm_stored_block){
			.offset = offset,
			.size = size,
			.nr_pages = (uint16_t)pages,
			.first = !i,
		};
		offset += size;
		left -= pages;
	}
	return NULL;
}

/* Pieces of the store, to be cut by those of a packing. */
struct packing {
	struct ovm_store_update update;
	size_t next;
	/* Pages of the next piece that are taken. */
	uint64_t taken;
};

/* Take what became of @packed's pages. */
static struct ovm_error *take_packed(struct packing *packing, const struct ovm_page_store *store,
				     const struct ovm_pack_piece *packed, uint64_t position)
{
	static const enum ovm_sifted kinds[] = {
		[OVM_PACKED_RAW] = OVM_SIFTED_RAW,
		[OVM_PACKED_LZ4] = OVM_SIFTED_LZ4,
		[OVM_PACKED_ZERO] = OVM_SIFTED_ZERO,
		[OVM_PACKED_UNCHANGED] = OVM_SIFTED_PARENT,
	};
	struct ovm_error *err = NULL;

	for (uint64_t done = 0; done < packed->nr_pages && !err;) {
		const struct ovm_stored *piece = &store->pieces[packing->next];
		uint64_t nr = piece->nr_pages - packing->taken;

		if (!is_to_be_packed(piece)) {
			err = ovm_store_push(&packing->update, piece);
			packing->next++;
			continue;
		}
		if (nr > packed->nr_pages - done)
			nr = packed->nr_pages - done;
		struct ovm_stored part = ovm_stored_part(piece, packing->taken, nr);

		part.kind = kinds[packed->how];
		part.offset = packed->offset + ovm_stored_bytes(done);
		part.position = position + done;
		err = ovm_store_push(&packing->update, &part);
		done += nr;
		packing->taken += nr;
		if (packing->taken == piece->nr_pages) {
			packing->taken = 0;
			packing->next++;
		}
	}
	return err;
}

struct ovm_error *ovm_page_store_pack(struct ovm_page_store *store,
				      const struct ovm_pack_result *result)
{
	struct packing packing = {0};
	struct ovm_error *err = NULL;
	uint64_t position = 0;

	for (size_t i = 0; i < result->nr_pieces && !err; i++)
		if (result->pieces[i].how == OVM_PACKED_LZ4)
			err = take_blocks(store, result, &result->pieces[i], &position);
	if (err)
		return err;
	/* The blocks are those from here on. */
	position = 0;
	packing.update = ovm_store_begin(store);
	size_t block = store->nr_blocks;

	for (size_t i = 0; i < result->nr_pieces; i++)
		block -= result->pieces[i].how == OVM_PACKED_LZ4 ? result->pieces[i].nr_blocks : 0;
	for (size_t i = 0; i < result->nr_pieces && !err; i++) {
		const struct ovm_pack_piece *packed = &result->pieces[i];

		err = take_packed(&packing, store, packed, block * store->block_pages);
		if (packed->how == OVM_PACKED_LZ4)
			block += packed->nr_blocks;
	}
	for (; packing.next < store->nr && !err; packing.next++)
		err = ovm_store_push(&packing.update, &store->pieces[packing.next]);
	packing.update.to.end += result->bytes;
	return ovm_store_end(store, &packing.update, err);
}

/* ---- the file in the end --------------------------------------------------------------------- */

/* Pages that are a unit of the file: a piece, or a block. */
struct unit {
	enum ovm_sifted kind;
	uint64_t va, nr_pages;
	/* Where the bytes are, and where they are to be. */
	uint64_t from, to, size;
	/* They begin an entry of the pagemap, whose bytes begin at a multiple of a page. */
	bool begins, aligned;
};

struct layout {
	const struct ovm_page_store *store;
	/* The next piece, and its pages that are done. */
	size_t next;
	uint64_t done;
	/* What was last. */
	struct unit unit;
	/* Behind what was last. */
	uint64_t end;
};

/* Whether what an entry that begins with a block begins with is not compressed. */
static bool begins_raw(const struct ovm_page_store *store, size_t index)
{
	const struct ovm_stored_block *block = &store->blocks[index];

	while (!block->size && ++index < store->nr_blocks && !store->blocks[index].first)
		block = &store->blocks[index];
	return block->size && block->size == ovm_stored_bytes(block->nr_pages);
}

static void lay_block(struct layout *layout, const struct ovm_stored *piece, struct unit *unit)
{
	const struct ovm_page_store *store = layout->store;
	const size_t index = (piece->position + layout->done) / store->block_pages;
	const struct ovm_stored_block *block = &store->blocks[index];
	const struct unit *last = &layout->unit;

	unit->nr_pages = block->nr_pages;
	unit->from = block->offset;
	unit->size = block->size;
	/* Only the last block of an entry may have fewer pages. */
	unit->begins |= block->first || last->nr_pages != store->block_pages;
	unit->aligned = unit->begins && begins_raw(store, index);
}

/* Go on by the pages of a unit, which may be in several pieces. */
static void skip_pages(struct layout *layout, uint64_t nr)
{
	while (nr) {
		uint64_t left = layout->store->pieces[layout->next].nr_pages - layout->done;
		uint64_t part = left < nr ? left : nr;

		layout->done += part;
		nr -= part;
		if (part == left) {
			layout->next++;
			layout->done = 0;
		}
	}
}

/* The next unit, by address, is layout->unit then; false if there is none. */
static bool lay_next(struct layout *layout)
{
	const struct ovm_page_store *store = layout->store;
	const struct unit last = layout->unit;
	const struct ovm_stored *piece;

	do {
		if (layout->next == store->nr)
			return false;
		piece = &store->pieces[layout->next];
	} while ((piece->kind == OVM_SIFTED_ZERO || piece->kind == OVM_SIFTED_NOT) &&
		 ++layout->next);

	struct unit unit = {
		.kind = piece->kind,
		.va = piece->va + ovm_stored_bytes(layout->done),
		.nr_pages = piece->nr_pages,
	};

	unit.begins = !last.nr_pages || last.kind != unit.kind ||
		      last.va + ovm_stored_bytes(last.nr_pages) != unit.va;
	if (unit.kind == OVM_SIFTED_RAW) {
		unit.from = piece->offset;
		unit.size = ovm_stored_bytes(unit.nr_pages);
		unit.aligned = unit.begins && store->block_pages;
	} else if (unit.kind == OVM_SIFTED_LZ4) {
		lay_block(layout, piece, &unit);
	}
	unit.to = layout->end;
	if (unit.aligned)
		unit.to = (unit.to + OVM_PAGE_SIZE - 1) & ~(uint64_t)(OVM_PAGE_SIZE - 1);
	layout->end = unit.to + unit.size;
	layout->unit = unit;
	skip_pages(layout, unit.nr_pages);
	return true;
}

uint64_t ovm_page_store_size(const struct ovm_page_store *store)
{
	struct layout layout = {.store = store};

	while (lay_next(&layout))
		;
	return layout.end;
}

bool ovm_page_store_arranged(const struct ovm_page_store *store)
{
	struct layout layout = {.store = store};

	while (lay_next(&layout))
		if (layout.unit.size && layout.unit.from != layout.unit.to)
			return false;
	return layout.end == store->end;
}

static struct ovm_error *make_pagemap(size_t nr_entries, size_t nr_blocks,
				      struct ovm_page_store_map *map)
{
	*map = (struct ovm_page_store_map){
		.entries = calloc(nr_entries + 1, sizeof(*map->entries)),
		.block_sizes = calloc(nr_blocks + 1, sizeof(*map->block_sizes)),
	};
	if (map->entries && map->block_sizes)
		return NULL;
	free(map->entries);
	free(map->block_sizes);
	return ovm_error_no_memory();
}

struct ovm_error *ovm_page_store_pagemap(const struct ovm_page_store *store,
					 struct ovm_page_store_map *ret)
{
	struct layout layout = {.store = store};
	size_t nr_entries = 0, nr_blocks = 0;

	while (lay_next(&layout)) {
		nr_entries += layout.unit.begins;
		nr_blocks += layout.unit.kind == OVM_SIFTED_LZ4;
	}
	struct ovm_error *err = make_pagemap(nr_entries, nr_blocks, ret);

	if (err)
		return err;
	nr_blocks = 0;
	layout = (struct layout){.store = store};
	while (lay_next(&layout)) {
		const struct unit *unit = &layout.unit;

		if (unit->begins)
			ret->entries[ret->nr++] = (struct ovm_image_pagemap_entry){
				.address = unit->va,
				.in_parent = unit->kind == OVM_SIFTED_PARENT,
				.aligned = unit->aligned,
				.offset = unit->to,
				.block_sizes = ret->block_sizes + nr_blocks,
			};
		struct ovm_image_pagemap_entry *entry = &ret->entries[ret->nr - 1];

		entry->nr_pages += unit->nr_pages;
		if (unit->kind != OVM_SIFTED_LZ4)
			continue;
		ret->block_sizes[nr_blocks++] = (uint32_t)unit->size;
		entry->nr_blocks++;
	}
	return NULL;
}

/* ---- arranging ------------------------------------------------------------------------------- */

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

static bool move(int from, int to, const struct unit *unit, uint8_t *buf)
{
	for (uint64_t done = 0; done < unit->size;) {
		size_t n = unit->size - done < ARRANGE_BYTES ? (size_t)(unit->size - done)
							     : ARRANGE_BYTES;

		if (!read_all(from, buf, n, unit->from + done) ||
		    !write_all(to, buf, n, unit->to + done))
			return false;
		done += n;
	}
	return true;
}

struct ovm_error *ovm_page_store_arrange(const struct ovm_page_store *store, int from, int to,
					 const char *name)
{
	_cleanup_free_ uint8_t *buf = malloc(ARRANGE_BYTES);
	struct layout layout = {.store = store};

	if (!buf)
		return ovm_error_no_memory();
	while (lay_next(&layout))
		if (!move(from, to, &layout.unit, buf))
			return ovm_error_errno(OVM_ERROR_OUTPUT, errno, name,
					       "can't arrange the pages of %s anew", name);
	return NULL;
}
