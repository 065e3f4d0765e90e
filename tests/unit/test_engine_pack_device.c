// SPDX-License-Identifier: GPL-2.0-only
/* Packing on the device of the tests: the same as on the CPU, but for how blocks are compressed. */
#include <fcntl.h>
#include <linux/falloc.h>

#include "device_model.h"
#include "test.h"
#include "test_engine_scene.h"

#include "kernels-cuda/cuda.h"

enum {
	/* An offset in the RAM file where none of the scene's pages is. */
	ELSEWHERE = 100 * MIB,
};

/* Whether blocks of any size are made by devices; else, large ones are the CPU's. */
static bool any_block = true;

static struct ovm_error *attach(struct ovm_engine *engine, const struct scene *scene)
{
	struct ovm_error *err = ovm_engine_attach(engine, scene->guest.memory);

	if (!err && any_block && !strcmp(ovm_engine_backend_name(engine), "cuda"))
		((struct ovm_cuda *)engine->state)->max_block_pages = OVM_PACK_MAX_BLOCK_PAGES;
	return err;
}

/* Pack a scene by an engine on the device, or, if that is fine, without it. */
static struct ovm_error *pack_with(enum ovm_backend backend, struct scene *scene,
				   struct packed *packed, bool *on_device)
{
	const struct ovm_engine_options options = {
		.size = sizeof(options),
		.backend = backend,
		.nr_threads = 2,
	};
	struct ovm_engine *engine = NULL;
	struct ovm_error *err = ovm_engine_create_on(&options, device_model_open, &engine);

	if (!err)
		err = attach(engine, scene);
	if (!err)
		err = pack_by(scene, engine, packed);
	*on_device = !err && !strcmp(ovm_engine_backend_name(engine), "cuda");
	ovm_engine_destroy(engine);
	return err;
}

static struct ovm_error *pack_on_device(struct scene *scene, struct packed *packed, bool *on_device)
{
	return pack_with(OVM_BACKEND_AUTO, scene, packed, on_device);
}

/* Whatever the encoder, the same is said of pages. */
static void check_alike(const struct packed *a, const struct packed *b)
{
	const struct ovm_pack_result *x = a->result, *y = b->result;

	ASSERT_EQ_U64(x->pages[OVM_PACKED_ZERO], y->pages[OVM_PACKED_ZERO]);
	ASSERT_EQ_U64(x->pages[OVM_PACKED_UNCHANGED], y->pages[OVM_PACKED_UNCHANGED]);
	ASSERT_EQ_U64(x->nr_duplicates, y->nr_duplicates);
	ASSERT_EQ_U64(x->nr_pieces, y->nr_pieces);
	for (size_t i = 0; i < x->nr_pieces; i++) {
		ASSERT_EQ_U64(x->pieces[i].page, y->pieces[i].page);
		ASSERT_EQ_U64(x->pieces[i].nr_pages, y->pieces[i].nr_pages);
		ASSERT_EQ_U64(x->pieces[i].extent, y->pieces[i].extent);
	}
}

static void check_device(struct scene *scene)
{
	_cleanup_packed_ struct packed cpu = {0};
	_cleanup_packed_ struct packed device = {0};
	bool on_device;

	ASSERT_OK(pack(scene, 1, &cpu));
	ASSERT_OK(pack_with(OVM_BACKEND_CUDA, scene, &device, &on_device));
	ASSERT_TRUE(on_device);
	ASSERT_TRUE(device_model_released());
	check_packed(scene, &device);
	if (!ovm_test_failed())
		check_alike(&cpu, &device);
}

OVM_TEST(engine_pack_device, blocks_of_all_sizes)
{
	static const uint32_t sizes[] = {1, 7, 64, 513, 1024};
	_cleanup_scene_ struct scene *scene = NULL;

	ASSERT_OK(scene_create(OVM_RAM_MAPPED, 31, &scene));
	scene->request.find_duplicates = true;
	for (unsigned int i = 0; i < 5 && !ovm_test_failed(); i++) {
		memset(&device_model_settings, 0, sizeof(device_model_settings));
		device_model_settings.order = (enum device_model_order)(i % 3);
		device_model_settings.at_once = i % 2;
		scene->request.block_pages = sizes[i];
		scene->request.base = i % 2 ? 12345 : 0;
		scene->request.align = i > 1;
		check_device(scene);
	}
	memset(&device_model_settings, 0, sizeof(device_model_settings));
}

/* The device makes small blocks, and does what has none. */
OVM_TEST(engine_pack_device, large_blocks_are_left_to_the_cpu)
{
	_cleanup_scene_ struct scene *scene = NULL;

	ASSERT_OK(scene_create(OVM_RAM_MAPPED, 42, &scene));
	any_block = false;
	scene->request.block_pages = 16;
	check_device(scene);
	ASSERT_TRUE(device_model_last.launches > 0);
	scene->request.block_pages = 17;
	check_device(scene);
	ASSERT_EQ_U64(device_model_last.launches, 0);
	for (size_t i = 0; i < scene->request.nr_extents; i++)
		scene->extents[i].ops &= ~(uint32_t)OVM_PACK_LZ4;
	check_device(scene);
	ASSERT_TRUE(device_model_last.launches > 0);
	any_block = true;
}

OVM_TEST(engine_pack_device, memory_that_cant_be_mapped)
{
	static const enum ovm_ram_kind kinds[] = {OVM_RAM_FILE, OVM_RAM_PROCESS};

	for (unsigned int i = 0; i < 2; i++) {
		_cleanup_scene_ struct scene *scene = NULL;

		ASSERT_OK(scene_create(kinds[i], 32 + i, &scene));
		check_device(scene);
	}
}

/* With little memory, each slot is used again and again. */
OVM_TEST(engine_pack_device, little_memory)
{
	_cleanup_scene_ struct scene *scene = NULL;

	ASSERT_OK(scene_create(OVM_RAM_MAPPED, 38, &scene));
	for (uint64_t mib = 96; mib <= 512 && !ovm_test_failed(); mib *= 2) {
		device_model_settings.memory = mib * MIB;
		scene->request.block_pages = mib == 192 ? 64 : 1;
		scene->request.align = mib == 384;
		check_device(scene);
	}
	memset(&device_model_settings, 0, sizeof(device_model_settings));
}

/* With too little, the CPU does it, and the device is not given up. */
OVM_TEST(engine_pack_device, not_enough_memory)
{
	_cleanup_scene_ struct scene *scene = NULL;

	ASSERT_OK(scene_create(OVM_RAM_MAPPED, 41, &scene));
	for (uint64_t mib = 1; mib <= 32 && !ovm_test_failed(); mib *= 2) {
		device_model_settings.memory = mib * MIB;
		scene->request.align = mib == 4;
		check_device(scene);
	}
	memset(&device_model_settings, 0, sizeof(device_model_settings));
}

OVM_TEST(engine_pack_device, some_of_it_is_mapped)
{
	_cleanup_scene_ struct scene *scene = NULL;

	ASSERT_OK(scene_create(OVM_RAM_MAPPED, 34, &scene));
	device_model_settings.max_mapped = 8 * MIB;
	device_model_settings.max_map = 4 * MIB;
	check_device(scene);
	memset(&device_model_settings, 0, sizeof(device_model_settings));
}

/* The device fails at its n-th call, whichever that is: the CPU does it all. */
OVM_TEST(engine_pack_device, the_cpu_stands_in)
{
	_cleanup_scene_ struct scene *scene = NULL;
	bool on_device = false;

	ASSERT_OK(scene_create(OVM_RAM_MAPPED, 35, &scene));
	scene->request.block_pages = 64;
	for (uint64_t n = 2; !on_device && !ovm_test_failed(); n += 1 + n / 6) {
		_cleanup_packed_ struct packed packed = {0};

		memset(&device_model_settings, 0, sizeof(device_model_settings));
		device_model_settings.fail_at = n;
		ASSERT_OK(pack_on_device(scene, &packed, &on_device));
		ASSERT_TRUE(device_model_released());
		check_packed_start(scene, &packed);
	}
	memset(&device_model_settings, 0, sizeof(device_model_settings));
}

static bool count_down(void *arg)
{
	return (*(int *)arg)-- <= 0;
}

OVM_TEST(engine_pack_device, stops_on_request)
{
	_cleanup_scene_ struct scene *scene = NULL;

	ASSERT_OK(scene_create(OVM_RAM_MAPPED, 36, &scene));
	/* Room for a chunk at a time. */
	device_model_settings.memory = 128 * MIB;
	for (int i = 0; i < 12; i++) {
		_cleanup_packed_ struct packed packed = {0};
		int left = i;
		bool on_device;

		scene->request.cancelled = count_down;
		scene->request.arg = &left;
		ASSERT_ERROR(pack_on_device(scene, &packed, &on_device), OVM_ERROR_CANCELLED, NULL);
		ASSERT_TRUE(!packed.result);
		ASSERT_TRUE(device_model_released());
	}
	memset(&device_model_settings, 0, sizeof(device_model_settings));
}

/* What an engine keeps fits the next request, or is made anew; one that was stopped does no harm.
 */
OVM_TEST(engine_pack_device, again_and_again)
{
	static const uint32_t sizes[] = {1, 1024, 64, 1, 1024, 1};
	_cleanup_scene_ struct scene *scene = NULL;
	_cleanup_packed_ struct packed packed = {0};
	struct ovm_engine *engine;

	ASSERT_OK(scene_create(OVM_RAM_MAPPED, 39, &scene));
	ASSERT_OK(ovm_engine_create_on(NULL, device_model_open, &engine));
	ASSERT_OK(attach(engine, scene));
	for (int i = 0; i < 6 && !ovm_test_failed(); i++) {
		int left = i / 2 + 1;

		scene->request.block_pages = sizes[i];
		scene->request.align = i % 2;
		scene->request.cancelled = count_down;
		scene->request.arg = &left;
		ASSERT_ERROR(pack_by(scene, engine, &packed), OVM_ERROR_CANCELLED, NULL);
		scene->request.cancelled = NULL;
		ASSERT_OK(pack_by(scene, engine, &packed));
		check_packed(scene, &packed);
	}
	ASSERT_STREQ(ovm_engine_backend_name(engine), "cuda");
	ovm_engine_destroy(engine);
	ASSERT_TRUE(device_model_released());
}

/* Asked whether to stop for the first time, give pages back and get others in their place. */
static bool give_back(void *arg)
{
	struct scene *scene = arg;

	for (uint64_t i = 0; scene->request.arg && i < NR_PAGES; i += 37) {
		uint64_t offset = (uint64_t)((uint8_t *)scene->words[i] - scene->guest.ram);

		if (fallocate(scene->guest.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			      (off_t)offset, OVM_PAGE_SIZE))
			return true;
		scene->numbers[i] ^= 4;
		fill_page(scene->words[i], scene->numbers[i]);
	}
	/* The engine has a copy of the request. */
	scene->request.arg = NULL;
	return false;
}

OVM_TEST(engine_pack_device, pages_that_were_given_back)
{
	_cleanup_scene_ struct scene *scene = NULL;
	_cleanup_packed_ struct packed packed = {0};
	bool on_device;

	ASSERT_OK(scene_create(OVM_RAM_MAPPED, 37, &scene));
	scene->request.cancelled = give_back;
	scene->request.arg = scene;
	ASSERT_OK(pack_on_device(scene, &packed, &on_device));
	ASSERT_TRUE(on_device && !scene->request.arg);
	check_packed(scene, &packed);
}

/* Give a page back that nobody asks for, when asked whether to stop. */
static bool give_back_elsewhere(void *arg)
{
	const struct scene *scene = arg;

	return fallocate(scene->guest.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, ELSEWHERE,
			 OVM_PAGE_SIZE);
}

/* What the guest gave back makes no work for batches that have nothing of it. */
OVM_TEST(engine_pack_device, pages_given_back_elsewhere)
{
	_cleanup_scene_ struct scene *scene = NULL;
	uint64_t launches[2];

	ASSERT_OK(scene_create(OVM_RAM_MAPPED, 40, &scene));
	fill_page((uint64_t *)(void *)(scene->guest.ram + ELSEWHERE), 3);
	scene->request.arg = scene;
	for (int i = 0; i < 2; i++) {
		_cleanup_packed_ struct packed packed = {0};
		bool on_device;

		scene->request.cancelled = i ? give_back_elsewhere : NULL;
		ASSERT_OK(pack_on_device(scene, &packed, &on_device));
		ASSERT_TRUE(on_device && device_model_released());
		check_packed(scene, &packed);
		launches[i] = device_model_last.launches;
	}
	ASSERT_EQ_U64(launches[0], launches[1]);
}
