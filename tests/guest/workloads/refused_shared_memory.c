// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: processes that share memory, or a working directory, are refused
 * @expect: refused shares its memory; shares its working directory; CRIU can't restore
 */
#include "workload.h"

#include <sched.h>

static char stacks[2][65536] __attribute__((aligned(16)));

static int child(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return 0;
}

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);

	pid_t same_memory = clone(child, stacks[0] + sizeof(stacks[0]), CLONE_VM | SIGCHLD, NULL);
	pid_t same_directory =
		clone(child, stacks[1] + sizeof(stacks[1]), CLONE_FS | SIGCHLD, NULL);

	CHECK_CALL(same_memory > 0 && same_directory > 0);
	workload_ready();
	workload_wait();
	CHECK_CALL(!kill(same_memory, SIGKILL) && !kill(same_directory, SIGKILL));
	workload_pass();
}
