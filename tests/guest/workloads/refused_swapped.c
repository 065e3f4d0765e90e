// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: memory that is swapped out is refused, and the remedy is said
 * @expect: refused swapped out; swapoff
 * @needs: swap
 */
#include "workload.h"

#include <fcntl.h>
#include <sys/mman.h>

enum { PAGE = 4096, PAGES = 256 };

/* Pages of the memory that are in swap: bit 62 of their entries in pagemap. */
static int swapped(const char *memory)
{
	uint64_t entries[PAGES];
	int fd = open("/proc/self/pagemap", O_RDONLY), count = 0;

	CHECK_CALL(fd >= 0);
	CHECK_CALL(pread(fd, entries, sizeof(entries), (uintptr_t)memory / PAGE * 8) ==
		   sizeof(entries));
	close(fd);
	for (int i = 0; i < PAGES; i++)
		count += entries[i] >> 62 & 1;
	return count;
}

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);

	char *memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);

	CHECK_CALL(memory != MAP_FAILED);
	workload_fill(memory, PAGES * PAGE, 81);
	for (int tries = 0; tries < 20 && !swapped(memory); tries++) {
		madvise(memory, PAGES * PAGE, MADV_PAGEOUT);
		nanosleep(&(struct timespec){.tv_nsec = 100 * 1000000}, NULL);
	}
	if (!swapped(memory))
		workload_skip("nothing was swapped out: there is no swap");
	workload_ready();
	workload_wait();
	workload_check_fill(memory, PAGES * PAGE, 81, "memory that was swapped out");
	workload_pass();
}
