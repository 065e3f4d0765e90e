// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dumps a process of a recorded guest with the CPU and with another back end, and compares the
 * images byte for byte. The engine's making, and the images once they are written, are led through
 * here by the linker (--wrap).
 *
 * usage: dump-snapshot DEVICE NAME
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend.h"
#include "recording.h"
#include "tests/unit/hostile_private.h"

enum {
	MAX_IMAGES = 256,
};

struct image {
	char name[256];
	uint64_t size;
	uint64_t digest;
};

struct dump {
	const char *device;
	struct image images[MAX_IMAGES];
	size_t nr;
	/* What worked when the images were written. */
	char backend[16];
	struct ovm_engine *engine;
};

/* The dump under way; calls that are led through here have no other way to it. */
static struct dump *dump;

static void give_up(const char *what)
{
	fprintf(stderr, "dump-snapshot: %s\n", what);
	exit(1);
}

struct ovm_error *__wrap_ovm_engine_create(const struct ovm_engine_options *options,
					   struct ovm_engine **ret);
struct ovm_error *__real_ovm_engine_create(const struct ovm_engine_options *options,
					   struct ovm_engine **ret);
struct ovm_error *__real_ovm_image_write(const struct ovm_image_set *set, int dir_fd);
struct ovm_error *__wrap_ovm_image_write(const struct ovm_image_set *set, int dir_fd);

struct ovm_error *__wrap_ovm_engine_create(const struct ovm_engine_options *options,
					   struct ovm_engine **ret)
{
	struct ovm_error *err;

	/* The one for the CPU, or for CUDA, comes back here. */
	if (!dump || dump->engine || options->backend != OVM_BACKEND_AUTO)
		return __real_ovm_engine_create(options, ret);
	err = test_engine_create(dump->device, options->nr_threads, ret);
	if (!err)
		dump->engine = *ret;
	return err;
}

static void note_image(int dir_fd, const char *name)
{
	struct image *image = &dump->images[dump->nr];
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint8_t *data;

	if (fd < 0 || fstat(fd, &st) || dump->nr == MAX_IMAGES)
		give_up("can't read the images");
	data = calloc(1, (size_t)st.st_size + 1);
	if (!data || read(fd, data, (size_t)st.st_size) != st.st_size)
		give_up("can't read the images");
	snprintf(image->name, sizeof(image->name), "%s", name);
	image->size = (uint64_t)st.st_size;
	image->digest = recording_digest(0, data, (size_t)st.st_size);
	dump->nr++;
	free(data);
	close(fd);
}

static int compare_images(const void *a, const void *b)
{
	return strcmp(((const struct image *)a)->name, ((const struct image *)b)->name);
}

struct ovm_error *__wrap_ovm_image_write(const struct ovm_image_set *set, int dir_fd)
{
	struct ovm_error *err = __real_ovm_image_write(set, dir_fd);
	DIR *dir;

	if (err || !dump)
		return err;
	dump->nr = 0;
	dir = fdopendir(openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	if (!dir)
		give_up("can't list the images");
	for (struct dirent *entry; (entry = readdir(dir));) {
		if (entry->d_name[0] != '.')
			note_image(dir_fd, entry->d_name);
	}
	closedir(dir);
	qsort(dump->images, dump->nr, sizeof(*dump->images), compare_images);
	snprintf(dump->backend, sizeof(dump->backend), "%s", ovm_engine_backend_name(dump->engine));
	return NULL;
}

static void run(const char *device, const char *name, struct dump *ret)
{
	struct hostile *hostile;
	struct hostile_result result;
	char reason[640] = "";

	ret->device = device;
	dump = ret;
	if (!hostile_open(name, &hostile, reason, sizeof(reason)))
		give_up(reason);
	hostile_round(hostile, NULL, 0, &result);
	hostile_close(hostile);
	dump = NULL;
	if (!(result.stages & HOSTILE_WRITTEN) || !ret->nr)
		give_up("the process can't be dumped");
}

/* Whether an image is the same each time: one that has times in it is not. */
static bool differs(const struct dump *a, const struct dump *b, size_t i)
{
	return a->images[i].size != b->images[i].size || a->images[i].digest != b->images[i].digest;
}

int main(int argc, char **argv)
{
	static struct dump cpu, again, other;
	size_t nr_same = 0;
	uint64_t bytes = 0;
	int status = 0;

	if (argc != 3)
		give_up("usage: dump-snapshot DEVICE NAME");
	run("cpu", argv[2], &cpu);
	run("cpu", argv[2], &again);
	run(argv[1], argv[2], &other);
	if (cpu.nr != other.nr || cpu.nr != again.nr)
		give_up("there are more images, or fewer");
	if (strcmp(argv[1], "cpu") && !strcmp(other.backend, "cpu"))
		give_up("the device was given up");
	for (size_t i = 0; i < cpu.nr; i++) {
		if (strcmp(cpu.images[i].name, other.images[i].name))
			give_up("there are other images");
		if (differs(&cpu, &again, i)) {
			fprintf(stderr, "%s is never the same\n", cpu.images[i].name);
			continue;
		}
		nr_same++;
		bytes += cpu.images[i].size;
		if (differs(&cpu, &other, i)) {
			fprintf(stderr, "%s differs\n", cpu.images[i].name);
			status = 1;
		}
	}
	printf("{\"program\": \"dump-snapshot\", \"device\": \"%s\", \"guest\": \"%s\", "
	       "\"images\": "
	       "%zu, \"compared\": %zu, \"bytes\": %llu, \"good\": %s}\n",
	       argv[1], argv[2], cpu.nr, nr_same, (unsigned long long)bytes,
	       status ? "false" : "true");
	return status;
}
