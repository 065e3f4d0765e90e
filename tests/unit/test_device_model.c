// SPDX-License-Identifier: GPL-2.0-only
/* The device of the tests itself: that it shows what a real one would show. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device_model.h"
#include "kernels-cuda/device.h"
#include "test.h"

enum {
	PAGE = 4096,
};

struct bench {
	struct ovm_device *device;
	const struct ovm_device_ops *ops;
	struct ovm_stream *stream;
	/* One page each. */
	uint8_t *memory, *host, *host_device;
};

static void bench_init(struct bench *bench)
{
	ASSERT_OK(device_model_open(&bench->device));
	bench->ops = bench->device->ops;
	ASSERT_OK(bench->ops->stream_create(bench->device, &bench->stream));
	ASSERT_OK(bench->ops->alloc(bench->device, PAGE, (void **)&bench->memory));
	ASSERT_OK(bench->ops->alloc_pinned(bench->device, PAGE, -1, (void **)&bench->host,
					   (void **)&bench->host_device));
}

static void bench_deinit(struct bench *bench)
{
	bench->ops->stream_destroy(bench->stream);
	bench->ops->free(bench->device, bench->memory);
	bench->ops->free_pinned(bench->device, bench->host);
	bench->ops->destroy(bench->device);
	ASSERT_TRUE(device_model_released());
	memset(&device_model_settings, 0, sizeof(device_model_settings));
}

OVM_TEST(device_model, works_when_it_is_waited_for)
{
	struct bench bench;

	bench_init(&bench);
	if (ovm_test_failed())
		return;
	ASSERT_EQ_U64(bench.host[7], 0);
	ASSERT_OK(bench.ops->fill(bench.stream, bench.memory, 3, PAGE));
	ASSERT_OK(bench.ops->copy(bench.stream, bench.host_device, bench.memory, PAGE));
	ASSERT_EQ_U64(bench.host[7], 0);
	ASSERT_OK(bench.ops->wait(bench.stream));
	ASSERT_EQ_U64(bench.host[7], 3);
	bench_deinit(&bench);
}

OVM_TEST(device_model, works_at_once_if_told_to)
{
	struct bench bench;

	device_model_settings.at_once = true;
	bench_init(&bench);
	if (ovm_test_failed())
		return;
	ASSERT_OK(bench.ops->fill(bench.stream, bench.host_device, 3, 8));
	ASSERT_EQ_U64(bench.host[7], 3);
	ASSERT_EQ_U64(bench.host[8], 0);
	bench_deinit(&bench);
}

OVM_TEST(device_model, memory_holds_junk_at_first)
{
	struct bench bench;

	bench_init(&bench);
	if (ovm_test_failed())
		return;
	ASSERT_OK(bench.ops->copy(bench.stream, bench.host_device, bench.memory, PAGE));
	ASSERT_OK(bench.ops->wait(bench.stream));
	ASSERT_TRUE(bench.host[0] && bench.host[PAGE - 1]);
	bench_deinit(&bench);
}

/* Fail at each call in turn: no call works after that, and all is released. */
OVM_TEST(device_model, fails_where_it_is_told_to)
{
	for (uint64_t n = 1;; n++) {
		struct ovm_device *device;
		struct ovm_stream *stream = NULL;
		void *memory = NULL;

		device_model_settings.fail_at = n;
		struct ovm_error *err = device_model_open(&device);

		if (err) {
			ASSERT_EQ_U64(n, 1);
			ASSERT_ERROR(err, OVM_ERROR_DEVICE, "call 1: open");
			continue;
		}
		err = device->ops->alloc(device, PAGE, &memory);
		if (!err)
			err = device->ops->stream_create(device, &stream);
		if (!err)
			err = device->ops->fill(stream, memory, 1, PAGE);
		if (!err)
			err = device->ops->wait(stream);
		if (err) {
			struct ovm_device_info info;

			ASSERT_ERROR(device->ops->info(device, &info), OVM_ERROR_DEVICE, "info");
		}
		device->ops->stream_destroy(stream);
		device->ops->free(device, memory);
		device->ops->destroy(device);
		ASSERT_TRUE(device_model_released());
		if (!err) {
			ASSERT_EQ_U64(n, 6);
			break;
		}
		ASSERT_ERROR(err, OVM_ERROR_DEVICE, NULL);
	}
	device_model_settings.fail_at = 0;
}

OVM_TEST(device_model, tells_what_was_not_released)
{
	struct ovm_device *device;
	void *memory, *alias;

	ASSERT_OK(device_model_open(&device));
	ASSERT_FALSE(device_model_released());
	ASSERT_OK(device->ops->alloc_pinned(device, 10, 0, &memory, &alias));
	device->ops->destroy(device);
	ASSERT_FALSE(device_model_released());
	ASSERT_EQ_U64(device_model_last.pinned, 1);
}

/* A file of two pipes' pages and a bit, mapped; what the device sees of it is in @bench->host. */
static void check_stale(bool huge)
{
	const size_t size = huge ? 4 << 20 : 600 * PAGE;
	int fd = memfd_create("ram", MFD_CLOEXEC);
	struct bench bench;
	const void *seen;

	ASSERT_TRUE(fd >= 0 && !ftruncate(fd, (off_t)size));
	uint8_t *ram = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	uint8_t *again = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

	ASSERT_TRUE(ram != MAP_FAILED && again != MAP_FAILED);
	if (huge)
		madvise(ram, size, MADV_HUGEPAGE);
	memset(ram, 1, size);
	bench_init(&bench);
	if (ovm_test_failed())
		return;
	ASSERT_OK(bench.ops->map(bench.device, again, size, &seen));
	ASSERT_TRUE(seen != again);
	/* Written in place, and written anew after a hole. */
	ram[0] = 2;
	ram[520 * PAGE] = 3;
	ASSERT_TRUE(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 520 * PAGE, PAGE));
	ram[520 * PAGE] = 4;

	const struct ovm_device_copy pieces[] = {
		{bench.host_device, seen, 1},
		{bench.host_device + 1, (const uint8_t *)seen + 520 * PAGE, 1},
		{bench.host_device + 2, (const uint8_t *)seen + 521 * PAGE, 1},
	};

	ASSERT_OK(bench.ops->copy_batch(bench.stream, pieces, 3));
	ASSERT_OK(bench.ops->wait(bench.stream));
	ASSERT_EQ_U64(bench.host[0], 2);
	/* The kernel keeps a huge page that is pinned in part, and clears what was punched. */
	ASSERT_EQ_U64(bench.host[1] == 3 || (huge && bench.host[1] == 4), 1);
	ASSERT_EQ_U64(bench.host[2], 1);
	bench.ops->unmap(bench.device, again);
	bench_deinit(&bench);
	munmap(ram, size);
	munmap(again, size);
	close(fd);
}

OVM_TEST(device_model, shows_the_pinned_page_where_a_hole_was_punched)
{
	check_stale(false);
}

OVM_TEST(device_model, shows_what_a_huge_page_holds_where_a_hole_was_punched)
{
	check_stale(true);
}

OVM_TEST(device_model, refuses_to_map_as_told)
{
	struct ovm_device *device;
	const void *seen;
	uint8_t *ram = mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	device_model_settings.max_map = 2 * PAGE;
	device_model_settings.max_mapped = 3 * PAGE;
	ASSERT_OK(device_model_open(&device));
	ASSERT_ERROR(device->ops->map(device, ram, 3 * PAGE, &seen), OVM_ERROR_UNREACHABLE, "long");
	ASSERT_OK(device->ops->map(device, ram, 2 * PAGE, &seen));
	ASSERT_ERROR(device->ops->map(device, ram + 2 * PAGE, 2 * PAGE, &seen),
		     OVM_ERROR_UNREACHABLE, "much");
	device->ops->unmap(device, ram);
	device->ops->destroy(device);
	ASSERT_TRUE(device_model_released());
	memset(&device_model_settings, 0, sizeof(device_model_settings));
	munmap(ram, 4 * PAGE);
}

/* Whether the program is ended by what a function does with a device. */
static bool ends(void (*breach)(struct bench *bench))
{
	pid_t pid = fork();
	int status = 0;

	if (!pid) {
		struct bench bench;

		if (freopen("/dev/null", "w", stderr))
			bench_init(&bench);
		breach(&bench);
		_exit(0);
	}
	return waitpid(pid, &status, 0) == pid && (WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
}

static void copies_what_it_does_not_know(struct bench *bench)
{
	ovm_error_free(bench->ops->copy(bench->stream, bench->memory, bench, 8));
}

static void copies_across_an_end(struct bench *bench)
{
	ovm_error_free(bench->ops->copy(bench->stream, bench->host, bench->memory + 1, PAGE));
}

static void touches_device_memory(struct bench *bench)
{
	bench->memory[0] = 1;
}

static void launches_nothing_known(struct bench *bench)
{
	ovm_error_free(bench->ops->launch(bench->stream, OVM_NR_KERNELS, 1, "", 0));
}

static void unmaps_what_it_does_not_know(struct bench *bench)
{
	bench->ops->unmap(bench->device, bench->host);
}

static void frees_twice(struct bench *bench)
{
	bench->ops->free(bench->device, bench->memory);
	bench->ops->free(bench->device, bench->memory);
}

OVM_TEST(device_model, ends_programs_that_break_the_rules)
{
	ASSERT_TRUE(ends(copies_what_it_does_not_know));
	ASSERT_TRUE(ends(copies_across_an_end));
	ASSERT_TRUE(ends(touches_device_memory));
	ASSERT_TRUE(ends(launches_nothing_known));
	ASSERT_TRUE(ends(unmaps_what_it_does_not_know));
	ASSERT_TRUE(ends(frees_twice));
}
