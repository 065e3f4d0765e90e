// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: shared mappings of a file are of that file, at their offsets, writable and not
 */
#include "workload.h"

#include <fcntl.h>
#include <sys/mman.h>

enum { PAGE = 4096, PAGES = 64, SIZE = PAGES * PAGE };

static void prepare(void)
{
	workload_make_file("data", SIZE, 21);
}

static uint8_t *map(int open_flags, int prot, int page)
{
	int fd = open(workload_path("data"), open_flags);
	void *memory = mmap(NULL, SIZE - page * PAGE, prot, MAP_SHARED, fd, page * PAGE);

	CHECK_CALL(fd >= 0 && memory != MAP_FAILED);
	close(fd);
	return memory;
}

static void check_path(const void *memory, const char *prot, unsigned long long offset)
{
	struct workload_vma vma = workload_vma(memory);

	CHECK(!strcmp(vma.path, workload_path("data")), "it is a mapping of %s", vma.path);
	CHECK(!strcmp(vma.prot, prot) && vma.offset == offset,
	      "it is %s from %llx, was %s from %llx", vma.prot, vma.offset, prot, offset);
}

int main(int argc, char **argv)
{
	static uint8_t file[SIZE];
	uint8_t byte = 0;

	workload_start(argc, argv, prepare);
	workload_fill(file, SIZE, 21);

	uint8_t *writable = map(O_RDWR, PROT_READ | PROT_WRITE, 0);
	uint8_t *readable = map(O_RDONLY, PROT_READ, 7);

	CHECK(writable[SIZE - 1] == file[SIZE - 1] && readable[0] == file[7 * PAGE],
	      "the mappings aren't of the file");
	workload_ready();
	workload_wait();
	CHECK(!memcmp(writable, file, SIZE), "the writable mapping has other contents");
	CHECK(!memcmp(readable, file + 7 * PAGE, SIZE - 7 * PAGE),
	      "the read-only mapping has other contents");
	check_path(writable, "rw-s", 0);
	check_path(readable, "r--s", 7 * PAGE);
	CHECK_CALL(mprotect(readable, PAGE, PROT_READ | PROT_WRITE) == -1);

	int fd = open(workload_path("data"), O_RDWR);

	writable[10 * PAGE] ^= 0xff;
	CHECK((readable[3 * PAGE] ^ file[10 * PAGE]) == 0xff, "the mappings are of two files");
	CHECK(pread(fd, &byte, 1, 10 * PAGE) == 1 && (byte ^ file[10 * PAGE]) == 0xff,
	      "what is written to the mapping isn't in the file");
	writable[10 * PAGE] = file[10 * PAGE];
	workload_pass();
}
