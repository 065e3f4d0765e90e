// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a mapping that grows downwards keeps what it has grown to, and grows on
 */
#include "workload.h"

#include <sys/mman.h>

enum { PAGE = 4096, PAGES = 40 };

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);

	/* A place with enough room below it; the kernel keeps a gap of 256 pages. */
	char *room = mmap(NULL, 4 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK_CALL(room != MAP_FAILED && !munmap(room, 4 << 20));

	char *top = room + (3 << 20);
	char *memory =
		mmap(top - PAGE, PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0);

	CHECK_CALL(memory == top - PAGE);
	for (int i = 1; i <= PAGES; i++)
		workload_fill(top - i * PAGE, PAGE, i);
	CHECK(workload_vma(memory).start == (unsigned long)top - PAGES * PAGE, "it has not grown");
	workload_ready();
	workload_wait();
	for (int i = 1; i <= PAGES; i++)
		workload_check_fill(top - i * PAGE, PAGE, i, "a page of what has grown");
	/* Touched one below the other, as a stack is. */
	for (int i = PAGES + 1; i <= 2 * PAGES; i++)
		top[-i * PAGE] = (char)i;
	CHECK(workload_vma(memory).start <= (unsigned long)top - 2 * PAGES * PAGE,
	      "it doesn't grow any more");
	workload_pass();
}
