// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: locked memory comes back locked, with its contents, and what wasn't stays so
 */
#include "workload.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { PAGE = 4096, SIZE = 64 * PAGE };

static long locked_kib(void)
{
	static char text[8192];
	const char *found;

	workload_proc("status", text, sizeof(text));
	found = strstr(text, "VmLck:");
	return found ? atol(found + strlen("VmLck:")) : -1;
}

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);

	char *memory =
		mmap(NULL, 3 * SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK_CALL(memory != MAP_FAILED);
	workload_fill(memory, 3 * SIZE, 5);
	CHECK_CALL(!mlock(memory + SIZE, SIZE));
	CHECK(locked_kib() == SIZE >> 10, "%ld KiB are locked before", locked_kib());
	workload_ready();
	workload_wait();
	workload_check_fill(memory, 3 * SIZE, 5, "memory");
	CHECK(locked_kib() == SIZE >> 10, "%ld KiB are locked, %d were", locked_kib(), SIZE >> 10);
	CHECK(strstr(workload_vma(memory + SIZE).flags, "lo "), "the memory isn't locked");
	CHECK(!strstr(workload_vma(memory).flags, "lo "), "the memory below is locked");
	CHECK(!strstr(workload_vma(memory + 2 * SIZE).flags, "lo "), "the memory above is locked");
	workload_pass();
}
