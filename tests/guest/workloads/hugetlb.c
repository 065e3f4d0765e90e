// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: private and shared mappings of hugetlb pages come back as such
 * @needs: hugetlb
 */
#include "workload.h"

#include <sys/mman.h>

enum { HUGE = 2 << 20, COUNT = 2, SIZE = HUGE * COUNT };

static uint8_t *map(int flags)
{
	void *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
			    flags | MAP_ANONYMOUS | MAP_HUGETLB | 21 << MAP_HUGE_SHIFT, -1, 0);

	if (memory == MAP_FAILED)
		workload_skip("%d huge pages of 2 MiB aren't free (vm.nr_hugepages)", 2 * COUNT);
	return memory;
}

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);

	uint8_t *private = map(MAP_PRIVATE), *shared = map(MAP_SHARED);

	workload_fill(private, SIZE, 1);
	workload_fill(shared, SIZE, 2);
	workload_ready();
	workload_wait();
	workload_check_fill(private, SIZE, 1, "private huge pages");
	workload_check_fill(shared, SIZE, 2, "shared huge pages");
	CHECK(strstr(workload_vma(private).flags, "ht "), "the private mapping has small pages");
	CHECK(strstr(workload_vma(shared).flags, "ht "), "the shared mapping has small pages");
	CHECK(strchr(workload_vma(shared).prot, 's'), "the shared mapping became private");
	workload_pass();
}
