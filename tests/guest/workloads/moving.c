// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: memory that the kernel moves, merges and makes huge comes back
 *
 * $WORKLOAD_MIB says how much of it there is.
 */
#include "workload.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { PAGE = 4096, MIB = 1 << 20, DEFAULT_MIB = 24, ALIKE = 16 };

/*
 * Pages that are all different, for compaction; pages of which many are alike, to be merged; and
 * every other page, whose gaps are filled with zeroes when they become huge ones.
 */
enum area { PLAIN, MERGEABLE, SPARSE, AREAS };

static uint64_t seed(enum area area, size_t page)
{
	if (area == MERGEABLE && page % 4)
		return page % ALIKE;
	return page + ((uint64_t)(area + 1) << 32);
}

static bool has_data(enum area area, size_t page)
{
	return area != SPARSE || page % 2;
}

static char *make(enum area area, size_t pages)
{
	char *memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);

	CHECK_CALL(memory != MAP_FAILED);
	/* Not before the kernel gets at it. */
	madvise(memory, pages * PAGE, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < pages; i++)
		if (has_data(area, i))
			workload_fill(memory + i * PAGE, PAGE, seed(area, i));
	if (area != PLAIN)
		madvise(memory, pages * PAGE, area == MERGEABLE ? MADV_MERGEABLE : MADV_HUGEPAGE);
	return memory;
}

static void check(const char *memory, enum area area, size_t pages)
{
	static const char zero[PAGE];
	static const char *const names[] = {"plain memory", "memory with pages alike",
					    "memory with gaps"};

	for (size_t i = 0; i < pages; i++) {
		if (has_data(area, i))
			workload_check_fill(memory + i * PAGE, PAGE, seed(area, i), names[area]);
		else
			CHECK(!memcmp(memory + i * PAGE, zero, PAGE), "gap %zu isn't zero", i);
	}
}

int main(int argc, char **argv)
{
	const char *mib = getenv("WORKLOAD_MIB");
	size_t pages = (mib ? strtoul(mib, NULL, 10) : DEFAULT_MIB) * (MIB / PAGE) / AREAS;
	char *memory[AREAS];

	workload_start(argc, argv, NULL);
	for (enum area area = 0; area < AREAS; area++)
		memory[area] = make(area, pages);
	workload_ready();
	workload_wait();
	for (enum area area = 0; area < AREAS; area++)
		check(memory[area], area, pages);
	workload_pass();
}
