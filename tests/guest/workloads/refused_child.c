// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a process that has a child is refused
 * @expect: refused child
 */
#include "workload.h"

#include <sys/prctl.h>
#include <sys/wait.h>

static void child(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	int status;

	workload_start(argc, argv, NULL);

	pid_t pid = fork();

	CHECK_CALL(pid >= 0);
	if (!pid)
		child();
	workload_ready();
	workload_wait();
	CHECK(!kill(pid, SIGKILL) && waitpid(pid, &status, 0) == pid, "the child was lost");
	workload_pass();
}
