// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a parent and a child that share their descriptors (CLONE_FILES) still do
 */
#include "workload.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>

static char stack[65536] __attribute__((aligned(16)));
static int turns[2], replies[2];

/* Opens what the parent then finds, and closes what it has opened. */
static int child(void *arg)
{
	int fd;

	(void)arg;

	CHECK_CALL(read(turns[0], &fd, sizeof(fd)) == sizeof(fd));
	CHECK_CALL(!close(fd));
	fd = fcntl(turns[0], F_DUPFD, 77);
	CHECK_CALL(write(replies[1], &fd, sizeof(fd)) == sizeof(fd));
	pause();
	return 0;
}

int main(int argc, char **argv)
{
	int fd, mine;

	workload_start(argc, argv, NULL);
	CHECK_CALL(!pipe(turns) && !pipe(replies));
	mine = open("/dev/null", O_RDONLY);
	CHECK_CALL(mine >= 0);

	pid_t pid = clone(child, stack + sizeof(stack), CLONE_FILES | SIGCHLD, NULL);

	CHECK_CALL(pid > 0);
	workload_ready();
	workload_wait();
	CHECK_CALL(write(turns[1], &mine, sizeof(mine)) == sizeof(mine));
	CHECK_CALL(read(replies[0], &fd, sizeof(fd)) == sizeof(fd));
	CHECK(fcntl(mine, F_GETFD) < 0 && errno == EBADF, "what the child closes stays open");
	CHECK(fd >= 77 && fcntl(fd, F_GETFD) >= 0, "what the child opens is not open");
	CHECK_CALL(!kill(pid, SIGKILL));
	workload_pass();
}
