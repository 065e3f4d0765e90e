// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a sleep whose place for the time left is in a page of zeroes goes on uninterrupted
 * @timed
 * @frozen
 */
#include "workload.h"

#include <sys/mman.h>

enum { PAGE = 4096 };

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);

	char *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct timespec request = workload_timespec(workload_timeout());
	int64_t deadline = workload_now() + workload_timeout();

	CHECK_CALL(memory != MAP_FAILED);
	memory[0] = 1;
	memory[0] = 0;
	workload_ready();
	CHECK_CALL(!nanosleep(&request, (struct timespec *)(memory + PAGE / 2)));
	workload_check_deadline(deadline);
	workload_pass();
}
