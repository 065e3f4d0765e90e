// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a lock that another process holds as well is refused, with the process
 * @expect: refused fd 40: file; is open in process; (refused_lock_sh
 */
#include "workload.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/syscall.h>

static void prepare(void)
{
	workload_make_file("data", 1000, 91);
}

int main(int argc, char **argv)
{
	workload_start(argc, argv, prepare);

	int fd = open(workload_path("data"), O_RDWR);

	CHECK_CALL(fd >= 0 && dup2(fd, 40) == 40 && !close(fd) && !flock(40, LOCK_EX));

	/* Nobody's child: its parent has ended. */
	pid_t middle = fork();

	CHECK_CALL(middle >= 0);
	if (!middle) {
		if (!fork())
			workload_wait();
		_exit(0);
	}
	CHECK_CALL(syscall(SYS_wait4, middle, NULL, 0, NULL) == middle);
	workload_ready();
	workload_wait();
	workload_pass();
}
