// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: memory in transparent huge pages comes back, whole ones and such with holes around
 * @needs: thp
 */
#include "workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { PAGE = 4096, HUGE = 2 << 20, COUNT = 8 };

/* Memory of this process that is in huge pages, KiB. */
static long huge_kib(void)
{
	static char text[4096];
	const char *found;

	workload_proc("smaps_rollup", text, sizeof(text));
	found = strstr(text, "AnonHugePages:");
	return found ? atol(found + strlen("AnonHugePages:")) : 0;
}

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);

	char *room = mmap(NULL, (COUNT + 1) * HUGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK_CALL(room != MAP_FAILED);

	char *memory = (char *)(((uintptr_t)room + HUGE - 1) & -(uintptr_t)HUGE);

	if (madvise(memory, COUNT * HUGE, MADV_HUGEPAGE))
		workload_skip("the kernel has no transparent huge pages");
	/* One is read only, and so the huge zero page; one isn't touched. */
	for (int i = 0; i < COUNT - 2; i++)
		workload_fill(memory + i * HUGE, HUGE, i);
	CHECK(!*(volatile char *)(memory + (COUNT - 2) * HUGE), "new memory isn't zero");
	if (huge_kib() < HUGE >> 10)
		workload_skip("no huge page was given");
	/* Take some apart: a page of another protection in one, a hole in another. */
	CHECK_CALL(!mprotect(memory + HUGE + 5 * PAGE, PAGE, PROT_READ));
	CHECK_CALL(!madvise(memory + 2 * HUGE + 9 * PAGE, PAGE, MADV_DONTNEED));
	workload_ready();
	workload_wait();
	for (int i = 0; i < COUNT - 2; i++)
		if (i != 2)
			workload_check_fill(memory + i * HUGE, HUGE, i, "a huge page");
	for (int i = 0; i < HUGE; i++) {
		CHECK(!memory[(COUNT - 2) * HUGE + i], "the huge zero page isn't zero");
		CHECK(!memory[(COUNT - 1) * HUGE + i], "the untouched one isn't zero");
	}
	for (int i = 0; i < PAGE; i++)
		CHECK(!memory[2 * HUGE + 9 * PAGE + i], "the hole isn't one");
	workload_check_fill(memory + 2 * HUGE, 9 * PAGE, 2, "the huge page with a hole");
	CHECK(!strcmp(workload_vma(memory + HUGE + 5 * PAGE).prot, "r--p"),
	      "the page of another protection is as the others");
	workload_pass();
}
