// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a segment of shm_open whose name is gone keeps its contents, in all that map it
 */
#include "family.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

enum { NR = 2, PAGE = 4096, SIZE = 60 * PAGE, TMPFS = 0x01021994 };

static uint8_t *memory;

/* There is no /dev/shm everywhere: any tmpfs will do. */
static int open_segment(void)
{
	struct statfs fs;
	int fd;

	mkdir("/dev/shm", 01777);
	fd = open("/dev/shm/workload-segment", O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0 || fstatfs(fd, &fs) || fs.f_type != TMPFS)
		workload_skip("/dev/shm is no tmpfs that can be written");
	return fd;
}

static void child(const struct family *family, int i)
{
	workload_fill(memory + i * PAGE, PAGE, 10 + i);
	family_step(family, i);
	for (int j = 0; j < NR; j++)
		workload_check_fill(memory + j * PAGE, PAGE, (j < i ? 20 : 10) + j,
				    "page of a child");
	workload_fill(memory + i * PAGE, PAGE, 20 + i);
}

int main(int argc, char **argv)
{
	static const uint8_t zero[PAGE];
	struct family family;

	workload_start(argc, argv, NULL);

	int fd = open_segment();
	void *mapping;

	CHECK_CALL(!ftruncate(fd, SIZE));
	mapping = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK_CALL(mapping != MAP_FAILED && !close(fd));
	CHECK_CALL(!unlink("/dev/shm/workload-segment"));
	memory = mapping;
	workload_fill(memory + 10 * PAGE, 20 * PAGE, 1);
	family_start(&family, NR, child);
	workload_ready();
	workload_wait();
	workload_check_fill(memory + 10 * PAGE, 20 * PAGE, 1, "segment");
	for (int i = 30; i < SIZE / PAGE; i++)
		CHECK(!memcmp(memory + i * PAGE, zero, PAGE), "page %d isn't empty", i);
	for (int i = 0; i < NR; i++) {
		family_next(&family, i);
		workload_check_fill(memory + i * PAGE, PAGE, 20 + i, "what a child wrote");
	}
	family_end(&family);
	CHECK(access("/dev/shm/workload-segment", F_OK), "the name is there again");
	workload_pass();
}
