// SPDX-License-Identifier: GPL-2.0-only
/*
 * A neighbour in the guest: wakes up every PERIOD microseconds and counts it, in a page that the
 * host finds in the guest's RAM by the eight words in front of the counter.
 *
 *	probe PERIOD SEED
 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum { WORDS = 8 };

int main(int argc, char **argv)
{
	long period = argc > 1 ? atol(argv[1]) * 1000 : 1000000;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	volatile uint64_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);

	if (page == MAP_FAILED)
		return 1;
	for (unsigned int i = 0; i < WORDS; i++)
		page[i] = seed += UINT64_C(0x9e3779b97f4a7c15);
	for (;;) {
		nanosleep(&(struct timespec){.tv_nsec = period}, NULL);
		page[WORDS]++;
	}
}
