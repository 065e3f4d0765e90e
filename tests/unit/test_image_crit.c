// SPDX-License-Identifier: GPL-2.0-only
/*
 * CRIU's own tool takes the images for what they are: it decodes each, and encodes what it decoded
 * to the same bytes, so that it has missed nothing.
 */
#include "host/image/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "image_model.h"
#include "image_read.h"
#include "test.h"

static struct image_model model;

static bool have_crit(void)
{
	return !system("command -v crit >/dev/null 2>&1 && crit --help >/dev/null 2>&1");
}

static int run(const char *directory, const char *name, const char *command)
{
	char line[512];

	snprintf(line, sizeof(line), "cd %s && name=%s && { %s; } >log 2>&1", directory, name,
		 command);
	return system(line);
}

static void check_image(const char *directory, const char *name, const char *magic)
{
	char command[256];

	snprintf(command, sizeof(command),
		 "crit decode -i $name -o json && grep -q '\"magic\": \"%s\"' json && "
		 "crit encode -i json -o again && cmp $name again",
		 magic);
	if (run(directory, name, command))
		OVM_FAIL("crit does not take %s; see %s", name, directory);
}

OVM_TEST(image_crit, decodes_and_encodes_each_image_to_the_same_bytes)
{
	static const char *const images[][2] = {
		{"inventory.img", "INVENTORY"},
		{"pstree.img", "PSTREE"},
		{"ids-4711.img", "IDS"},
		{"core-4711.img", "CORE"},
		{"core-4713.img", "CORE"},
		{"mm-4711.img", "MM"},
		{"fs-4711.img", "FS"},
		{"files.img", "FILES"},
		{"fdinfo-2.img", "FDINFO"},
		{"memfd.img", "MEMFD_INODE"},
		{"pagemap-4711.img", "PAGEMAP"},
		{"pagemap-shmem-103.img", "PAGEMAP"},
		{"seccomp.img", "SECCOMP"},
		{"timens-0.img", "TIMENS"},
		{"stats-dump", "STATS"},
		{"pipes-data.img", "PIPES_DATA"},
		{"filelocks.img", "FILE_LOCKS"},
		{"remap-fpath.img", "REMAP_FPATH"},
		{"ghost-file-1.img", "GHOST_FILE"},
	};
	struct ovm_rec_posix_timer rec = {.id = 3, .clock = -6, .signo = 10, .interval = 1000};
	struct ovm_image_posix_timer timer = {&rec, 5000};
	struct ovm_rec_signal signal = {.signo = 34};
	struct ovm_rec_pipe_data data = {NULL, image_model_bytes("content")};
	struct ovm_rec_pipe pipe = {.ino = 9,
				    .writers = 1,
				    .own_writers = 1,
				    .size = 4096,
				    .data = &data,
				    .nr_bytes = 7};
	struct ovm_rec_ghost_data part = {NULL, 4096, image_model_bytes("content")};
	struct ovm_rec_ghost ghost = {.size = 12288, .data = &part};
	struct ovm_rec_file_lock lock = {.kind = OVM_REC_FILE_LOCK_POSIX, .end = 5};
	char directory[64];

	if (!have_crit())
		OVM_SKIP("crit does not run here: install criu and python3-protobuf");
	int fd = image_directory(directory);

	ASSERT_TRUE(fd >= 0);
	image_model_init(&model);
	model.files[MODEL_LOG].kind = OVM_REC_FILE_PIPE;
	model.files[MODEL_LOG].pipe = &pipe;
	model.files[MODEL_NULL].locks = &lock;
	model.files[MODEL_NULL].ghost = &ghost;
	model.threads[0].user_xfeatures = 0x2ff;
	model.threads[0].pending = &signal;
	model.image.posix_timers = &timer;
	model.image.nr_posix_timers = 1;
	model.image.real.remaining = 1000;
	struct ovm_error *err = ovm_image_write(&model.set, fd);

	if (!err)
		err = ovm_image_write_stats(&model.set.stats, fd);
	close(fd);
	ASSERT_OK(err);
	for (size_t i = 0; i < sizeof(images) / sizeof(images[0]); i++) {
		check_image(directory, images[i][0], images[i][1]);
		if (ovm_test_failed())
			return;
	}
	image_directory_remove(directory);
}
