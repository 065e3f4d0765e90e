// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: an epoll instance is refused if it waits for what only another process has open
 * @expect: refused fd 40: epoll instance waits for a file that was fd 41
 */
#include "workload.h"

#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>

int main(int argc, char **argv)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 1234};
	int fd, ends[2];

	workload_start(argc, argv, NULL);
	fd = epoll_create1(EPOLL_CLOEXEC);
	CHECK_CALL(fd >= 0 && dup2(fd, 40) == 40 && !close(fd));
	CHECK_CALL(!pipe(ends) && dup2(ends[0], 41) == 41 && !close(ends[0]));
	CHECK_CALL(!epoll_ctl(40, EPOLL_CTL_ADD, 41, &event));

	pid_t child = fork();

	CHECK_CALL(child >= 0);
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(40);
		for (;;)
			pause();
	}
	CHECK_CALL(!close(41));
	workload_ready();
	workload_wait();
	CHECK_CALL(write(ends[1], "x", 1) == 1);
	CHECK(epoll_wait(40, &event, 1, 10000) == 1 && event.data.u64 == 1234, "the event is lost");
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	workload_pass();
}
