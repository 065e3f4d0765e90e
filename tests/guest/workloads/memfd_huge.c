// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a memfd of huge pages keeps contents, holes, position and seals, and its mappings
 * @needs: hugetlb
 * @criu_dump: no hugetlbfs doesn't tell holes, so that they are saved as data
 */
#include "workload.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { HUGE = 2 << 20, SIZE = 4 * HUGE, HOLE = HUGE, UPPER = 2 * HUGE, POSITION = HUGE - 3 };

static const int seals = F_SEAL_SHRINK | F_SEAL_GROW;

static uint8_t *map(int fd, size_t size, int flags, off_t offset)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, offset);

	if (memory == MAP_FAILED)
		workload_skip("%d huge pages of 2 MiB aren't free (vm.nr_hugepages)", SIZE / HUGE);
	return memory;
}

static void check_huge(const void *memory, const char *what)
{
	CHECK(strstr(workload_vma(memory).flags, "ht "), "%s has small pages", what);
}

static void check_file(int fd, blkcnt_t blocks)
{
	uint8_t bytes[6], expected[3];
	struct stat st;

	CHECK_CALL(!fstat(fd, &st));
	CHECK(st.st_size == SIZE, "the file has %lld bytes", (long long)st.st_size);
	CHECK(st.st_blksize == HUGE, "the file has pages of %ld bytes", (long)st.st_blksize);
	CHECK(st.st_blocks == blocks, "the file has %lld blocks, had %lld", (long long)st.st_blocks,
	      (long long)blocks);
	CHECK(fcntl(fd, F_GET_SEALS) == seals, "the seals are %x, were %x", fcntl(fd, F_GET_SEALS),
	      seals);
	CHECK(lseek(fd, 0, SEEK_CUR) == POSITION, "the position is %lld, was %d",
	      (long long)lseek(fd, 0, SEEK_CUR), POSITION);

	uint64_t last = workload_word(1, HUGE / 8 - 1);

	memcpy(expected, (uint8_t *)&last + 5, 3);
	/* Across the border of data and hole. */
	CHECK(read(fd, bytes, 6) == 6 && !memcmp(bytes, expected, 3) && !bytes[3] && !bytes[5],
	      "what is read at the position isn't what was there");
}

int main(int argc, char **argv)
{
	static const uint8_t zero[HUGE];
	struct stat st;

	workload_start(argc, argv, NULL);

	int fd = memfd_create("huge", MFD_ALLOW_SEALING | MFD_HUGETLB | MFD_HUGE_2MB);

	if (fd < 0 || ftruncate(fd, SIZE))
		workload_skip("there are no huge pages of 2 MiB");

	uint8_t *shared = map(fd, SIZE, MAP_SHARED, 0);
	uint8_t *upper = map(fd, SIZE - UPPER, MAP_SHARED, UPPER);
	uint8_t *private = map(fd, 2 * HUGE, MAP_PRIVATE, UPPER);

	workload_fill(shared, HUGE, 1);
	workload_fill(upper, 2 * HUGE, 2);
	workload_fill(private, HUGE, 3);
	CHECK_CALL(!fcntl(fd, F_ADD_SEALS, seals));
	CHECK_CALL(lseek(fd, POSITION, SEEK_SET) == POSITION);
	CHECK_CALL(!fstat(fd, &st));
	workload_ready();
	workload_wait();
	check_file(fd, st.st_blocks);
	check_huge(shared, "the shared mapping");
	check_huge(upper, "the mapping of the upper half");
	check_huge(private, "the private mapping");
	CHECK(workload_vma(upper).offset == UPPER, "the upper half begins at %llx",
	      workload_vma(upper).offset);
	workload_check_fill(shared, HUGE, 1, "first page");
	workload_check_fill(shared + UPPER, 2 * HUGE, 2, "upper half");
	workload_check_fill(private, HUGE, 3, "modified page of the private mapping");
	CHECK(!memcmp(private + HUGE, upper + HUGE, HUGE),
	      "the private mapping isn't of this file");
	CHECK(!memcmp(shared + HOLE, zero, HUGE), "the hole has content");
	upper[POSITION] = 0x42;
	CHECK(shared[UPPER + POSITION] == 0x42,
	      "what is written to one mapping isn't in the other");
	workload_check_fill(private, HUGE, 3, "modified page of the private mapping after that");
	workload_pass();
}
