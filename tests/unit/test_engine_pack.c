// SPDX-License-Identifier: GPL-2.0-only
/* Packing on the CPU: what becomes of pages, against what plainly should. */
#include <lz4.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "test.h"
#include "test_engine_scene.h"

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

OVM_TEST(engine_pack, duplicates)
{
	_cleanup_scene_ struct scene *scene = NULL;
	_cleanup_packed_ struct packed packed = {0};
	bool written[NR_PAGES];
	size_t nr = 0;

	ASSERT_OK(scene_create(OVM_RAM_MAPPED, 16, &scene));
	scene->request.find_duplicates = true;
	ASSERT_OK(pack(scene, 3, &packed));
	for (size_t i = 0; i < packed.result->nr_pieces; i++) {
		const struct ovm_pack_piece *piece = &packed.result->pieces[i];

		memset(written + piece->page,
		       piece->how == OVM_PACKED_RAW || piece->how == OVM_PACKED_LZ4,
		       piece->nr_pages);
	}
	for (uint64_t i = 0; i < NR_PAGES; i++) {
		uint64_t of = 0;

		while (of < i && (!written[i] || !written[of] ||
				  memcmp(scene->words[of], scene->words[i], OVM_PAGE_SIZE)))
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
		struct ovm_page_hash hash = ovm_hash_page(&packed->hashes->key, pages + (i << 12));

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
