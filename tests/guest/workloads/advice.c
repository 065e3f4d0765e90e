// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: what was advised on memory (madvise) is kept
 */
#include "workload.h"

#include <sys/mman.h>

enum { PAGE = 4096, SIZE = 16 * PAGE };

static const struct advice {
	int advice;
	/* The word that VmFlags then has. */
	const char *flag;
} advices[] = {
	{MADV_SEQUENTIAL, "sr "}, {MADV_RANDOM, "rr "},	  {MADV_DONTFORK, "dc "},
	{MADV_DONTDUMP, "dd "},	  {MADV_HUGEPAGE, "hg "}, {MADV_NOHUGEPAGE, "nh "},
	{MADV_MERGEABLE, "mg "},  {MADV_NORMAL, NULL},
};

enum { ADVICES = sizeof(advices) / sizeof(*advices) };

static bool has(const void *memory, int i)
{
	return advices[i].flag && strstr(workload_vma(memory).flags, advices[i].flag);
}

int main(int argc, char **argv)
{
	char *memory[ADVICES];
	bool known[ADVICES];

	workload_start(argc, argv, NULL);
	for (int i = 0; i < ADVICES; i++) {
		memory[i] =
			mmap(NULL, SIZE + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK_CALL(memory[i] != MAP_FAILED);
		memory[i] += PAGE;
		CHECK_CALL(!mprotect(memory[i], SIZE, PROT_READ | PROT_WRITE));
		workload_fill(memory[i], SIZE, i);
		/* A kernel may lack huge pages or same-page merging. */
		known[i] = !madvise(memory[i], SIZE, advices[i].advice) && has(memory[i], i);
	}
	workload_ready();
	workload_wait();
	for (int i = 0; i < ADVICES; i++) {
		workload_check_fill(memory[i], SIZE, i, "advised memory");
		for (int j = 0; j < ADVICES; j++)
			CHECK(has(memory[i], j) == (i == j && known[i]),
			      "advice %d is %s on memory with advice %d", advices[j].advice,
			      i == j ? "no longer" : "now", advices[i].advice);
	}
	CHECK(known[0] && known[1] && known[2] && known[3], "VmFlags doesn't show advice");
	workload_pass();
}
