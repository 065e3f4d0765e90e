// SPDX-License-Identifier: GPL-2.0-only
/* What is left out of images, looked at by a device. */
#include <fcntl.h>
#include <linux/falloc.h>

#include "host/sift.h"

#include "device_model.h"
#include "test.h"
#include "test_engine_guest.h"

enum {
	MIB = 1 << 20,
	RAM_SIZE = 128 * MIB,
	AT = 32 * MIB,
	NR = 100,
};

struct scene {
	struct guest guest;
	struct ovm_engine *engine;
	/* Give this page back and get it anew, with data, when the copy begins; -1: none. */
	int changing;
};

static void scene_deinit(struct scene *scene)
{
	ovm_engine_destroy(scene->engine);
	guest_destroy(&scene->guest);
}

#define _cleanup_scene_ __attribute__((cleanup(scene_deinit)))

/* Every other page is zero. */
static struct ovm_error *scene_init(struct scene *scene)
{
	const struct ovm_engine_options options = {
		.size = sizeof(options),
		.backend = OVM_BACKEND_CUDA,
		.nr_threads = 2,
	};
	struct ovm_error *err = guest_create(&scene->guest, RAM_SIZE, 4, OVM_RAM_MAPPED, 2);

	for (uint64_t i = 0; i < NR && !err; i++)
		*guest_words(&scene->guest, AT + (i << OVM_PAGE_SHIFT)) = i % 2;
	if (!err)
		err = ovm_engine_create_on(&options, device_model_open, &scene->engine);
	return err ? err : ovm_engine_attach(scene->engine, scene->guest.memory);
}

static void change(void *arg, uint64_t done, uint64_t total)
{
	struct scene *scene = arg;
	uint64_t gpa = AT + ((uint64_t)scene->changing << OVM_PAGE_SHIFT);

	(void)done;
	(void)total;
	if (scene->changing < 0)
		return;
	scene->changing = -1;
	if (!fallocate(scene->guest.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)gpa,
		       OVM_PAGE_SIZE))
		*guest_words(&scene->guest, gpa + 8) = 77;
}

static struct ovm_error *sift(struct scene *scene, uint8_t *answer)
{
	const struct ovm_sift_piece piece = {
		.va = 0x400000,
		.gpa = AT,
		.nr_pages = NR,
		.flags = OVM_PAGES_ZERO_BACKED,
	};
	const struct ovm_sift_request request = {
		.engine = scene->engine,
		.pieces = &piece,
		.nr = 1,
		.zero = true,
		.progress = change,
		.arg = scene,
	};

	return ovm_sift(&request, answer);
}

OVM_TEST(sift, finds_pages_of_zeroes)
{
	_cleanup_scene_ struct scene scene = {.changing = -1};
	uint8_t answer[NR];

	ASSERT_OK(scene_init(&scene));
	ASSERT_OK(sift(&scene, answer));
	for (int i = 0; i < NR; i++)
		ASSERT_EQ_U64(answer[i], i % 2 ? OVM_SIFTED_RAW : OVM_SIFTED_ZERO);
}

OVM_TEST(sift, believes_what_is_written_last)
{
	_cleanup_scene_ struct scene scene = {.changing = 40};
	uint8_t answer[NR];

	ASSERT_OK(scene_init(&scene));
	ASSERT_OK(sift(&scene, answer));
	/* The device has seen the zeroes of before. */
	ASSERT_EQ_U64(answer[40], OVM_SIFTED_RAW);
	ASSERT_EQ_U64(answer[42], OVM_SIFTED_ZERO);
}
