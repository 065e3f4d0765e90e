// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest side of the snapshots: keeps the system clocks in a page that can be
 * found in RAM, so that a test can tell what the clocks were when the VM was
 * paused.
 */
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct clock_page {
	/* "OVM clock page 1", stored as two words so that this program's image doesn't hold it. */
	volatile uint64_t magic[2];
	/* Odd while the clocks are being written. */
	volatile uint64_t sequence;
	volatile uint64_t monotonic, boottime, realtime;
};

static uint64_t now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

int main(void)
{
	struct clock_page *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);

	if (page == MAP_FAILED)
		return 1;
	page->magic[0] = ~0x9c90939cdfb2a9b0ULL;
	page->magic[1] = ~0xcedf9a989e8fdf94ULL;
	for (;;) {
		page->sequence++;
		page->realtime = now(CLOCK_REALTIME);
		page->boottime = now(CLOCK_BOOTTIME);
		page->monotonic = now(CLOCK_MONOTONIC);
		page->sequence++;
	}
}
