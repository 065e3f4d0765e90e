// SPDX-License-Identifier: GPL-2.0-only
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"
#include "vmi/memory.h"

enum {
	PAGE = 4096,
	MIB = 1 << 20,
};

static int make_file(uint64_t size)
{
	int fd = memfd_create("ram", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)size))
		return -1;
	return fd;
}

static uint64_t allocated(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? UINT64_MAX : (uint64_t)st.st_blocks * 512;
}

static void put(int fd, uint64_t offset, const char *text)
{
	if (pwrite(fd, text, strlen(text), (off_t)offset) < 0)
		OVM_FAIL("can't write the file");
}

static struct ovm_ram_range mapped(uint64_t gpa, uint64_t size, int fd, uint64_t offset)
{
	return (struct ovm_ram_range){
		.gpa = gpa, .size = size, .kind = OVM_RAM_MAPPED, .fd = fd, .file_offset = offset};
}

OVM_TEST(memory, reads_across_ranges_of_any_kind)
{
	int a = make_file(MIB), b = make_file(MIB);
	static char own[2 * PAGE] __attribute__((aligned(PAGE)));
	struct ovm_memory *memory;
	char buf[6] = "";

	put(a, MIB - 2, "ab");
	put(b, 0, "cd");
	put(b, MIB - 1, "e");
	memcpy(own, "f", 1);
	const struct ovm_ram_range ranges[] = {
		{.gpa = MIB, .size = MIB, .kind = OVM_RAM_FILE, .fd = b},
		mapped(0, MIB, a, 0),
		{.gpa = 2 * MIB,
		 .size = 2 * PAGE,
		 .kind = OVM_RAM_PROCESS,
		 .vmm_pid = getpid(),
		 .vmm_address = (uintptr_t)own},
	};

	ASSERT_OK(ovm_memory_create(ranges, 3, &memory));
	ASSERT_OK(ovm_memory_read(memory, MIB - 2, buf, 4));
	ASSERT_STREQ(buf, "abcd");
	ASSERT_OK(ovm_memory_read(memory, 2 * MIB - 1, buf, 2));
	ASSERT_MEMEQ(buf, "ef", 2);
	ovm_memory_destroy(memory);
}

OVM_TEST(memory, sorts_ranges_and_finds_each)
{
	int fd = make_file(MIB);
	struct ovm_ram_range ranges[64];
	const struct ovm_ram_range *sorted;
	struct ovm_memory *memory;

	for (unsigned int i = 0; i < 64; i++) {
		char text[8] = {(char)('0' + i)};

		/* In an order of their own, with gaps between them. */
		ranges[i] = mapped((i * 37 % 64) * 2ULL * PAGE, PAGE, fd, i * PAGE);
		put(fd, i * PAGE, text);
	}
	ASSERT_OK(ovm_memory_create(ranges, 64, &memory));
	ASSERT_EQ_U64(ovm_memory_ranges(memory, &sorted), 64);
	for (unsigned int i = 0; i < 64; i++) {
		char byte;

		ASSERT_EQ_U64(sorted[i].gpa, i * 2ULL * PAGE);
		ASSERT_OK(ovm_memory_read(memory, ranges[i].gpa, &byte, 1));
		ASSERT_EQ_U64(byte, '0' + i);
		ASSERT_ERROR(ovm_memory_read(memory, ranges[i].gpa + PAGE, &byte, 1),
			     OVM_ERROR_FAULT, "no guest RAM");
	}
	ovm_memory_destroy(memory);
}

OVM_TEST(memory, fault_names_the_first_missing_address)
{
	struct ovm_ram_range range = mapped(0, MIB, make_file(MIB), 0);
	struct ovm_memory *memory;
	char buf[64];

	ASSERT_OK(ovm_memory_create(&range, 1, &memory));
	struct ovm_error *err = ovm_memory_read(memory, MIB - 10, buf, sizeof(buf));

	ASSERT_TRUE(err && err->has_address);
	ASSERT_EQ_U64(err->address, MIB);
	ovm_error_free(err);
	ASSERT_ERROR(ovm_memory_read(memory, UINT64_MAX, buf, 2), OVM_ERROR_FAULT, NULL);
	ovm_memory_destroy(memory);
}

OVM_TEST(memory, reading_leaves_holes_alone)
{
	const uint64_t size = 64 * MIB;
	int fd = make_file(size);
	struct ovm_ram_range range = mapped(0, size, fd, 0);
	struct ovm_memory *memory;
	char *buf = malloc(size);

	put(fd, 5 * MIB, "data");
	uint64_t before = allocated(fd);

	ASSERT_OK(ovm_memory_create(&range, 1, &memory));
	for (uint64_t gpa = 0; gpa < size; gpa += 64 << 10) {
		uint64_t value = 1;

		ASSERT_OK(ovm_memory_read(memory, gpa + 8, &value, sizeof(value)));
		ASSERT_EQ_U64(value, 0);
		ASSERT_TRUE(!ovm_memory_peek(memory, gpa, 8) == (gpa != 5 * MIB));
	}
	memset(buf, 1, size);
	ASSERT_OK(ovm_memory_read(memory, 0, buf, size));
	ASSERT_MEMEQ(buf + 5 * MIB, "data", 5);
	buf[5 * MIB] = buf[5 * MIB + 1] = buf[5 * MIB + 2] = buf[5 * MIB + 3] = 0;
	for (uint64_t i = 0; i < size; i++) {
		if (buf[i])
			OVM_FAIL("byte %llu of a hole is %d", (unsigned long long)i, buf[i]);
	}
	ASSERT_EQ_U64(allocated(fd), before);
	free(buf);
	ovm_memory_destroy(memory);
}

OVM_TEST(memory, sees_data_that_comes_later)
{
	int fd = make_file(MIB);
	struct ovm_ram_range range = mapped(0, MIB, fd, 0);
	struct ovm_memory *memory;
	char buf[5] = "";

	ASSERT_OK(ovm_memory_create(&range, 1, &memory));
	ASSERT_OK(ovm_memory_read(memory, PAGE, buf, 4));
	put(fd, PAGE, "late");
	ASSERT_OK(ovm_memory_read(memory, PAGE, buf, 4));
	ASSERT_STREQ(buf, "late");
	ASSERT_TRUE(ovm_memory_peek(memory, PAGE, 4));
	ASSERT_MEMEQ(ovm_memory_peek(memory, PAGE, 4), "late", 4);
	ovm_memory_destroy(memory);
}

OVM_TEST(memory, peek_gives_only_contiguous_data)
{
	int fd = make_file(MIB);
	const struct ovm_ram_range ranges[] = {mapped(0, PAGE, fd, 0),
					       mapped(PAGE, PAGE, fd, 5 * PAGE)};
	struct ovm_memory *memory;

	put(fd, 0, "x");
	put(fd, 5 * PAGE, "y");
	ASSERT_OK(ovm_memory_create(ranges, 2, &memory));
	ASSERT_TRUE(ovm_memory_peek(memory, 0, PAGE));
	ASSERT_FALSE(ovm_memory_peek(memory, 0, PAGE + 1));
	ASSERT_FALSE(ovm_memory_peek(memory, 0, SIZE_MAX));
	ASSERT_FALSE(ovm_memory_peek(memory, 0, 0));
	ASSERT_FALSE(ovm_memory_peek(memory, 2 * PAGE, 1));
	ovm_memory_destroy(memory);
}

OVM_TEST(memory, batch_of_process_reads)
{
	static uint64_t own[512 * 4] __attribute__((aligned(PAGE)));
	const struct ovm_ram_range range = {.size = sizeof(own),
					    .kind = OVM_RAM_PROCESS,
					    .vmm_pid = getpid(),
					    .vmm_address = (uintptr_t)own};
	struct ovm_memory_read reads[200];
	struct ovm_memory *memory;
	uint64_t values[200];

	for (unsigned int i = 0; i < 512 * 4; i++)
		own[i] = i * 3;
	for (unsigned int i = 0; i < 200; i++)
		reads[i] = (struct ovm_memory_read){8ULL * (i * 7 % 2048), &values[i], 8};
	ASSERT_OK(ovm_memory_create(&range, 1, &memory));
	ASSERT_OK(ovm_memory_read_batch(memory, reads, 200));
	for (unsigned int i = 0; i < 200; i++)
		ASSERT_EQ_U64(values[i], i * 7 % 2048 * 3);
	ovm_memory_destroy(memory);
}

OVM_TEST(memory, process_that_is_gone_is_an_error)
{
	pid_t pid = fork();
	uint64_t value;
	struct ovm_memory *memory;

	if (!pid)
		_exit(0);
	ASSERT_TRUE(waitpid(pid, NULL, 0) == pid);
	const struct ovm_ram_range range = {
		.size = PAGE, .kind = OVM_RAM_PROCESS, .vmm_pid = pid, .vmm_address = 0x10000};

	ASSERT_OK(ovm_memory_create(&range, 1, &memory));
	ASSERT_ERROR(ovm_memory_read(memory, 8, &value, 8), OVM_ERROR_UNREACHABLE,
		     "is the virtual machine still there");
	ovm_memory_destroy(memory);
}

OVM_TEST(memory, refuses_bad_ranges)
{
	struct ovm_memory *memory;
	struct ovm_ram_range overlap[] = {mapped(0, 2 * PAGE, make_file(MIB), 0),
					  mapped(PAGE, PAGE, make_file(MIB), 0)};
	struct ovm_ram_range odd = mapped(12, PAGE, make_file(MIB), 0);
	struct ovm_ram_range wrap = mapped(-(uint64_t)PAGE, 2 * PAGE, make_file(MIB), 0);
	struct ovm_ram_range small = mapped(0, 2 * MIB, make_file(MIB), 0);
	struct ovm_ram_range behind = mapped(0, PAGE, make_file(MIB), MIB);

	ASSERT_ERROR(ovm_memory_create(overlap, 2, &memory), OVM_ERROR_USAGE, "overlap");
	ASSERT_ERROR(ovm_memory_create(&odd, 1, &memory), OVM_ERROR_USAGE, "malformed");
	ASSERT_ERROR(ovm_memory_create(&wrap, 1, &memory), OVM_ERROR_USAGE, "malformed");
	ASSERT_ERROR(ovm_memory_create(&small, 1, &memory), OVM_ERROR_UNREACHABLE, "truncated");
	ASSERT_ERROR(ovm_memory_create(&behind, 1, &memory), OVM_ERROR_UNREACHABLE, "truncated");
	ASSERT_FALSE(memory);
}

OVM_TEST(memory, truncation_after_creation_is_noticed_before_first_touch)
{
	int fd = make_file(4 * MIB);
	struct ovm_ram_range range = mapped(0, 4 * MIB, fd, 0);
	struct ovm_memory *memory;
	char *buf = malloc(MIB), byte;

	put(fd, 3 * MIB, "gone");
	ASSERT_OK(ovm_memory_create(&range, 1, &memory));
	ASSERT_TRUE(!ftruncate(fd, MIB));
	ASSERT_ERROR(ovm_memory_read(memory, 3 * MIB, &byte, 1), OVM_ERROR_UNREACHABLE,
		     "truncated while in use");
	ASSERT_ERROR(ovm_memory_read(memory, 3 * MIB, buf, MIB), OVM_ERROR_UNREACHABLE,
		     "truncated while in use");
	ASSERT_FALSE(ovm_memory_peek(memory, 3 * MIB, 1));
	free(buf);
	ovm_memory_destroy(memory);
}

OVM_TEST(memory, sparse_64_gib_costs_nothing)
{
	const uint64_t size = 64ULL << 30;
	int fd = make_file(size);
	struct ovm_ram_range range = mapped(0, size, fd, 0);
	struct ovm_memory *memory;
	uint64_t value;

	if (fd < 0)
		OVM_SKIP("a sparse memfd of 64 GiB");
	ASSERT_OK(ovm_memory_create(&range, 1, &memory));
	for (uint64_t gpa = 0; gpa < size; gpa += 1ULL << 28)
		ASSERT_OK(ovm_memory_read(memory, gpa, &value, sizeof(value)));
	ASSERT_EQ_U64(allocated(fd), 0);
	ovm_memory_destroy(memory);
}
