// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: an epoll descriptor is refused, by number and kind
 * @expect: refused fd 40; eventpoll
 */
#include "workload.h"

#include <sys/epoll.h>

int main(int argc, char **argv)
{
	struct epoll_event event;
	int fd;

	workload_start(argc, argv, NULL);
	fd = epoll_create1(0);
	CHECK_CALL(fd >= 0 && dup2(fd, 40) == 40 && !close(fd));
	workload_ready();
	workload_wait();
	CHECK(!epoll_wait(40, &event, 1, 10), "an event came from nowhere");
	workload_pass();
}
