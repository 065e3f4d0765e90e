// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: mappings of every protection, PROT_NONE too, keep it and their contents
 */
#include "workload.h"

#include <sys/mman.h>

enum { PAGE = 4096, PAGES = 16, SIZE = PAGES * PAGE, KINDS = 8 };

static const char *prot_of(int kind)
{
	static const char *const names[KINDS] = {"---p", "r--p", "-w-p", "rw-p",
						 "--xp", "r-xp", "-wxp", "rwxp"};

	return names[kind];
}

int main(int argc, char **argv)
{
	char *memory[KINDS];

	workload_start(argc, argv, NULL);
	for (int i = 0; i < KINDS; i++) {
		/* A guard page on each side keeps the kernel from merging neighbours. */
		memory[i] =
			mmap(NULL, SIZE + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK_CALL(memory[i] != MAP_FAILED);
		memory[i] += PAGE;
		CHECK_CALL(!mprotect(memory[i], SIZE, PROT_READ | PROT_WRITE));
		workload_fill(memory[i], SIZE, i);
		/* And a page without any. */
		CHECK_CALL(!madvise(memory[i] + 3 * PAGE, PAGE, MADV_DONTNEED));
		CHECK_CALL(!mprotect(memory[i], SIZE, i));
	}
	workload_ready();
	workload_wait();
	for (int i = 0; i < KINDS; i++) {
		struct workload_vma vma = workload_vma(memory[i]);

		CHECK(!strcmp(vma.prot, prot_of(i)), "a mapping is %s, was %s", vma.prot,
		      prot_of(i));
		CHECK_CALL(!mprotect(memory[i], SIZE, PROT_READ | PROT_WRITE));
		workload_check_fill(memory[i], 3 * PAGE, i, prot_of(i));
		for (int j = 0; j < PAGE; j++)
			CHECK(!memory[i][3 * PAGE + j], "%s: the page without contents has some",
			      prot_of(i));
		memory[i][3 * PAGE] = 1;
		workload_fill(memory[i] + 3 * PAGE, PAGE, 50);
		static char expected[SIZE];

		workload_fill(expected, SIZE, i);
		CHECK(!memcmp(memory[i] + 4 * PAGE, expected + 4 * PAGE, SIZE - 4 * PAGE),
		      "%s: the pages behind the hole have other contents", prot_of(i));
	}
	workload_pass();
}
