// SPDX-License-Identifier: GPL-2.0-only
/* Guest RAM as a device sees it: the same as the guest, or else it is told that it isn't. */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "device_model.h"
#include "kernels-cuda/mapping.h"
#include "kernels-cuda/ram_file.h"
#include "kernels-cuda/witness.h"
#include "test.h"

#ifndef MFD_HUGE_2MB
#define MFD_HUGE_2MB (21U << 26)
#endif

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

enum {
	PAGE = 4096,
};

/* A guest with RAM in one file, and a device. */
struct guest {
	int fd;
	uint64_t size;
	/* The guest's own view. */
	uint8_t *ram;
	struct ovm_memory *memory;
	struct ovm_device *device;
	struct ovm_stream *stream;
	uint8_t *buf;
	uint8_t *buf_device;
	struct ovm_mapping *mapping;
};

static uint64_t allocated(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? UINT64_MAX : (uint64_t)st.st_blocks * 512;
}

static void fill(struct guest *guest, uint64_t offset, uint64_t size, uint8_t byte)
{
	memset(guest->ram + offset, byte, size);
}

static void punch(struct guest *guest, uint64_t offset, uint64_t size)
{
	if (fallocate(guest->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
		      (off_t)size))
		OVM_FAIL("can't punch a hole");
}

static void guest_open_file(struct guest *guest, uint64_t size)
{
	*guest = (struct guest){.fd = memfd_create("ram", MFD_CLOEXEC), .size = size};
	ASSERT_TRUE(guest->fd >= 0 && !ftruncate(guest->fd, (off_t)size));
	guest->ram = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, guest->fd, 0);
	ASSERT_TRUE(guest->ram != MAP_FAILED);
}

static void guest_attach(struct guest *guest, const struct ovm_ram_range *ranges, size_t nr)
{
	const struct ovm_device_ops *ops;
	void *buf, *buf_device;

	ASSERT_OK(ovm_memory_create(ranges, nr, &guest->memory));
	ASSERT_OK(device_model_open(&guest->device));
	ops = guest->device->ops;
	ASSERT_OK(ops->stream_create(guest->device, &guest->stream));
	ASSERT_OK(ops->alloc_pinned(guest->device, PAGE, -1, &buf, &buf_device));
	guest->buf = buf;
	guest->buf_device = buf_device;
}

/* All RAM is one range, at 0. */
static void guest_attach_all(struct guest *guest)
{
	const struct ovm_ram_range range = {
		.size = guest->size, .kind = OVM_RAM_MAPPED, .fd = dup(guest->fd)};

	guest_attach(guest, &range, 1);
}

static void guest_close(struct guest *guest)
{
	ovm_mapping_destroy(guest->mapping);
	guest->device->ops->stream_destroy(guest->stream);
	guest->device->ops->free_pinned(guest->device, guest->buf);
	guest->device->ops->destroy(guest->device);
	ovm_memory_destroy(guest->memory);
	munmap(guest->ram, guest->size);
	close(guest->fd);
	device_model_settings = (struct device_model_settings){0};
	ASSERT_TRUE(device_model_released());
}

/* The first byte of a page as the device sees it; -1 if it doesn't see it. */
static int seen(struct guest *guest, uint64_t gpa)
{
	const uint8_t *device;

	if (ovm_mapping_find(guest->mapping, gpa, PAGE, &device) != PAGE || !device)
		return -1;

	const struct ovm_device_copy piece = {guest->buf_device, device, PAGE};
	struct ovm_error *err = guest->device->ops->copy_batch(guest->stream, &piece, 1);

	if (!err)
		err = guest->device->ops->wait(guest->stream);
	if (!ovm_test_ok(__FILE__, __LINE__, "copy", err))
		return -2;
	return guest->buf[0];
}

/* All data is mapped and is what the guest has; nothing else is mapped. RAM is at 0. */
static void check_all(struct guest *guest)
{
	uint64_t mapped = 0, before = allocated(guest->fd);
	struct ovm_mapping_stats stats;

	for (uint64_t gpa = 0; gpa < guest->size; gpa += PAGE) {
		bool hole = lseek(guest->fd, (off_t)gpa, SEEK_DATA) != (off_t)gpa;
		int byte = seen(guest, gpa);

		ASSERT_EQ_U64(byte == -1, hole);
		if (hole)
			continue;
		mapped += PAGE;
		ASSERT_EQ_U64(byte, guest->ram[gpa]);
		ASSERT_TRUE(!memcmp(guest->buf, guest->ram + gpa, PAGE));
	}
	ovm_mapping_stats(guest->mapping, &stats);
	ASSERT_EQ_U64(stats.mapped, mapped);
	ASSERT_EQ_U64(stats.refused, 0);
	ASSERT_TRUE(!stats.reason);
	ASSERT_EQ_U64(allocated(guest->fd), before);
	ASSERT_TRUE(ovm_mapping_holds_all(guest->mapping));
	ASSERT_TRUE(ovm_mapping_holds(guest->mapping, 0, guest->size));
}

/* A guest of 2 MiB with data at 1 MiB. */
static void guest_open(struct guest *guest)
{
	guest_open_file(guest, 2 * MIB);
	if (ovm_test_failed())
		return;
	fill(guest, MIB, MIB / 2, 1);
	guest_attach_all(guest);
	if (!ovm_test_failed())
		ASSERT_OK(ovm_mapping_create(guest->device, guest->memory, &guest->mapping));
}

/* The rest of a test's set-up went wrong. */
#define ASSERT_READY()                 \
	do {                           \
		if (ovm_test_failed()) \
			return;        \
	} while (0)

OVM_TEST(engine_mapping, maps_data_and_leaves_holes)
{
	const struct ovm_mapping_extent *extents;
	struct guest guest;

	guest_open_file(&guest, 64 * MIB);
	ASSERT_READY();
	fill(&guest, 0, 3 * PAGE, 1);
	fill(&guest, 8 * MIB + PAGE, 4 * MIB, 2);
	fill(&guest, 64 * MIB - PAGE, PAGE, 3);
	uint64_t before = allocated(guest.fd);

	guest_attach_all(&guest);
	ASSERT_READY();
	ASSERT_OK(ovm_mapping_create(guest.device, guest.memory, &guest.mapping));
	ASSERT_EQ_U64(ovm_mapping_extents(guest.mapping, &extents), 3);
	ASSERT_EQ_U64(extents[0].gpa, 0);
	ASSERT_EQ_U64(extents[0].size, 3 * PAGE);
	ASSERT_EQ_U64(extents[1].gpa, 8 * MIB + PAGE);
	ASSERT_EQ_U64(extents[1].size, 4 * MIB);
	ASSERT_EQ_U64(extents[2].gpa, 64 * MIB - PAGE);
	ASSERT_EQ_U64(extents[2].size, PAGE);
	check_all(&guest);
	ASSERT_EQ_U64(allocated(guest.fd), before);
	guest_close(&guest);
}

OVM_TEST(engine_mapping, maps_a_file_without_holes_and_one_without_data)
{
	struct guest guest;

	for (int full = 0; full < 2; full++) {
		guest_open_file(&guest, 4 * MIB);
		ASSERT_READY();
		if (full)
			fill(&guest, 0, guest.size, 1);
		guest_attach_all(&guest);
		ASSERT_READY();
		ASSERT_OK(ovm_mapping_create(guest.device, guest.memory, &guest.mapping));
		check_all(&guest);
		ASSERT_READY();
		guest_close(&guest);
	}
}

OVM_TEST(engine_mapping, sees_what_the_guest_writes)
{
	struct guest guest;
	bool changed;

	guest_open(&guest);
	ASSERT_READY();
	fill(&guest, MIB + 5 * PAGE, PAGE, 7);
	ASSERT_EQ_U64(seen(&guest, MIB + 5 * PAGE), 7);
	ASSERT_OK(ovm_mapping_refresh(guest.mapping, &changed));
	ASSERT_FALSE(changed);
	check_all(&guest);
	guest_close(&guest);
}

OVM_TEST(engine_mapping, maps_what_got_data)
{
	struct guest guest;
	bool changed;

	guest_open(&guest);
	ASSERT_READY();
	/* By itself, before and after what was there. */
	fill(&guest, 0, PAGE, 2);
	fill(&guest, MIB - PAGE, PAGE, 3);
	fill(&guest, MIB + MIB / 2, PAGE, 4);
	ASSERT_EQ_U64(seen(&guest, 0), -1);
	ASSERT_TRUE(ovm_mapping_holds_all(guest.mapping));
	ASSERT_OK(ovm_mapping_refresh(guest.mapping, &changed));
	ASSERT_TRUE(changed);
	check_all(&guest);
	guest_close(&guest);
}

/* The page that the device has pinned is not the guest's any more. */
OVM_TEST(engine_mapping, notices_a_page_that_was_given_back_and_used_again)
{
	const uint64_t gpa = MIB + 5 * PAGE;
	struct guest guest;
	bool changed;

	guest_open(&guest);
	ASSERT_READY();
	punch(&guest, gpa, PAGE);
	fill(&guest, gpa, PAGE, 9);
	/* That it is told a lie, and that it is told so. */
	ASSERT_EQ_U64(seen(&guest, gpa), 1);
	ASSERT_FALSE(ovm_mapping_holds_all(guest.mapping));
	ASSERT_FALSE(ovm_mapping_holds(guest.mapping, gpa, PAGE));
	ASSERT_FALSE(ovm_mapping_holds(guest.mapping, gpa + 100, 1));
	ASSERT_FALSE(ovm_mapping_unchanged(guest.mapping));
	ASSERT_FALSE(ovm_mapping_is_present(guest.mapping, gpa, PAGE));
	ASSERT_TRUE(ovm_mapping_is_present(guest.mapping, gpa, 0));
	ASSERT_TRUE(ovm_mapping_is_present(guest.mapping, 0, gpa));
	ASSERT_FALSE(ovm_mapping_holds(guest.mapping, 0, guest.size));
	ASSERT_TRUE(ovm_mapping_holds(guest.mapping, 0, gpa));
	ASSERT_TRUE(ovm_mapping_holds(guest.mapping, gpa + PAGE, guest.size - gpa - PAGE));
	ASSERT_OK(ovm_mapping_refresh(guest.mapping, &changed));
	ASSERT_TRUE(changed);
	ASSERT_EQ_U64(seen(&guest, gpa), 9);
	check_all(&guest);
	guest_close(&guest);
}

OVM_TEST(engine_mapping, unmaps_a_page_that_was_given_back)
{
	const uint64_t gpa = MIB + 5 * PAGE;
	struct guest guest;
	bool changed;

	guest_open(&guest);
	ASSERT_READY();
	punch(&guest, gpa, PAGE);
	uint64_t before = allocated(guest.fd);

	ASSERT_FALSE(ovm_mapping_holds(guest.mapping, gpa, PAGE));
	ASSERT_OK(ovm_mapping_refresh(guest.mapping, &changed));
	ASSERT_TRUE(changed);
	ASSERT_EQ_U64(seen(&guest, gpa), -1);
	ASSERT_EQ_U64(allocated(guest.fd), before);
	check_all(&guest);
	ASSERT_READY();
	/* And maps it when it is used again. */
	fill(&guest, gpa, PAGE, 9);
	ASSERT_OK(ovm_mapping_refresh(guest.mapping, &changed));
	ASSERT_TRUE(changed);
	check_all(&guest);
	guest_close(&guest);
}

OVM_TEST(engine_mapping, notices_what_is_taken_by_madvise_and_by_truncation)
{
	struct guest guest;
	bool changed;

	for (int how = 0; how < 2; how++) {
		guest_open(&guest);
		ASSERT_READY();
		if (how)
			ASSERT_TRUE(!ftruncate(guest.fd, MIB + PAGE) &&
				    !ftruncate(guest.fd, (off_t)guest.size));
		else
			ASSERT_TRUE(!madvise(guest.ram + MIB + PAGE, PAGE, MADV_REMOVE));
		fill(&guest, MIB + PAGE, PAGE, 9);
		ASSERT_EQ_U64(seen(&guest, MIB + PAGE), 1);
		ASSERT_FALSE(ovm_mapping_holds(guest.mapping, MIB + PAGE, PAGE));
		ASSERT_TRUE(ovm_mapping_holds(guest.mapping, MIB, PAGE));
		ASSERT_OK(ovm_mapping_refresh(guest.mapping, &changed));
		check_all(&guest);
		ASSERT_READY();
		guest_close(&guest);
	}
}

/* With a file that nobody has touched for a while, too, where page tables aren't looked at. */
OVM_TEST(engine_mapping, notices_a_change_after_a_rest)
{
	const struct timespec rest = {.tv_nsec = 50 * 1000 * 1000};
	struct guest guest;
	bool changed;

	guest_open(&guest);
	ASSERT_READY();
	nanosleep(&rest, NULL);
	ASSERT_OK(ovm_mapping_refresh(guest.mapping, &changed));
	ASSERT_FALSE(changed);
	ASSERT_TRUE(ovm_mapping_holds_all(guest.mapping));
	punch(&guest, MIB, PAGE);
	fill(&guest, MIB, PAGE, 9);
	ASSERT_FALSE(ovm_mapping_holds_all(guest.mapping));
	ASSERT_FALSE(ovm_mapping_holds(guest.mapping, MIB, PAGE));
	ASSERT_OK(ovm_mapping_refresh(guest.mapping, &changed));
	ASSERT_TRUE(changed);
	check_all(&guest);
	guest_close(&guest);
}

OVM_TEST(engine_mapping, tells_a_file_at_rest_from_one_that_changes)
{
	const struct timespec rest = {.tv_nsec = 50 * 1000 * 1000};
	struct ovm_ram_file file;
	struct guest guest;

	guest_open_file(&guest, 4 * MIB);
	ASSERT_READY();
	fill(&guest, 0, MIB, 1);
	ASSERT_OK(ovm_ram_file_init(&file, guest.fd));
	/* There might be a second change in the same tick. */
	ASSERT_FALSE(ovm_ram_file_unchanged(&file));
	for (int i = 0; i < 4; i++) {
		nanosleep(&rest, NULL);
		ASSERT_OK(ovm_ram_file_look(&file));
		ASSERT_TRUE(ovm_ram_file_unchanged(&file));
		if (i == 0)
			punch(&guest, 0, PAGE);
		else if (i == 1)
			fill(&guest, 0, PAGE, 1);
		else if (i == 2)
			ASSERT_TRUE(!madvise(guest.ram, PAGE, MADV_REMOVE));
		else
			ASSERT_TRUE(!ftruncate(guest.fd, 2 * MIB));
		ASSERT_FALSE(ovm_ram_file_unchanged(&file));
	}
	munmap(guest.ram, guest.size);
	close(guest.fd);
}

OVM_TEST(engine_mapping, finds_data)
{
	struct ovm_ram_file file;
	uint64_t data, hole;
	struct guest guest;

	guest_open_file(&guest, 4 * MIB);
	ASSERT_READY();
	fill(&guest, MIB, MIB, 1);
	fill(&guest, 3 * MIB, PAGE, 1);
	ASSERT_OK(ovm_ram_file_init(&file, guest.fd));
	ASSERT_FALSE(ovm_ram_file_next(&file, 0, MIB, &data, &hole));
	ASSERT_TRUE(ovm_ram_file_next(&file, 0, 4 * MIB, &data, &hole));
	ASSERT_EQ_U64(data, MIB);
	ASSERT_EQ_U64(hole, 2 * MIB);
	ASSERT_TRUE(ovm_ram_file_next(&file, MIB + PAGE, MIB + 3 * PAGE, &data, &hole));
	ASSERT_EQ_U64(data, MIB + PAGE);
	ASSERT_EQ_U64(hole, MIB + 3 * PAGE);
	ASSERT_TRUE(ovm_ram_file_next(&file, 2 * MIB, 4 * MIB, &data, &hole));
	ASSERT_EQ_U64(data, 3 * MIB);
	ASSERT_EQ_U64(hole, 3 * MIB + PAGE);
	ASSERT_FALSE(ovm_ram_file_next(&file, hole, 4 * MIB, &data, &hole));
	ASSERT_TRUE(ovm_ram_file_is_full(&file, MIB, MIB));
	if (!file.no_cachestat) {
		ASSERT_FALSE(ovm_ram_file_is_full(&file, MIB, MIB + PAGE));
		ASSERT_FALSE(ovm_ram_file_is_full(&file, 0, PAGE));
	}
	munmap(guest.ram, guest.size);
	close(guest.fd);
}

/* Both ways to ask give the same answer, on any kernel that has both. */
OVM_TEST(engine_mapping, a_witness_tells_what_was_lost)
{
	struct ovm_pagemap pagemap, plain;
	struct ovm_window witness;
	struct guest guest;

	guest_open_file(&guest, 64 * MIB);
	ASSERT_READY();
	fill(&guest, 0, guest.size, 1);
	ASSERT_EQ_U64(ovm_pagemap_open(&pagemap), 0);
	plain = pagemap;
	plain.scan = false;
	ASSERT_EQ_U64(ovm_witness_open(&witness, guest.fd, PAGE, guest.size - PAGE, PAGE), 0);
	ASSERT_EQ_U64(((uintptr_t)witness.map - PAGE) % (2 * MIB), 0);
	ASSERT_TRUE(ovm_pagemap_is_present(&pagemap, witness.map, witness.size));
	ASSERT_TRUE(ovm_pagemap_is_present(&plain, witness.map, witness.size));
	for (uint64_t offset = PAGE; offset < guest.size - 2 * MIB; offset += 9 * MIB + PAGE) {
		const uint8_t *page = witness.map + (offset - PAGE);

		punch(&guest, offset, PAGE);
		fill(&guest, offset, PAGE, 2);
		ASSERT_FALSE(ovm_pagemap_is_present(&pagemap, page, PAGE));
		ASSERT_FALSE(ovm_pagemap_is_present(&plain, page, PAGE));
		ASSERT_FALSE(ovm_pagemap_is_present(&pagemap, witness.map, witness.size));
		ASSERT_FALSE(ovm_pagemap_is_present(&plain, witness.map, witness.size));
		if (offset > PAGE)
			ASSERT_TRUE(ovm_pagemap_is_present(&pagemap, page - PAGE, PAGE));
		ASSERT_TRUE(ovm_pagemap_is_present(&pagemap, page + PAGE, MIB));
		ASSERT_TRUE(ovm_pagemap_is_present(&plain, page + PAGE, MIB));
	}
	ovm_window_close(&witness);
	ovm_pagemap_close(&pagemap);
	munmap(guest.ram, guest.size);
	close(guest.fd);
}

OVM_TEST(engine_mapping, divides_ram_into_chunks)
{
	const struct ovm_mapping_limits limits = {.chunk = 64 * KIB};
	const struct ovm_mapping_extent *extents;
	struct ovm_mapping_stats stats;
	const uint8_t *device, *next;
	struct guest guest;

	guest_open_file(&guest, MIB);
	ASSERT_READY();
	fill(&guest, 12 * KIB, MIB - 12 * KIB, 1);
	guest_attach_all(&guest);
	ASSERT_READY();
	ASSERT_OK(ovm_mapping_create_limited(guest.device, guest.memory, &limits, &guest.mapping));
	ovm_mapping_stats(guest.mapping, &stats);
	ASSERT_EQ_U64(stats.nr_chunks, 16);
	/* Chunks begin at multiples of their size, and what is copied at once ends there. */
	ASSERT_EQ_U64(ovm_mapping_find(guest.mapping, 0, MIB, &device), 12 * KIB);
	ASSERT_TRUE(!device);
	ASSERT_EQ_U64(ovm_mapping_find(guest.mapping, 12 * KIB, MIB, &device), 52 * KIB);
	ASSERT_TRUE(device != NULL);
	ASSERT_EQ_U64(ovm_mapping_find(guest.mapping, 64 * KIB, MIB, &next), 64 * KIB);
	ASSERT_EQ_U64(ovm_mapping_find(guest.mapping, 64 * KIB, 8 * KIB, &next), 8 * KIB);
	ASSERT_EQ_U64(ovm_mapping_find(guest.mapping, MIB, 4 * KIB, &next), 4 * KIB);
	ASSERT_TRUE(!next);
	/* Extents go on where device addresses do. */
	for (size_t i = 0, nr = ovm_mapping_extents(guest.mapping, &extents); i + 1 < nr; i++) {
		ASSERT_EQ_U64(extents[i].gpa + extents[i].size, extents[i + 1].gpa);
		ASSERT_TRUE(extents[i].device + extents[i].size != extents[i + 1].device);
	}
	check_all(&guest);
	guest_close(&guest);
}

OVM_TEST(engine_mapping, maps_anew_only_chunks_that_lost_something)
{
	const struct ovm_mapping_limits limits = {.chunk = 64 * KIB};
	struct device_model_stats before, after;
	struct guest guest;
	bool changed;

	guest_open_file(&guest, MIB);
	ASSERT_READY();
	fill(&guest, 0, MIB, 1);
	guest_attach_all(&guest);
	ASSERT_READY();
	ASSERT_OK(ovm_mapping_create_limited(guest.device, guest.memory, &limits, &guest.mapping));
	device_model_stats(guest.device, &before);
	punch(&guest, 128 * KIB, PAGE);
	fill(&guest, 128 * KIB, PAGE, 2);
	punch(&guest, 320 * KIB + PAGE, PAGE);
	ASSERT_OK(ovm_mapping_refresh(guest.mapping, &changed));
	ASSERT_TRUE(changed);
	device_model_stats(guest.device, &after);
	ASSERT_EQ_U64(before.mappings, 16);
	ASSERT_EQ_U64(after.mappings, 17);
	ASSERT_EQ_U64(after.maps - before.maps, 3);
	check_all(&guest);
	guest_close(&guest);
}

/* The largest pieces are taken, and what isn't is told. */
OVM_TEST(engine_mapping, leaves_out_small_pieces_if_there_are_too_many)
{
	const struct ovm_mapping_limits limits = {.chunk = 64 * KIB, .nr_chunks = 8};
	struct ovm_mapping_stats stats;
	struct guest guest;
	bool changed;

	guest_open_file(&guest, 16 * MIB);
	ASSERT_READY();
	for (unsigned int i = 0; i < 100; i++)
		fill(&guest, i * 128 * KIB, PAGE, 1);
	for (unsigned int i = 0; i < 5; i++)
		fill(&guest, (7 + i * 20) * 128 * KIB, 40 * KIB, 2);
	guest_attach_all(&guest);
	ASSERT_READY();
	ASSERT_OK(ovm_mapping_create_limited(guest.device, guest.memory, &limits, &guest.mapping));
	ovm_mapping_stats(guest.mapping, &stats);
	ASSERT_EQ_U64(stats.nr_chunks, 8);
	ASSERT_EQ_U64(stats.mapped, 5 * 40 * KIB + 3 * PAGE);
	ASSERT_EQ_U64(stats.refused, 92 * PAGE);
	ASSERT_TRUE(stats.reason && strstr(stats.reason, "scattered"));
	for (unsigned int i = 0; i < 5; i++)
		ASSERT_EQ_U64(seen(&guest, (7 + i * 20) * 128 * KIB), 2);
	/* Those that were chosen stay. */
	fill(&guest, 15 * MIB, 8 * KIB, 3);
	ASSERT_OK(ovm_mapping_refresh(guest.mapping, &changed));
	ASSERT_FALSE(changed);
	ovm_mapping_stats(guest.mapping, &stats);
	ASSERT_EQ_U64(stats.refused, 94 * PAGE);
	guest_close(&guest);
}

/* More pieces than are kept while they are looked for, and all alike. */
OVM_TEST(engine_mapping, maps_some_of_many_pieces)
{
	const struct ovm_mapping_limits limits = {.chunk = 64 * KIB, .nr_chunks = 3};
	struct ovm_mapping_stats stats;
	struct guest guest;

	guest_open_file(&guest, 16 * MIB);
	ASSERT_READY();
	for (unsigned int i = 0; i < 100; i++)
		fill(&guest, i * 128 * KIB, i == 99 ? 12 * KIB : 8 * KIB, 1);
	guest_attach_all(&guest);
	ASSERT_READY();
	ASSERT_OK(ovm_mapping_create_limited(guest.device, guest.memory, &limits, &guest.mapping));
	ovm_mapping_stats(guest.mapping, &stats);
	ASSERT_EQ_U64(stats.nr_chunks, 3);
	ASSERT_EQ_U64(stats.mapped, 28 * KIB);
	ASSERT_EQ_U64(stats.refused, 97 * 8 * KIB);
	ASSERT_EQ_U64(seen(&guest, 99 * 128 * KIB), 1);
	guest_close(&guest);
}

static bool holds_a_seven(const void *host, size_t size)
{
	return memchr(host, 7, size) != NULL;
}

/* A block that the device refuses is tried in parts, so that only the bad part is left out. */
OVM_TEST(engine_mapping, leaves_out_what_is_refused)
{
	const struct ovm_mapping_limits limits = {.chunk = 128 * KIB};
	struct ovm_mapping_stats stats;
	struct guest guest;

	guest_open_file(&guest, MIB);
	ASSERT_READY();
	fill(&guest, 0, MIB, 1);
	fill(&guest, 200 * KIB, PAGE, 7);
	device_model_settings.refuse = holds_a_seven;
	guest_attach_all(&guest);
	ASSERT_READY();
	ASSERT_OK(ovm_mapping_create_limited(guest.device, guest.memory, &limits, &guest.mapping));
	ovm_mapping_stats(guest.mapping, &stats);
	ASSERT_EQ_U64(stats.mapped, MIB - PAGE);
	ASSERT_EQ_U64(stats.refused, PAGE);
	ASSERT_TRUE(stats.reason && strstr(stats.reason, "as asked"));
	for (uint64_t gpa = 0; gpa < MIB; gpa += PAGE)
		ASSERT_EQ_U64(seen(&guest, gpa), gpa == 200 * KIB ? -1 : 1);
	guest_close(&guest);
}

OVM_TEST(engine_mapping, gives_up_on_a_device_that_refuses_all)
{
	const struct ovm_mapping_limits limits = {.chunk = 64 * KIB};
	struct ovm_mapping_stats stats;
	struct device_model_stats device;
	struct guest guest;
	bool changed;

	guest_open_file(&guest, 16 * MIB);
	ASSERT_READY();
	fill(&guest, 0, 16 * MIB, 7);
	device_model_settings.refuse = holds_a_seven;
	guest_attach_all(&guest);
	ASSERT_READY();
	ASSERT_OK(ovm_mapping_create_limited(guest.device, guest.memory, &limits, &guest.mapping));
	ovm_mapping_stats(guest.mapping, &stats);
	ASSERT_EQ_U64(stats.mapped, 0);
	ASSERT_EQ_U64(stats.refused, 16 * MIB);
	device_model_stats(guest.device, &device);
	ASSERT_EQ_U64(device.refusals, 64);
	ASSERT_OK(ovm_mapping_refresh(guest.mapping, &changed));
	ASSERT_FALSE(changed);
	guest_close(&guest);
}

OVM_TEST(engine_mapping, maps_as_much_as_the_device_takes)
{
	const struct ovm_mapping_limits limits = {.chunk = 128 * KIB};
	struct ovm_mapping_stats stats;
	struct guest guest;

	guest_open_file(&guest, MIB);
	ASSERT_READY();
	fill(&guest, 0, MIB, 1);
	device_model_settings.max_map = 64 * KIB;
	device_model_settings.max_mapped = 300 * KIB;
	guest_attach_all(&guest);
	ASSERT_READY();
	ASSERT_OK(ovm_mapping_create_limited(guest.device, guest.memory, &limits, &guest.mapping));
	ovm_mapping_stats(guest.mapping, &stats);
	ASSERT_EQ_U64(stats.mapped, 300 * KIB);
	ASSERT_EQ_U64(stats.refused, MIB - 300 * KIB);
	guest_close(&guest);
}

/* Whatever call fails: there is an error, and nothing is left behind. */
OVM_TEST(engine_mapping, leaves_nothing_behind_if_the_device_fails)
{
	const struct ovm_mapping_limits limits = {.chunk = 128 * KIB};

	for (uint64_t n = 1;; n++) {
		struct ovm_memory *memory;
		struct ovm_device *device;
		struct ovm_mapping *mapping;
		struct guest guest;
		bool changed = false;

		guest_open_file(&guest, MIB);
		ASSERT_READY();
		fill(&guest, 0, MIB, 1);

		const struct ovm_ram_range range = {
			.size = MIB, .kind = OVM_RAM_MAPPED, .fd = dup(guest.fd)};

		ASSERT_OK(ovm_memory_create(&range, 1, &memory));
		/* Opening is a call, too, and so is asking what the device can do. */
		device_model_settings.fail_at = n + 2;
		ASSERT_OK(device_model_open(&device));

		struct ovm_error *err =
			ovm_mapping_create_limited(device, memory, &limits, &mapping);

		ASSERT_EQ_U64(err != NULL, n <= 8);
		ASSERT_EQ_U64(mapping == NULL, n <= 8);
		if (!err) {
			punch(&guest, 200 * KIB, PAGE);
			punch(&guest, 600 * KIB, PAGE);
			err = ovm_mapping_refresh(mapping, &changed);
			ASSERT_TRUE(changed);
			ASSERT_EQ_U64(err != NULL, n <= 12);
		}
		if (err) {
			struct device_model_stats stats;
			const uint8_t *seen_at;

			ASSERT_ERROR(err, OVM_ERROR_DEVICE, "map");
			err = ovm_error_no_memory();
			device_model_stats(device, &stats);
			ASSERT_EQ_U64(stats.mappings, 0);
			if (mapping) {
				ASSERT_EQ_U64(ovm_mapping_find(mapping, 0, MIB, &seen_at), MIB);
				ASSERT_TRUE(!seen_at);
			}
		}
		ovm_mapping_destroy(mapping);
		device->ops->destroy(device);
		ASSERT_TRUE(device_model_released());
		ovm_memory_destroy(memory);
		munmap(guest.ram, guest.size);
		close(guest.fd);
		if (!err)
			break;
	}
	device_model_settings.fail_at = 0;
}

OVM_TEST(engine_mapping, says_so_if_ram_is_gone)
{
	struct guest guest;
	bool changed;

	guest_open(&guest);
	ASSERT_READY();
	ASSERT_TRUE(!ftruncate(guest.fd, MIB));
	/* The device has what was there, and doesn't fall over it. */
	ASSERT_EQ_U64(seen(&guest, MIB), 1);
	ASSERT_FALSE(ovm_mapping_holds(guest.mapping, MIB, PAGE));
	ASSERT_FALSE(ovm_mapping_holds_all(guest.mapping));
	ASSERT_ERROR(ovm_mapping_refresh(guest.mapping, &changed), OVM_ERROR_UNREACHABLE,
		     "truncated");
	ASSERT_TRUE(changed);
	ASSERT_EQ_U64(seen(&guest, MIB), -1);

	struct ovm_mapping *other;

	ASSERT_ERROR(ovm_mapping_create(guest.device, guest.memory, &other), OVM_ERROR_UNREACHABLE,
		     "truncated");
	guest_close(&guest);
}

/* RAM below and above the hole for PCI devices, all in one file, and more in another one. */
OVM_TEST(engine_mapping, knows_where_ram_is_in_its_files)
{
	struct ovm_mapping_stats stats;
	const uint8_t *device;
	struct guest guest, other;
	bool changed;

	guest_open_file(&guest, 3 * MIB);
	guest_open_file(&other, MIB);
	ASSERT_READY();
	fill(&guest, 0, 3 * MIB, 1);
	fill(&guest, 2 * MIB, MIB, 2);
	fill(&other, 0, MIB, 3);

	int fd = dup(guest.fd);
	const struct ovm_ram_range ranges[] = {
		{.gpa = 4 * GIB,
		 .size = MIB,
		 .kind = OVM_RAM_MAPPED,
		 .fd = fd,
		 .file_offset = 2 * MIB},
		{.gpa = 0, .size = MIB, .kind = OVM_RAM_MAPPED, .fd = fd},
		{.gpa = MIB,
		 .size = MIB,
		 .kind = OVM_RAM_MAPPED,
		 .fd = dup(guest.fd),
		 .file_offset = MIB},
		{.gpa = 4 * GIB + MIB, .size = MIB, .kind = OVM_RAM_MAPPED, .fd = dup(other.fd)},
	};

	guest_attach(&guest, ranges, 4);
	ASSERT_READY();
	ASSERT_OK(ovm_mapping_create(guest.device, guest.memory, &guest.mapping));
	ovm_mapping_stats(guest.mapping, &stats);
	/* The first two are one. */
	ASSERT_EQ_U64(stats.nr_chunks, 3);
	ASSERT_EQ_U64(stats.mapped, 4 * MIB);
	ASSERT_EQ_U64(ovm_mapping_find(guest.mapping, 0, 4 * GIB, &device), 2 * MIB);
	ASSERT_EQ_U64(ovm_mapping_find(guest.mapping, 2 * MIB, 4 * GIB, &device),
		      4 * GIB - 2 * MIB);
	ASSERT_TRUE(!device);
	ASSERT_EQ_U64(ovm_mapping_find(guest.mapping, 4 * GIB, 4 * GIB, &device), MIB);
	ASSERT_EQ_U64(seen(&guest, 0), 1);
	ASSERT_EQ_U64(seen(&guest, 2 * MIB - PAGE), 1);
	ASSERT_EQ_U64(seen(&guest, 4 * GIB), 2);
	ASSERT_EQ_U64(seen(&guest, 4 * GIB + MIB), 3);
	/* A hole above 4 GiB is none below. */
	punch(&guest, 2 * MIB + PAGE, PAGE);
	punch(&other, 0, PAGE);
	ASSERT_TRUE(ovm_mapping_holds(guest.mapping, 0, 4 * GIB + PAGE));
	ASSERT_FALSE(ovm_mapping_holds(guest.mapping, 4 * GIB + PAGE, PAGE));
	ASSERT_FALSE(ovm_mapping_holds(guest.mapping, 4 * GIB + MIB, PAGE));
	ASSERT_OK(ovm_mapping_refresh(guest.mapping, &changed));
	ASSERT_TRUE(changed);
	ASSERT_EQ_U64(seen(&guest, 4 * GIB + PAGE), -1);
	ASSERT_EQ_U64(seen(&guest, 4 * GIB + 2 * PAGE), 2);
	ASSERT_EQ_U64(seen(&guest, 4 * GIB + MIB), -1);
	munmap(other.ram, other.size);
	close(other.fd);
	guest_close(&guest);
}

OVM_TEST(engine_mapping, leaves_other_kinds_of_ram_alone)
{
	static uint8_t own[2 * PAGE] __attribute__((aligned(PAGE)));
	struct ovm_mapping_stats stats;
	struct guest guest;
	const uint8_t *device;

	guest_open_file(&guest, 2 * MIB);
	ASSERT_READY();
	fill(&guest, 0, 2 * MIB, 1);

	const struct ovm_ram_range ranges[] = {
		{.gpa = 0, .size = MIB, .kind = OVM_RAM_FILE, .fd = dup(guest.fd)},
		{.gpa = MIB,
		 .size = MIB,
		 .kind = OVM_RAM_MAPPED,
		 .fd = dup(guest.fd),
		 .file_offset = MIB},
		{.gpa = 2 * MIB,
		 .size = sizeof(own),
		 .kind = OVM_RAM_PROCESS,
		 .vmm_pid = getpid(),
		 .vmm_address = (uintptr_t)own},
	};

	guest_attach(&guest, ranges, 3);
	ASSERT_READY();
	ASSERT_OK(ovm_mapping_create(guest.device, guest.memory, &guest.mapping));
	ovm_mapping_stats(guest.mapping, &stats);
	ASSERT_EQ_U64(stats.mapped, MIB);
	ASSERT_EQ_U64(stats.refused, MIB + sizeof(own));
	ASSERT_TRUE(stats.reason != NULL);
	ASSERT_EQ_U64(ovm_mapping_find(guest.mapping, 0, 4 * MIB, &device), MIB);
	ASSERT_TRUE(!device);
	ASSERT_EQ_U64(seen(&guest, MIB), 1);
	ASSERT_EQ_U64(seen(&guest, 2 * MIB), -1);
	guest_close(&guest);
}

/* A guest that gives pages back and uses them again, all the time. */
struct restless {
	struct guest *guest;
	pthread_t thread;
	atomic_bool stop;
};

static void *be_restless(void *arg)
{
	struct restless *restless = arg;
	struct guest *guest = restless->guest;
	uint64_t random = 88172645463325252U;

	for (uint8_t byte = 1; !atomic_load(&restless->stop); byte = byte % 250 + 1) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;

		uint64_t page = random % (guest->size / PAGE);

		if (fallocate(guest->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			      (off_t)(page * PAGE), PAGE))
			break;
		if (random >> 60)
			fill(guest, page * PAGE, PAGE, byte);
	}
	return NULL;
}

/* Whatever happened while RAM was being mapped: a page that holds is the guest's. */
OVM_TEST(engine_mapping, never_takes_a_lost_page_for_one_that_holds)
{
	const struct ovm_mapping_limits limits = {.chunk = 256 * KIB};
	struct restless restless = {0};
	struct guest guest;
	uint64_t lost = 0;
	bool changed;

	guest_open_file(&guest, MIB);
	ASSERT_READY();
	fill(&guest, 0, MIB, 1);
	guest_attach_all(&guest);
	ASSERT_READY();
	restless.guest = &guest;
	for (int round = 0; round < 16; round++) {
		atomic_store(&restless.stop, false);
		ASSERT_TRUE(!pthread_create(&restless.thread, NULL, be_restless, &restless));

		struct ovm_error *err =
			guest.mapping ? ovm_mapping_refresh(guest.mapping, &changed)
				      : ovm_mapping_create_limited(guest.device, guest.memory,
								   &limits, &guest.mapping);
		const struct timespec moment = {.tv_nsec = 300 * 1000};

		if (round % 2)
			nanosleep(&moment, NULL);
		atomic_store(&restless.stop, true);
		pthread_join(restless.thread, NULL);
		ASSERT_OK(err);
		for (uint64_t gpa = 0; gpa < MIB; gpa += PAGE) {
			int byte = seen(&guest, gpa);

			if (byte == -1)
				continue;
			if (!ovm_mapping_holds(guest.mapping, gpa, PAGE))
				lost++;
			else
				ASSERT_EQ_U64(byte, guest.ram[gpa]);
		}
	}
	ASSERT_TRUE(lost > 0);
	/* And at rest, all is well again. */
	ASSERT_OK(ovm_mapping_refresh(guest.mapping, &changed));
	ASSERT_TRUE(ovm_mapping_holds_all(guest.mapping));
	check_all(&guest);
	guest_close(&guest);
}

/*
 * RAM in huge pages: it is mapped as long as there is no hole anywhere. The device of the tests
 * doesn't pin huge pages, but the page tables tell the same.
 */
OVM_TEST(engine_mapping, maps_huge_pages_without_holes)
{
	const uint64_t size = 16 * MIB, huge = 2 * MIB;
	struct ovm_mapping_limits limits = {.chunk = 4 * MIB};
	struct ovm_mapping_stats stats;
	const uint8_t *device;
	struct guest guest = {.fd = memfd_create("ram", MFD_CLOEXEC | MFD_HUGETLB | MFD_HUGE_2MB),
			      .size = size};
	bool changed;

	if (guest.fd < 0 || fallocate(guest.fd, 0, 0, (off_t)size))
		OVM_SKIP("no huge pages: write 8 or more to /proc/sys/vm/nr_hugepages");
	guest.ram = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, guest.fd, 0);
	ASSERT_TRUE(guest.ram != MAP_FAILED);
	fill(&guest, 0, size, 1);

	const struct ovm_ram_range range = {
		.size = size, .kind = OVM_RAM_FILE, .fd = dup(guest.fd)};

	guest_attach(&guest, &range, 1);
	ASSERT_READY();
	ASSERT_OK(ovm_mapping_create_limited(guest.device, guest.memory, &limits, &guest.mapping));
	ovm_mapping_stats(guest.mapping, &stats);
	ASSERT_EQ_U64(stats.mapped, size);
	ASSERT_EQ_U64(stats.nr_chunks, 4);
	ASSERT_EQ_U64(stats.refused, 0);
	ASSERT_EQ_U64(seen(&guest, 5 * MIB), 1);
	ASSERT_TRUE(ovm_mapping_holds_all(guest.mapping));
	/* Given back and used again. */
	punch(&guest, 6 * MIB, huge);
	ASSERT_FALSE(ovm_mapping_holds_all(guest.mapping));
	fill(&guest, 6 * MIB, huge, 2);
	ASSERT_FALSE(ovm_mapping_holds_all(guest.mapping));
	ASSERT_FALSE(ovm_mapping_holds(guest.mapping, 7 * MIB, PAGE));
	ASSERT_TRUE(ovm_mapping_holds(guest.mapping, 5 * MIB, PAGE));
	ASSERT_OK(ovm_mapping_refresh(guest.mapping, &changed));
	ASSERT_TRUE(changed);
	ASSERT_TRUE(ovm_mapping_holds_all(guest.mapping));
	ASSERT_EQ_U64(seen(&guest, 7 * MIB), 2);
	/* Given back: what is in the same chunk can't be mapped any more, and no hole is filled. */
	punch(&guest, 6 * MIB, huge);
	ASSERT_OK(ovm_mapping_refresh(guest.mapping, &changed));
	ASSERT_TRUE(changed);
	ASSERT_EQ_U64(allocated(guest.fd), size - huge);
	ASSERT_EQ_U64(ovm_mapping_find(guest.mapping, 4 * MIB, size, &device), 4 * MIB);
	ASSERT_TRUE(!device);
	ASSERT_EQ_U64(seen(&guest, 3 * MIB), 1);
	ovm_mapping_stats(guest.mapping, &stats);
	ASSERT_EQ_U64(stats.refused, 4 * MIB);
	ASSERT_TRUE(stats.reason && strstr(stats.reason, "huge pages"));
	/* And complete again. */
	fill(&guest, 6 * MIB, huge, 3);
	ASSERT_OK(ovm_mapping_refresh(guest.mapping, &changed));
	ASSERT_TRUE(changed);
	ovm_mapping_stats(guest.mapping, &stats);
	ASSERT_EQ_U64(stats.mapped, size);
	ASSERT_EQ_U64(seen(&guest, 7 * MIB), 3);
	guest_close(&guest);
}
