// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: shared memory has its contents, and two mappings of it are still of the same memory
 */
#include "workload.h"

#include <sys/mman.h>

enum { PAGE = 4096, SIZE = 8 << 20 };

static uint8_t *map(int flags)
{
	void *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	CHECK_CALL(memory != MAP_FAILED);
	return memory;
}

int main(int argc, char **argv)
{
	static const uint8_t zero[PAGE];

	workload_start(argc, argv, NULL);

	uint8_t *first = map(MAP_SHARED), *other = map(MAP_SHARED);
	/* An old size of 0 makes a second mapping of shared memory: here of its upper half. */
	uint8_t *second = mremap(first + SIZE / 2, 0, SIZE / 2, MREMAP_MAYMOVE);

	CHECK_CALL(second != MAP_FAILED);
	/* Every third page is a hole. */
	for (int i = 0; i < SIZE / PAGE; i++)
		if (i % 3)
			workload_fill(first + i * PAGE, PAGE, i);
	workload_fill(other, SIZE, 99999);
	workload_ready();
	workload_wait();
	for (int i = 0; i < SIZE / PAGE; i++)
		if (i % 3)
			workload_check_fill(first + i * PAGE, PAGE, i, "a page of data");
		else
			CHECK(!memcmp(first + i * PAGE, zero, PAGE), "page %d isn't a hole", i);
	workload_check_fill(other, SIZE, 99999, "the other memory");
	CHECK(!memcmp(first + SIZE / 2, second, SIZE / 2), "the two mappings differ");
	memset(second, 0x5a, SIZE / 2);
	CHECK(first[SIZE / 2] == 0x5a && first[SIZE - 1] == 0x5a,
	      "what is written to one mapping isn't in the other");
	workload_check_fill(other, SIZE, 99999, "the other memory after that");
	CHECK(strchr(workload_vma(first).prot, 's'), "the memory is no longer shared");
	workload_pass();
}
