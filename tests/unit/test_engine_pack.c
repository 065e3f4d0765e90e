// SPDX-License-Identifier: GPL-2.0-only
/* Packing: what becomes of pages, against what plainly should; hashes; the encoder of LZ4 blocks.
 */
#include <lz4.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "test.h"
#include "test_engine_guest.h"

#include "kernels-cuda/lz4block.h"
#include "kernels-cuda/pagehash.h"

enum {
	MIB = 1 << 20,
	RAM_SIZE = 128 * MIB,
	FIRST = 16 * MIB,
	NR_FRAMES = 8192,
	NR_PAGES = 5000,
	MAX_PIECES = 2 * NR_PAGES,
};

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* What a page holds, by its number; the same number, the same page. */
static void fill_page(uint64_t *words, uint64_t number)
{
	uint64_t state = number / 8 * 2654435761 + 88172645463325252;

	memset(words, 0, OVM_PAGE_SIZE);
	for (unsigned int i = 0; i < 512; i++) {
		switch (number % 8) {
		case 0: /* Zero. */
			break;
		case 1: /* One bit, and the last one at that. */
			words[511] = UINT64_C(1) << 63;
			break;
		case 2: /* Can't be compressed. */
			words[i] = next_random(&state);
			break;
		case 3: /* Can be, somewhat. */
			words[i] = i % 8 < 6 ? next_random(&state) : number;
			break;
		case 4:
			words[i] = next_random(&state) & 0xff;
			break;
		case 5: /* All the same. */
			words[i] = number;
			break;
		default:
			words[i] = 0x100 * i + number;
		}
	}
}

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

static void scene_free(struct scene **scene)
{
	if (!*scene)
		return;
	ovm_page_hashes_free((*scene)->parent);
	guest_destroy(&(*scene)->guest);
	free(*scene);
}

static void packed_deinit(struct packed *packed)
{
	ovm_pack_result_free(packed->result);
	ovm_page_hashes_free(packed->hashes);
	free(packed->out);
	memset(packed, 0, sizeof(*packed));
}

#define _cleanup_scene_	 __attribute__((cleanup(scene_free)))
#define _cleanup_packed_ __attribute__((cleanup(packed_deinit)))

/* Spread the pages over RAM in runs; every 7th run is single pages, backwards. */
static void scene_copies(struct scene *scene, uint64_t *state)
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

static void scene_extents(struct scene *scene, uint64_t *state)
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

static void scene_words(struct scene *scene)
{
	for (size_t i = 0; i < scene->request.nr_copies; i++) {
		const struct ovm_copy_run *copy = &scene->copies[i];

		for (uint64_t j = 0; j < copy->nr_pages; j++)
			scene->words[(copy->offset >> 12) + j] =
				guest_words(&scene->guest, copy->gpa + (j << 12));
	}
}

/* Runs of pages of the same kind; half of them are as in the parent. */
static struct ovm_error *scene_pages(struct scene *scene, uint64_t *state)
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
		scene->parent->hashes[i] =
			ovm_hash_page(&scene->parent->key, (const uint32_t *)words);
		/* What is zero may be a hole. */
		if (kind || next_random(state) % 2)
			fill_page(scene->words[i], scene->numbers[i]);
	}
	return err;
}

static struct ovm_error *scene_create(enum ovm_ram_kind kind, uint64_t seed, struct scene **ret)
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

/* Pack a scene into a buffer, with hashes, by an engine with as many threads. */
static struct ovm_error *pack(struct scene *scene, unsigned int nr_threads, struct packed *packed)
{
	struct ovm_pack_request request = scene->request;
	struct ovm_page_sink *sink = NULL;
	struct ovm_engine *engine = NULL;
	struct ovm_error *err = guest_engine(&scene->guest, nr_threads, &engine);

	packed_deinit(packed);
	packed->size = request.base + 2 * ((size_t)NR_PAGES << 12);
	packed->out = malloc(packed->size);
	memset(packed->out, 0xa5, packed->size);
	if (!err)
		err = ovm_page_sink_create_buffer(packed->out, packed->size, &sink);
	if (!err)
		err = ovm_page_hashes_create(scene->request.parent, NR_PAGES, &packed->hashes);
	request.sink = sink;
	request.hashes = packed->hashes;
	if (!err)
		err = ovm_engine_pack(engine, &request, &packed->result);
	ovm_page_sink_destroy(sink);
	ovm_engine_destroy(engine);
	return err;
}

static enum ovm_pack_how expected_how(const struct scene *scene, uint64_t page, size_t extent)
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
static void check_blocks(const struct scene *scene, const struct packed *packed,
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

static void check_pages(const struct scene *scene, const struct ovm_pack_piece *piece,
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
static void extent_bounds(const struct scene *scene, uint64_t extent, uint64_t *first,
			  uint64_t *end)
{
	*first = 0;
	for (uint64_t i = 0; i < extent; i++)
		*first += scene->extents[i].nr_pages;
	*end = *first + scene->extents[extent].nr_pages;
}

static void check_piece(const struct scene *scene, const struct packed *packed,
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

static void check_packed(const struct scene *scene, const struct packed *packed)
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
	/* Nothing before, nothing behind. */
	for (uint64_t i = 0; i < scene->request.base; i++)
		ASSERT_EQ_U64(packed->out[i], 0xa5);
	for (uint64_t i = offset; i < packed->size; i++)
		ASSERT_EQ_U64(packed->out[i], 0xa5);
	for (uint64_t i = 0; i < NR_PAGES; i++) {
		uint64_t words[512];

		fill_page(words, scene->numbers[i]);

		struct ovm_page_hash hash =
			ovm_hash_page(&packed->hashes->key, (const uint32_t *)words);

		ASSERT_MEMEQ(&hash, &packed->hashes->hashes[i], sizeof(hash));
	}
}

static void check_equal(const struct packed *a, const struct packed *b)
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

static void check_threads(struct scene *scene)
{
	_cleanup_packed_ struct packed one = {0};
	_cleanup_packed_ struct packed more = {0};

	ASSERT_OK(pack(scene, 1, &one));
	check_packed(scene, &one);
	if (ovm_test_failed())
		return;
	for (unsigned int i = 2; i <= 4; i++) {
		ASSERT_OK(pack(scene, i, &more));
		check_equal(&one, &more);
		if (ovm_test_failed())
			return;
	}
}

OVM_TEST(engine_pack, pages_of_all_kinds_of_memory)
{
	static const enum ovm_ram_kind kinds[] = {OVM_RAM_MAPPED, OVM_RAM_FILE, OVM_RAM_PROCESS};

	for (unsigned int i = 0; i < 3; i++) {
		_cleanup_scene_ struct scene *scene = NULL;

		ASSERT_OK(scene_create(kinds[i], 1 + i, &scene));
		check_threads(scene);
	}
}

OVM_TEST(engine_pack, blocks_of_all_sizes)
{
	static const uint32_t sizes[] = {1, 2, 7, 64, 100, 512, 513, 1024};
	_cleanup_scene_ struct scene *scene = NULL;

	ASSERT_OK(scene_create(OVM_RAM_MAPPED, 11, &scene));
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		scene->request.block_pages = sizes[i];
		scene->request.acceleration = i % 3;
		scene->request.base = i % 2 ? 12345 : 0;
		scene->request.align = i % 4 > 1;
		check_threads(scene);
		if (ovm_test_failed())
			return;
	}
}

OVM_TEST(engine_pack, one_long_extent)
{
	_cleanup_scene_ struct scene *scene = NULL;

	ASSERT_OK(scene_create(OVM_RAM_MAPPED, 12, &scene));
	scene->request.nr_extents = 1;
	scene->extents[0].nr_pages = NR_PAGES;
	scene->extents[0].parent = 0;
	for (uint32_t ops = 0; ops <= OVM_PACK_ALL; ops++) {
		_cleanup_packed_ struct packed packed = {0};

		scene->request.block_pages = 64;
		scene->extents[0].ops = ops;
		ASSERT_OK(pack(scene, 2, &packed));
		check_packed(scene, &packed);
		if (ovm_test_failed())
			return;
		/* Where nothing is left out, there is nothing that ends a piece. */
		if (!ops || ops == OVM_PACK_LZ4)
			ASSERT_EQ_U64(packed.result->nr_pieces, 1);
	}
}

OVM_TEST(engine_pack, without_a_parent)
{
	_cleanup_scene_ struct scene *scene = NULL;
	_cleanup_packed_ struct packed packed = {0};

	ASSERT_OK(scene_create(OVM_RAM_MAPPED, 13, &scene));
	scene->request.parent = NULL;
	for (size_t i = 0; i < scene->request.nr_extents; i++)
		scene->extents[i].parent = OVM_PACK_NO_PARENT;
	ASSERT_OK(pack(scene, 2, &packed));
	check_packed(scene, &packed);
	ASSERT_EQ_U64(packed.result->pages[OVM_PACKED_UNCHANGED], 0);
}

OVM_TEST(engine_pack, hashes_are_a_parent_for_the_next)
{
	_cleanup_scene_ struct scene *scene = NULL;
	_cleanup_packed_ struct packed packed = {0};

	ASSERT_OK(scene_create(OVM_RAM_MAPPED, 14, &scene));
	ASSERT_OK(pack(scene, 1, &packed));
	ovm_page_hashes_free(scene->parent);
	scene->request.parent = scene->parent = packed.hashes;
	packed.hashes = NULL;
	memcpy(scene->parent_numbers, scene->numbers, sizeof(scene->numbers));
	scene->request.nr_extents = 1;
	scene->extents[0] = (struct ovm_pack_extent){NR_PAGES, 0, OVM_PACK_DROP_UNCHANGED, 0};
	for (uint64_t i = 0; i < NR_PAGES; i += 100) {
		scene->numbers[i] ^= 4;
		fill_page(scene->words[i], scene->numbers[i]);
	}
	ASSERT_OK(pack(scene, 2, &packed));
	check_packed(scene, &packed);
	ASSERT_EQ_U64(packed.result->pages[OVM_PACKED_RAW], NR_PAGES / 100);
	ASSERT_EQ_U64(packed.result->pages[OVM_PACKED_UNCHANGED], NR_PAGES - NR_PAGES / 100);
}

OVM_TEST(engine_pack, holes_stay_holes)
{
	_cleanup_scene_ struct scene *scene = NULL;
	_cleanup_packed_ struct packed packed = {0};
	struct stat before, after;

	ASSERT_OK(scene_create(OVM_RAM_MAPPED, 15, &scene));
	ASSERT_TRUE(!fstat(scene->guest.fd, &before));
	ASSERT_OK(pack(scene, 2, &packed));
	ASSERT_TRUE(!fstat(scene->guest.fd, &after));
	ASSERT_EQ_U64(after.st_blocks, before.st_blocks);
}

static bool was_written(const struct ovm_pack_result *result, uint64_t page)
{
	for (size_t i = 0; i < result->nr_pieces; i++) {
		const struct ovm_pack_piece *piece = &result->pieces[i];

		if (page - piece->page < piece->nr_pages)
			return piece->how == OVM_PACKED_RAW || piece->how == OVM_PACKED_LZ4;
	}
	return false;
}

OVM_TEST(engine_pack, duplicates)
{
	_cleanup_scene_ struct scene *scene = NULL;
	_cleanup_packed_ struct packed packed = {0};
	size_t nr = 0;

	ASSERT_OK(scene_create(OVM_RAM_MAPPED, 16, &scene));
	scene->request.find_duplicates = true;
	ASSERT_OK(pack(scene, 3, &packed));
	for (uint64_t i = 0; i < NR_PAGES; i++) {
		uint64_t of = 0;

		if (!was_written(packed.result, i))
			continue;
		while (of < i && (!was_written(packed.result, of) ||
				  memcmp(scene->words[of], scene->words[i], 4096)))
			of++;
		if (of == i)
			continue;
		ASSERT_TRUE(nr < packed.result->nr_duplicates);
		ASSERT_EQ_U64(packed.result->duplicates[nr].page, i);
		ASSERT_EQ_U64(packed.result->duplicates[nr++].of, of);
	}
	ASSERT_EQ_U64(packed.result->nr_duplicates, nr);
	ASSERT_TRUE(nr > 100);
}

static struct ovm_error *failing_write(void *arg, const struct iovec *iov, int nr, uint64_t offset)
{
	atomic_int *left = arg;

	(void)iov;
	(void)nr;
	(void)offset;
	return atomic_fetch_sub(left, 1) <= 0
		       ? ovm_error_format(OVM_ERROR_OUTPUT, "no room in the test's sink")
		       : NULL;
}

OVM_TEST(engine_pack, a_sink_that_fails_ends_it)
{
	_cleanup_scene_ struct scene *scene = NULL;
	struct ovm_pack_result *result = NULL;
	struct ovm_engine *engine;

	ASSERT_OK(scene_create(OVM_RAM_MAPPED, 17, &scene));
	for (unsigned int threads = 1; threads <= 4; threads += 3) {
		ASSERT_OK(guest_engine(&scene->guest, threads, &engine));
		for (int i = 0; i < 8; i++) {
			struct ovm_pack_request request = scene->request;
			atomic_int left = i;

			ASSERT_OK(ovm_page_sink_create(failing_write, &left, &request.sink));
			ASSERT_ERROR(ovm_engine_pack(engine, &request, &result), OVM_ERROR_OUTPUT,
				     "no room");
			ASSERT_TRUE(!result);
			ovm_page_sink_destroy(request.sink);
		}
		ovm_engine_destroy(engine);
	}
}

static bool count_down(void *arg)
{
	return (*(int *)arg)-- <= 0;
}

OVM_TEST(engine_pack, stops_on_request)
{
	_cleanup_scene_ struct scene *scene = NULL;
	struct ovm_pack_result *result = NULL;
	struct ovm_engine *engine;
	struct ovm_page_sink *sink;

	ASSERT_OK(scene_create(OVM_RAM_MAPPED, 18, &scene));
	ASSERT_OK(ovm_page_sink_create_discard(&sink));
	for (int i = 0; i < 5; i++) {
		struct ovm_pack_request request = scene->request;
		int left = i;

		ASSERT_OK(guest_engine(&scene->guest, 1, &engine));
		request.sink = sink;
		request.cancelled = count_down;
		request.arg = &left;
		ASSERT_ERROR(ovm_engine_pack(engine, &request, &result), OVM_ERROR_CANCELLED, NULL);
		ovm_engine_destroy(engine);
	}
	ovm_page_sink_destroy(sink);
}

static void check_refused(struct scene *scene, struct ovm_engine *engine, const char *why)
{
	struct ovm_pack_result *result = NULL;

	ASSERT_ERROR(ovm_engine_pack(engine, &scene->request, &result), OVM_ERROR_USAGE, why);
	ASSERT_TRUE(!result);
}

OVM_TEST(engine_pack, wrong_requests)
{
	_cleanup_scene_ struct scene *scene = NULL;
	struct ovm_engine *engine;
	struct ovm_page_sink *sink;
	struct ovm_page_hashes *hashes;
	struct ovm_pack_result *result;

	ASSERT_OK(scene_create(OVM_RAM_MAPPED, 19, &scene));
	ASSERT_OK(guest_engine(&scene->guest, 1, &engine));
	ASSERT_OK(ovm_page_sink_create_discard(&sink));
	check_refused(scene, engine, "no sink");
	scene->request.sink = sink;
	scene->copies[3].offset += 4096;
	check_refused(scene, engine, "prefix sums");
	scene->copies[3].offset -= 4096;
	scene->request.nr_extents--;
	check_refused(scene, engine, "fewer pages");
	scene->request.nr_extents++;
	scene->extents[0].nr_pages += 1;
	check_refused(scene, engine, "more pages");
	scene->extents[0].nr_pages -= 1;
	scene->extents[0].ops = OVM_PACK_ALL + 1;
	check_refused(scene, engine, "no such operation");
	scene->extents[0].ops = 0;
	scene->request.block_pages = OVM_PACK_MAX_BLOCK_PAGES + 1;
	check_refused(scene, engine, "4 MiB");
	scene->request.block_pages = 0;
	scene->request.acceleration = 65538;
	check_refused(scene, engine, "acceleration");
	scene->request.acceleration = 0;
	ASSERT_OK(ovm_page_hashes_create(NULL, NR_PAGES, &hashes));
	scene->request.hashes = hashes;
	check_refused(scene, engine, "another key");
	ovm_page_hashes_free(hashes);
	ASSERT_OK(ovm_page_hashes_create(scene->parent, NR_PAGES - 1, &hashes));
	scene->request.hashes = hashes;
	check_refused(scene, engine, "another number");
	scene->request.hashes = NULL;
	scene->parent->nr = NR_PAGES - 1;
	for (size_t i = 0; i < scene->request.nr_extents; i++)
		scene->extents[i].parent = 0;
	scene->extents[0].parent = UINT64_MAX - 1;
	check_refused(scene, engine, "the parent has fewer");
	scene->extents[0].parent = 0;
	scene->copies[0].gpa = RAM_SIZE;
	ASSERT_ERROR(ovm_engine_pack(engine, &scene->request, &result), OVM_ERROR_FAULT, NULL);
	ovm_page_hashes_free(hashes);
	ovm_page_sink_destroy(sink);
	ovm_engine_destroy(engine);
}

OVM_TEST(engine_pack, nothing)
{
	struct ovm_pack_request request = {.size = sizeof(request), .find_duplicates = true};
	struct ovm_pack_result *result;
	struct ovm_engine *engine;
	struct guest guest;

	ASSERT_OK(guest_create(&guest, RAM_SIZE, 4, OVM_RAM_MAPPED, 2));
	ASSERT_OK(guest_engine(&guest, 2, &engine));
	ASSERT_OK(ovm_page_sink_create_discard(&request.sink));
	ASSERT_OK(ovm_engine_pack(engine, &request, &result));
	ASSERT_EQ_U64(result->nr_pieces, 0);
	ASSERT_EQ_U64(result->bytes, 0);
	ovm_pack_result_free(result);
	ovm_page_sink_destroy(request.sink);
	ovm_engine_destroy(engine);
	guest_destroy(&guest);
}

/* A guest that goes on writing: pages become zero, or full of their number. */
struct writer {
	struct scene *scene;
	atomic_bool stop;
};

static void *write_pages(void *arg)
{
	struct writer *writer = arg;
	uint64_t state = 4711;

	while (!atomic_load_explicit(&writer->stop, memory_order_relaxed)) {
		uint64_t frame = next_random(&state) % NR_FRAMES;
		volatile uint64_t *words =
			guest_words(&writer->scene->guest, FIRST + (frame << 12));
		uint64_t value = next_random(&state) % 3 ? next_random(&state) % 100 : 0;

		for (unsigned int i = 0; i < 512; i++)
			words[i] = value;
	}
	return NULL;
}

/* What was said of a page is true of what was written of it. */
static void check_consistent(const struct packed *packed, const struct scene *scene)
{
	uint8_t *pages = malloc((size_t)NR_PAGES << 12);

	memset(pages, 0, (size_t)NR_PAGES << 12);
	for (size_t i = 0; i < packed->result->nr_pieces; i++) {
		const struct ovm_pack_piece *piece = &packed->result->pieces[i];
		bool raw;

		if (piece->how == OVM_PACKED_RAW)
			memcpy(pages + (piece->page << 12), packed->out + piece->offset,
			       piece->size);
		else if (piece->how == OVM_PACKED_LZ4)
			check_blocks(scene, packed, piece, pages + (piece->page << 12), &raw);
	}
	for (uint64_t i = 0; i < NR_PAGES; i++) {
		struct ovm_page_hash hash =
			ovm_hash_page(&packed->hashes->key, (const uint32_t *)(pages + (i << 12)));

		ASSERT_MEMEQ(&hash, &packed->hashes->hashes[i], sizeof(hash));
	}
	free(pages);
}

OVM_TEST(engine_pack, a_guest_that_runs_on)
{
	_cleanup_scene_ struct scene *scene = NULL;
	struct writer writer = {0};
	pthread_t thread;

	ASSERT_OK(scene_create(OVM_RAM_MAPPED, 20, &scene));
	scene->request.nr_extents = 2;
	scene->extents[0] = (struct ovm_pack_extent){NR_PAGES / 2, OVM_PACK_NO_PARENT,
						     OVM_PACK_DROP_ZERO | OVM_PACK_LZ4, 0};
	scene->extents[1] = (struct ovm_pack_extent){NR_PAGES - NR_PAGES / 2, OVM_PACK_NO_PARENT,
						     OVM_PACK_DROP_ZERO, 0};
	scene->request.find_duplicates = true;
	writer.scene = scene;
	ASSERT_TRUE(!pthread_create(&thread, NULL, write_pages, &writer));
	for (int i = 0; i < 10 && !ovm_test_failed(); i++) {
		_cleanup_packed_ struct packed packed = {0};
		struct ovm_error *err = pack(scene, 2, &packed);

		if (!err)
			check_consistent(&packed, scene);
		else
			ovm_test_ok(__FILE__, __LINE__, "pack", err);
	}
	atomic_store(&writer.stop, true);
	pthread_join(thread, NULL);
}

/* A key without randomness. */
static void plain_key(struct ovm_hash_key *key)
{
	for (unsigned int i = 0; i < OVM_HASH_KEY_FOLDS; i++)
		key->fold[i] = (i + 1) * UINT64_C(0x123456789abcdef) & OVM_HASH_PRIME;
	for (unsigned int i = 0; i < OVM_HASH_KEY_WORDS; i++)
		key->word[i] = (i + 1) * 0x9e3779b1;
}

/* The hash by its definition, with numbers of 128 bits. */
static struct ovm_page_hash plain_hash(const struct ovm_hash_key *key, const uint32_t *page)
{
	__uint128_t fold[2] = {0, 0};

	for (unsigned int j = 0; j < 4; j++) {
		uint64_t sum = 0;

		for (unsigned int i = 0; i < 512; i++)
			sum += (uint64_t)(uint32_t)(page[i] + key->word[i + j]) *
			       (uint32_t)(page[512 + i] + key->word[516 + i + j]);
		for (unsigned int l = 0; l < 2; l++) {
			const uint64_t *f = key->fold + 8 * l + 2 * j;

			fold[l] += (__uint128_t)f[0] * (uint32_t)sum;
			fold[l] += (__uint128_t)f[1] * (sum >> 32);
			fold[l] %= OVM_HASH_PRIME;
		}
	}
	return (struct ovm_page_hash){{(uint64_t)fold[0], (uint64_t)fold[1]}};
}

OVM_TEST(engine_pack, hash_is_as_defined)
{
	struct ovm_hash_key key;
	uint64_t words[512];

	plain_key(&key);
	for (uint64_t i = 0; i < 2000; i++) {
		fill_page(words, i);
		if (i == 8)
			memset(words, 0xff, sizeof(words));
		if (i == 16)
			memset(&key, 0xff, sizeof(key));
		for (unsigned int j = 0; j < OVM_HASH_KEY_FOLDS; j++)
			key.fold[j] &= OVM_HASH_PRIME;

		struct ovm_page_hash want = plain_hash(&key, (const uint32_t *)words);
		struct ovm_page_hash got = ovm_hash_page(&key, (const uint32_t *)words);

		ASSERT_EQ_U64(got.word[0], want.word[0]);
		ASSERT_EQ_U64(got.word[1], want.word[1]);
		if (i == 20)
			plain_key(&key);
	}
}

/* What was kept in a file must mean the same in later versions. */
OVM_TEST(engine_pack, known_hashes)
{
	static const uint64_t known[][2] = {
		{UINT64_C(0x9d03688398be825), UINT64_C(0x189abca56fc36d9d)},
		{UINT64_C(0xca8640b968c585f), UINT64_C(0x1b2a18cb2dc40249)},
	};
	struct ovm_hash_key key;
	uint32_t words[OVM_PAGE_WORDS];

	plain_key(&key);
	for (unsigned int i = 0; i < 2; i++) {
		for (unsigned int j = 0; j < OVM_PAGE_WORDS; j++)
			words[j] = i * j;

		struct ovm_page_hash hash = ovm_hash_page(&key, words);

		ASSERT_EQ_U64(hash.word[0], known[i][0]);
		ASSERT_EQ_U64(hash.word[1], known[i][1]);
	}
	ASSERT_EQ_U64(sizeof(struct ovm_page_hash), 16);
	ASSERT_EQ_U64(sizeof(struct ovm_hash_key), 8 * 16 + 4 * 1032);
}

OVM_TEST(engine_pack, hash_of_parts_in_any_division)
{
	struct ovm_hash_key key;
	uint64_t words[512], state = 99;

	plain_key(&key);
	for (int round = 0; round < 200; round++) {
		struct ovm_hash_sums sums = {{0}};
		uint32_t at = 0, nr;

		fill_page(words, (uint64_t)round);
		for (; at < OVM_HASH_PAIRS; at += nr) {
			nr = 1 + (uint32_t)(next_random(&state) % 100);
			if (nr > OVM_HASH_PAIRS - at)
				nr = OVM_HASH_PAIRS - at;
			for (uint32_t j = 0; j < OVM_HASH_NR_SUMS; j++)
				sums.nh[j] +=
					ovm_hash_sum(&key, (const uint32_t *)words, j, at, nr);
		}
		ASSERT_TRUE(ovm_hash_equal(ovm_hash_finish(&key, &sums),
					   ovm_hash_page(&key, (const uint32_t *)words)));
	}
}

/* The body of the kernel says of pages what the CPU says. */
OVM_TEST(engine_pack, kernel_classifies_like_the_cpu)
{
	enum { NR = 64 };
	static uint64_t pages[NR][512];
	static struct ovm_page_hash hashes[NR];
	static uint8_t zero[NR];
	struct ovm_hash_key key;
	struct ovm_classify_args args = {&pages[0][0], NR, &key, zero, hashes};

	plain_key(&key);
	for (uint64_t i = 0; i < NR; i++)
		fill_page(pages[i], i);
	for (uint32_t i = 0; i < NR; i++) {
		ovm_classify_body(&args, i);
		ASSERT_EQ_U64(zero[i], ovm_words_zero(pages[i], 512));
		ASSERT_EQ_U64(zero[i], i % 8 == 0);
		ASSERT_TRUE(
			ovm_hash_equal(hashes[i], ovm_hash_page(&key, (const uint32_t *)pages[i])));
	}
	args.key = NULL;
	args.hashes = NULL;
	ovm_classify_body(&args, 1);
	ASSERT_EQ_U64(zero[1], 0);
}

static int compare_hashes(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct ovm_page_hash));
}

/* Pages with one bit, pages that count up, pages whose words change places: no two are the same. */
OVM_TEST(engine_pack, hashes_of_similar_pages_differ)
{
	enum { NR = 1 << 15, TRIES = 3 * NR };
	struct ovm_page_hash *all = calloc(TRIES, sizeof(*all));
	uint32_t words[OVM_PAGE_WORDS] = {0};
	struct ovm_page_hashes *hashes;

	ASSERT_OK(ovm_page_hashes_create(NULL, 0, &hashes));
	for (unsigned int i = 0; i < NR; i++) {
		words[i / 32] = UINT32_C(1) << i % 32;
		all[i] = ovm_hash_page(&hashes->key, words);
		words[i / 32] = 0;
	}
	words[512] = 0xabcd0000;
	for (unsigned int i = 0; i < NR; i++) {
		words[i % OVM_PAGE_WORDS]++;
		all[NR + i] = ovm_hash_page(&hashes->key, words);
	}
	for (unsigned int i = 0; i < OVM_PAGE_WORDS; i++)
		words[i] = i;
	for (unsigned int i = 0; i < NR; i++) {
		unsigned int a = i % OVM_PAGE_WORDS, b = (i * 7 + 1) % OVM_PAGE_WORDS;
		uint32_t word = words[a];

		words[a] = words[b];
		words[b] = word + i;
		all[2 * NR + i] = ovm_hash_page(&hashes->key, words);
	}
	/* Half of the hash does for these. */
	for (unsigned int i = 0; i < TRIES; i++)
		all[i].word[1] = 0;
	qsort(all, TRIES, sizeof(*all), compare_hashes);
	for (unsigned int i = 1; i < TRIES; i++)
		ASSERT_TRUE(compare_hashes(&all[i - 1], &all[i]));
	ovm_page_hashes_free(hashes);
	free(all);
}

OVM_TEST(engine_pack, keys_differ)
{
	struct ovm_page_hashes *a, *b, *c;

	ASSERT_OK(ovm_page_hashes_create(NULL, 1, &a));
	ASSERT_OK(ovm_page_hashes_create(NULL, 1, &b));
	ASSERT_OK(ovm_page_hashes_create(a, 1, &c));
	ASSERT_TRUE(memcmp(&a->key, &b->key, sizeof(a->key)));
	ASSERT_MEMEQ(&a->key, &c->key, sizeof(a->key));
	ovm_page_hashes_free(a);
	ovm_page_hashes_free(b);
	ovm_page_hashes_free(c);
}

/* Encode, with no byte to spare behind the output, and decode. */
static void check_lz4(const uint8_t *in, uint32_t nr, uint32_t acceleration, uint32_t *ret)
{
	uint32_t bound = (uint32_t)LZ4_compressBound((int)nr);
	uint16_t *table = malloc(OVM_LZ4_TABLE * sizeof(*table));
	uint8_t *back = malloc(nr + 1);
	uint8_t *out = malloc(bound);
	uint32_t size = ovm_lz4_encode(in, nr, out, bound, table, acceleration);

	ASSERT_TRUE(size > 0 && size <= bound);
	ASSERT_EQ_U64(LZ4_decompress_safe((const char *)out, (char *)back, (int)size, (int)nr), nr);
	ASSERT_MEMEQ(in, back, nr);
	/* It fits where it fits, and nowhere else. */
	free(out);
	out = malloc(size);
	ASSERT_EQ_U64(ovm_lz4_encode(in, nr, out, size, table, acceleration), size);
	free(out);
	out = malloc(size - 1 ? size - 1 : 1);
	ASSERT_EQ_U64(ovm_lz4_encode(in, nr, out, size - 1, table, acceleration), 0);
	free(out);
	free(table);
	free(back);
	*ret = size;
}

OVM_TEST(engine_pack, lz4_of_all_lengths)
{
	uint8_t in[700];
	uint32_t size;

	for (uint32_t kind = 0; kind < 4; kind++) {
		for (uint32_t i = 0; i < sizeof(in); i++)
			in[i] = (uint8_t)(kind == 0   ? 7
					  : kind == 1 ? i
					  : kind == 2 ? i * i >> 3
						      : i % 3);
		for (uint32_t nr = 0; nr < sizeof(in); nr++) {
			check_lz4(in, nr, 1 + nr % 3, &size);
			if (ovm_test_failed())
				return;
		}
	}
}

OVM_TEST(engine_pack, lz4_of_pages)
{
	uint64_t words[512];
	uint32_t size;

	for (uint64_t i = 0; i < 400; i++) {
		fill_page(words, i);
		check_lz4((const uint8_t *)words, sizeof(words), 1 + i % 2, &size);
		if (ovm_test_failed())
			return;
		if (i % 8 < 2 || i % 8 == 5)
			ASSERT_TRUE(size < 64);
		if (i % 8 == 2)
			ASSERT_TRUE(size > sizeof(words));
	}
}

/* Matches at the farthest distance, one farther, and over the whole of a block of 4 MiB. */
OVM_TEST(engine_pack, lz4_of_far_matches)
{
	const uint32_t nr = 4 * MIB;
	uint8_t *in = malloc(nr);
	uint64_t state = 5;
	uint32_t size;

	for (uint32_t i = 0; i < nr; i++)
		in[i] = (uint8_t)(next_random(&state) >> 20);
	for (uint32_t distance = 65530; distance < 65542; distance++) {
		memcpy(in + distance, in, 1000);
		check_lz4(in, distance + 1000, 1, &size);
		if (ovm_test_failed())
			break;
		if (distance <= OVM_LZ4_MAX_DISTANCE)
			ASSERT_TRUE(size < distance + 900);
	}
	check_lz4(in, nr, 1, &size);
	memset(in, 0x55, nr);
	check_lz4(in, nr, 1, &size);
	ASSERT_TRUE(size < nr / 200);
	check_lz4(in, nr, OVM_LZ4_MAX_ACCELERATION, &size);
	for (uint32_t i = 0; i < nr; i++)
		in[i] = (uint8_t)(i / 65536 + i % 251);
	check_lz4(in, nr, 1, &size);
	free(in);
}

OVM_TEST(engine_pack, kernel_compresses_blocks)
{
	enum { NR = 24 };
	static uint64_t pages[NR][512];
	static uint8_t out[NR * OVM_PAGE_SIZE], back[NR * OVM_PAGE_SIZE];
	static const struct ovm_lz4_block blocks[] = {{0, 1}, {1, 1},  {2, 1},	{3, 2},
						      {5, 8}, {13, 1}, {14, 10}};
	uint32_t sizes[7];
	struct ovm_compress_args args = {(const uint8_t *)pages, blocks, 7, 1, out, sizes};

	for (uint64_t i = 0; i < NR; i++)
		fill_page(pages[i], i);
	for (uint32_t i = 0; i * OVM_COMPRESS_BLOCKS < 7; i++)
		ovm_compress_body(&args, i);
	for (uint32_t i = 0; i < 7; i++) {
		uint32_t at = blocks[i].first << 12, bytes = blocks[i].nr_pages << 12;

		ASSERT_TRUE(sizes[i] == bytes || sizes[i] <= ovm_lz4_worth(blocks[i].nr_pages));
		if (sizes[i] == bytes)
			continue;
		ASSERT_EQ_U64(LZ4_decompress_safe((const char *)out + at, (char *)back + at,
						  (int)sizes[i], (int)bytes),
			      bytes);
		ASSERT_MEMEQ(back + at, (const uint8_t *)pages + at, bytes);
	}
	ASSERT_EQ_U64(sizes[2], OVM_PAGE_SIZE);
	ASSERT_TRUE(sizes[4] < OVM_PAGE_SIZE * 8);
}
