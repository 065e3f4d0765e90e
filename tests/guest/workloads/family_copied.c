// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: memory that was forked is right in each process, and physically shared where it was
 */
#include "family.h"

#include <fcntl.h>
#include <sys/mman.h>

enum {
	NR = 2,
	PAGE = 4096,
	/* Changed by nobody, by one child each, by the parent. */
	PARTS = NR + 2,
	PART = 128 * PAGE,
	SIZE = PARTS * PART,
	PAGES = SIZE / PAGE,
};

static uint8_t *memory;
/* Of each process, the parent last: page frames. */
static uint64_t (*frames)[PAGES];

/* /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst): bits 0 to 54. */
static void look(int self)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	ssize_t size = PAGES * sizeof(uint64_t);

	CHECK_CALL(fd >= 0 && pread(fd, frames[self], size, (uintptr_t)memory / PAGE * 8) == size);
	for (int i = 0; i < PAGES; i++)
		frames[self][i] &= (1ULL << 55) - 1;
	close(fd);
}

static void check_contents(int self)
{
	for (int part = 0; part < PARTS; part++)
		workload_check_fill(memory + part * PART, PART, part == self + 1 ? 100 : part,
				    "part of the memory");
}

static void child(const struct family *family, int i)
{
	workload_fill(memory + (i + 1) * PART, PART, 100);
	family_step(family, i);
	check_contents(i);
	look(i);
}

/* How many pages of a part two processes have in common. */
static int count(int a, int b, int part)
{
	int nr = 0;

	for (int i = part * (PART / PAGE); i < (part + 1) * (PART / PAGE); i++)
		nr += frames[a][i] && frames[a][i] == frames[b][i];
	return nr;
}

int main(int argc, char **argv)
{
	struct family family;

	workload_start(argc, argv, NULL);
	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	frames = mmap(NULL, (NR + 1) * sizeof(*frames), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK_CALL(memory != MAP_FAILED && frames != MAP_FAILED);
	/* Huge pages are copied as a whole, and at other times. */
	CHECK_CALL(!madvise(memory, SIZE, MADV_NOHUGEPAGE));
	for (int part = 0; part < PARTS; part++)
		workload_fill(memory + part * PART, PART, part);
	family_start(&family, NR, child);
	workload_fill(memory + (NR + 1) * PART, PART, 100);
	workload_ready();
	workload_wait();
	check_contents(NR);
	look(NR);
	for (int i = 0; i < NR; i++)
		family_next(&family, i);
	family_end(&family);
	CHECK(frames[NR][0], "page frames are hidden");
	for (int i = 0; i < NR; i++) {
		CHECK(count(i, NR, 0) == PART / PAGE,
		      "child %d shares %d of %d unchanged pages with its parent", i,
		      count(i, NR, 0), PART / PAGE);
		CHECK(!count(i, NR, i + 1) && !count(i, NR, NR + 1),
		      "child %d shares pages that have different contents", i);
	}
	workload_pass();
}
