// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: huge pages that processes share are still the same for all
 * @needs: hugetlb
 */
#include "family.h"

#include <sys/mman.h>

enum { HUGE = 2 << 20, NR = 2, SIZE = NR * HUGE };

static uint8_t *memory;

static void child(const struct family *family, int i)
{
	workload_fill(memory + i * HUGE, HUGE, 10 + i);
	family_step(family, i);
	for (int j = 0; j < NR; j++)
		workload_check_fill(memory + j * HUGE, HUGE, (j < i ? 20 : 10) + j, "huge page");
	workload_fill(memory + i * HUGE, HUGE, 20 + i);
}

int main(int argc, char **argv)
{
	struct family family;

	workload_start(argc, argv, NULL);
	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB | 21 << MAP_HUGE_SHIFT, -1, 0);
	if (memory == MAP_FAILED)
		workload_skip("%d huge pages of 2 MiB aren't free (vm.nr_hugepages)", NR);
	family_start(&family, NR, child);
	workload_ready();
	workload_wait();
	for (int i = 0; i < NR; i++) {
		family_next(&family, i);
		workload_check_fill(memory + i * HUGE, HUGE, 20 + i, "a child's huge page");
	}
	family_end(&family);
	CHECK(strstr(workload_vma(memory).flags, "ht "), "the mapping has small pages");
	workload_pass();
}
