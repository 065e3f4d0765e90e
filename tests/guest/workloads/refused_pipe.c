// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a pipe that another process has open too is refused, with the process
 * @expect: refused fd 40: pipe; is open in process; (refused_pipe) as well
 */
#include "workload.h"

#include <sys/prctl.h>
#include <sys/syscall.h>

int main(int argc, char **argv)
{
	int ends[2];

	workload_start(argc, argv, NULL);
	CHECK_CALL(!pipe(ends) && dup2(ends[0], 40) == 40 && !close(ends[0]));

	/* Nobody's child: its parent has ended. */
	pid_t middle = fork();

	CHECK_CALL(middle >= 0);
	if (!middle) {
		if (!fork()) {
			close(40);
			workload_wait();
		}
		_exit(0);
	}
	CHECK_CALL(syscall(SYS_wait4, middle, NULL, 0, NULL) == middle);
	workload_ready();
	workload_wait();
	workload_pass();
}
