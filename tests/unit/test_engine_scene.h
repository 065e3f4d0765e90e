/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A request to pack the pages of a made-up process, and checks of the result against what plainly
 * should become of each page. The checks are assertions: ask ovm_test_failed() after them.
 */
#ifndef OVM_TESTS_UNIT_TEST_ENGINE_SCENE_H
#define OVM_TESTS_UNIT_TEST_ENGINE_SCENE_H

#include <lz4.h>

#include "kernels-cuda/pagehash.h"
#include "test.h"
#include "test_engine_guest.h"
#include "test_pages.h"

enum {
	MIB = 1 << 20,
	RAM_SIZE = 128 * MIB,
	FIRST = 16 * MIB,
	NR_FRAMES = 8192,
	NR_PAGES = 5000,
	MAX_PIECES = 2 * NR_PAGES,
};

/* Pages of a process, and a request for them. */
struct scene {
	struct guest guest;
	struct ovm_copy_run copies[NR_PAGES];
	struct ovm_pack_extent extents[NR_PAGES];
	/* The number that fills each page, in the order of the request; and in the parent. */
	uint64_t numbers[NR_PAGES];
	uint64_t parent_numbers[NR_PAGES];
	/* Where the pages are. */
	uint64_t *words[NR_PAGES];
	struct ovm_page_hashes *parent;
	struct ovm_pack_request request;
};

/* The result of a request. */
struct packed {
	struct ovm_pack_result *result;
	struct ovm_page_hashes *hashes;
	uint8_t *out;
	size_t size;
};

static inline void scene_free(struct scene **scene)
{
	if (!*scene)
		return;
	ovm_page_hashes_free((*scene)->parent);
	guest_destroy(&(*scene)->guest);
	free(*scene);
}

static inline void packed_deinit(struct packed *packed)
{
	ovm_pack_result_free(packed->result);
	ovm_page_hashes_free(packed->hashes);
	free(packed->out);
	memset(packed, 0, sizeof(*packed));
}

#define _cleanup_scene_	 __attribute__((cleanup(scene_free)))
#define _cleanup_packed_ __attribute__((cleanup(packed_deinit)))

/* Spread the pages over RAM in runs; every 7th run is single pages, backwards. */
static inline void scene_copies(struct scene *scene, uint64_t *state)
{
	uint64_t page = 0, frame = 0;
	size_t nr = 0;

	while (page < NR_PAGES) {
		uint64_t pages = 1 + next_random(state) % 40;
		bool backwards = next_random(state) % 7 == 0;

		if (pages > NR_PAGES - page)
			pages = NR_PAGES - page;
		for (uint64_t i = 0; i < (backwards ? pages : 1); i++) {
			scene->copies[nr].gpa =
				FIRST + ((frame + (backwards ? pages - 1 - i : 0)) << 12);
			scene->copies[nr].nr_pages = backwards ? 1 : pages;
			scene->copies[nr++].offset = (page + i) << 12;
		}
		page += pages;
		frame += pages + next_random(state) % 3;
	}
	scene->request.copies = scene->copies;
	scene->request.nr_copies = nr;
}

static inline void scene_extents(struct scene *scene, uint64_t *state)
{
	uint64_t page = 0;
	size_t nr = 0;

	while (page < NR_PAGES) {
		struct ovm_pack_extent *extent = &scene->extents[nr++];

		extent->nr_pages = next_random(state) % (next_random(state) % 4 ? 40 : 1500);
		if (extent->nr_pages > NR_PAGES - page)
			extent->nr_pages = NR_PAGES - page;
		extent->ops = (uint32_t)(next_random(state) % (OVM_PACK_ALL + 1));
		extent->parent = next_random(state) % 4 ? page : OVM_PACK_NO_PARENT;
		page += extent->nr_pages;
	}
	scene->request.extents = scene->extents;
	scene->request.nr_extents = nr;
}

static inline void scene_words(struct scene *scene)
{
	for (size_t i = 0; i < scene->request.nr_copies; i++) {
		const struct ovm_copy_run *copy = &scene->copies[i];

		for (uint64_t j = 0; j < copy->nr_pages; j++)
			scene->words[(copy->offset >> 12) + j] =
				guest_words(&scene->guest, copy->gpa + (j << 12));
	}
}

/* Runs of pages of the same kind; half of them are as in the parent. */
static inline struct ovm_error *scene_pages(struct scene *scene, uint64_t *state)
{
	struct ovm_error *err = ovm_page_hashes_create(NULL, NR_PAGES, &scene->parent);
	uint64_t kind = 0, words[512];

	for (uint64_t i = 0; i < NR_PAGES && !err; i++) {
		if (next_random(state) % 4 == 0)
			kind = next_random(state) % 8;
		scene->numbers[i] = 8 * (next_random(state) % 1000) + kind;
		scene->parent_numbers[i] =
			next_random(state) % 2 ? scene->numbers[i] : scene->numbers[i] + 8;
		fill_page(words, scene->parent_numbers[i]);
		scene->parent->hashes[i] = ovm_hash_page(&scene->parent->key, words);
		/* What is zero may be a hole. */
		if (kind || next_random(state) % 2)
			fill_page(scene->words[i], scene->numbers[i]);
	}
	return err;
}

static inline struct ovm_error *scene_create(enum ovm_ram_kind kind, uint64_t seed,
					     struct scene **ret)
{
	struct scene *scene = *ret = calloc(1, sizeof(*scene));
	struct ovm_error *err = guest_create(&scene->guest, RAM_SIZE, 4, kind, 2);

	if (err)
		return err;
	scene_copies(scene, &seed);
	scene_words(scene);
	scene_extents(scene, &seed);
	scene->request.size = sizeof(scene->request);
	err = scene_pages(scene, &seed);
	scene->request.parent = scene->parent;
	return err;
}

/* Pack a scene into a buffer, with hashes. */
static inline struct ovm_error *pack_by(struct scene *scene, struct ovm_engine *engine,
					struct packed *packed)
{
	struct ovm_pack_request request = scene->request;
	struct ovm_page_sink *sink = NULL;
	struct ovm_error *err;

	packed_deinit(packed);
	packed->size = request.base + 2 * ((size_t)NR_PAGES << 12);
	packed->out = malloc(packed->size);
	memset(packed->out, 0xa5, packed->size);
	err = ovm_page_sink_create_buffer(packed->out, packed->size, &sink);
	if (!err)
		err = ovm_page_hashes_create(scene->request.parent, NR_PAGES, &packed->hashes);
	request.sink = sink;
	request.hashes = packed->hashes;
	if (!err)
		err = ovm_engine_pack(engine, &request, &packed->result);
	ovm_page_sink_destroy(sink);
	return err;
}

/* The same on the CPU, by as many threads. */
static inline struct ovm_error *pack(struct scene *scene, unsigned int nr_threads,
				     struct packed *packed)
{
	struct ovm_engine *engine = NULL;
	struct ovm_error *err = guest_engine(&scene->guest, nr_threads, &engine);

	if (!err)
		err = pack_by(scene, engine, packed);
	ovm_engine_destroy(engine);
	return err;
}

static inline enum ovm_pack_how expected_how(const struct scene *scene, uint64_t page,
					     size_t extent)
{
	const struct ovm_pack_extent *e = &scene->extents[extent];

	if (e->ops & OVM_PACK_DROP_ZERO && scene->numbers[page] % 8 == 0)
		return OVM_PACKED_ZERO;
	if (e->ops & OVM_PACK_DROP_UNCHANGED && scene->request.parent &&
	    e->parent != OVM_PACK_NO_PARENT) {
		uint64_t now[512], then[512];

		fill_page(now, scene->numbers[page]);
		fill_page(then, scene->parent_numbers[page]);
		if (!memcmp(now, then, sizeof(now)))
			return OVM_PACKED_UNCHANGED;
	}
	return e->ops & OVM_PACK_LZ4 ? OVM_PACKED_LZ4 : OVM_PACKED_RAW;
}

/* Decode the blocks of a piece; *@raw becomes whether its first payload isn't compressed. */
static inline void check_blocks(const struct scene *scene, const struct packed *packed,
				const struct ovm_pack_piece *piece, uint8_t *pages, bool *raw)
{
	uint64_t block_pages = scene->request.block_pages ? scene->request.block_pages : 1;
	const uint8_t *in = packed->out + piece->offset;
	uint64_t left = piece->nr_pages;
	bool smaller = false, first = true;

	ASSERT_EQ_U64(piece->nr_blocks, (piece->nr_pages + block_pages - 1) / block_pages);
	ASSERT_TRUE(piece->first_block + piece->nr_blocks <= packed->result->nr_blocks);
	for (uint64_t i = 0; i < piece->nr_blocks; i++) {
		uint64_t nr = left < block_pages ? left : block_pages;
		uint32_t size = packed->result->block_sizes[piece->first_block + i];
		uint64_t bytes = nr << 12;

		if (size && first)
			*raw = size == bytes;
		first = first && !size;
		smaller = smaller || size < bytes;
		if (!size)
			memset(pages, 0, bytes);
		else if (size == bytes)
			memcpy(pages, in, bytes);
		else
			ASSERT_EQ_U64(LZ4_decompress_safe((const char *)in, (char *)pages,
							  (int)size, (int)bytes),
				      bytes);
		in += size;
		pages += bytes;
		left -= nr;
	}
	ASSERT_TRUE(smaller);
	ASSERT_EQ_U64(in - packed->out, piece->offset + piece->size);
}

static inline void check_pages(const struct scene *scene, const struct ovm_pack_piece *piece,
			       const uint8_t *pages)
{
	uint64_t words[512];

	for (uint64_t i = 0; i < piece->nr_pages; i++) {
		enum ovm_pack_how how = expected_how(scene, piece->page + i, (size_t)piece->extent);

		/* A piece that can't be compressed is not. */
		if (how != piece->how && (how != OVM_PACKED_LZ4 || piece->how != OVM_PACKED_RAW))
			OVM_FAIL("page %llu: %d, not %d", (unsigned long long)(piece->page + i),
				 piece->how, how);
		fill_page(words, scene->numbers[piece->page + i]);
		if (piece->how == OVM_PACKED_RAW || piece->how == OVM_PACKED_LZ4)
			ASSERT_MEMEQ(pages + (i << 12), words, OVM_PAGE_SIZE);
	}
}

/* Where the extent that a page is in begins and ends. */
static inline void extent_bounds(const struct scene *scene, uint64_t extent, uint64_t *first,
				 uint64_t *end)
{
	*first = 0;
	for (uint64_t i = 0; i < extent; i++)
		*first += scene->extents[i].nr_pages;
	*end = *first + scene->extents[extent].nr_pages;
}

static inline void check_piece(const struct scene *scene, const struct packed *packed,
			       const struct ovm_pack_piece *piece, uint64_t *offset)
{
	uint8_t *pages = malloc(piece->nr_pages << 12);
	bool raw = piece->how == OVM_PACKED_RAW;
	uint64_t first, end;

	if (raw) {
		ASSERT_EQ_U64(piece->size, piece->nr_pages << 12);
		memcpy(pages, packed->out + piece->offset, piece->size);
	} else if (piece->how == OVM_PACKED_LZ4) {
		check_blocks(scene, packed, piece, pages, &raw);
	} else {
		ASSERT_EQ_U64(piece->size, 0);
		ASSERT_EQ_U64(piece->offset, 0);
	}
	check_pages(scene, piece, pages);
	extent_bounds(scene, piece->extent, &first, &end);
	ASSERT_TRUE(piece->page >= first && piece->page + piece->nr_pages <= end);
	ASSERT_EQ_U64(piece->aligned, scene->request.align && piece->size && raw);
	if (piece->aligned) {
		for (; *offset % OVM_PAGE_SIZE; (*offset)++)
			ASSERT_EQ_U64(packed->out[*offset], 0);
	}
	if (piece->how == OVM_PACKED_RAW || piece->how == OVM_PACKED_LZ4)
		ASSERT_EQ_U64(piece->offset, *offset);
	*offset += piece->size;
	free(pages);
}

static inline void check_packed_start(const struct scene *scene, const struct packed *packed)
{
	const struct ovm_pack_result *result = packed->result;
	uint64_t page = 0, offset = scene->request.base, counts[OVM_PACKED_NR] = {0}, blocks = 0;

	for (size_t i = 0; i < result->nr_pieces; i++) {
		const struct ovm_pack_piece *piece = &result->pieces[i];

		ASSERT_EQ_U64(piece->page, page);
		ASSERT_TRUE(piece->nr_pages > 0);
		if (piece->how == OVM_PACKED_LZ4)
			ASSERT_EQ_U64(piece->first_block, blocks);
		check_piece(scene, packed, piece, &offset);
		if (ovm_test_failed())
			return;
		page += piece->nr_pages;
		blocks += piece->nr_blocks;
		counts[piece->how] += piece->nr_pages;
	}
	ASSERT_EQ_U64(page, NR_PAGES);
	ASSERT_EQ_U64(blocks, result->nr_blocks);
	ASSERT_EQ_U64(offset, scene->request.base + result->bytes);
	ASSERT_MEMEQ(counts, result->pages, sizeof(counts));
	for (uint64_t i = 0; i < scene->request.base; i++)
		ASSERT_EQ_U64(packed->out[i], 0xa5);
	for (uint64_t i = 0; i < NR_PAGES; i++) {
		uint64_t words[512];

		fill_page(words, scene->numbers[i]);

		struct ovm_page_hash hash = ovm_hash_page(&packed->hashes->key, words);

		ASSERT_MEMEQ(&hash, &packed->hashes->hashes[i], sizeof(hash));
	}
}

/* The same, and that there is nothing behind. */
static inline void check_packed(const struct scene *scene, const struct packed *packed)
{
	check_packed_start(scene, packed);
	for (uint64_t i = scene->request.base + packed->result->bytes; i < packed->size; i++)
		ASSERT_EQ_U64(packed->out[i], 0xa5);
}

static inline void check_equal(const struct packed *a, const struct packed *b)
{
	ASSERT_EQ_U64(a->result->nr_pieces, b->result->nr_pieces);
	for (size_t i = 0; i < a->result->nr_pieces; i++)
		ASSERT_MEMEQ(&a->result->pieces[i], &b->result->pieces[i],
			     sizeof(a->result->pieces[i]));
	ASSERT_EQ_U64(a->result->nr_blocks, b->result->nr_blocks);
	ASSERT_MEMEQ(a->result->block_sizes, b->result->block_sizes,
		     a->result->nr_blocks * sizeof(uint32_t));
	ASSERT_EQ_U64(a->result->zero_blocks, b->result->zero_blocks);
	ASSERT_EQ_U64(a->result->raw_blocks, b->result->raw_blocks);
	ASSERT_EQ_U64(a->size, b->size);
	ASSERT_MEMEQ(a->out, b->out, a->size);
}

#endif /* OVM_TESTS_UNIT_TEST_ENGINE_SCENE_H */
