// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: what can't be sent again is refused: some files, credentials, urgent data, early data
 * @expect: refused fd 40; no socket is connected both ways; fd 41; SO_PASSCRED; fd 42; MSG_OOB; fd
 * 43; data was sent; fd 44; its other end; on its way to fd 45; an epoll instance
 */
#include "unix.h"

#include <sys/epoll.h>

static const char name[] = "\0ovm-gpu-early";

static int pair(int type, int number)
{
	int ends[2];

	CHECK_CALL(!socketpair(AF_UNIX, type, 0, ends));
	CHECK_CALL(dup2(ends[1], number) == number && !close(ends[1]));
	return ends[0];
}

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);

	int other = pair(SOCK_STREAM, 40);

	unix_pass(other, 1, (int[2]){0, 1}, 2);
	CHECK_CALL(!close(other));
	other = pair(SOCK_STREAM, 44);
	unix_pass(other, 1, &other, 1);
	CHECK_CALL(!close(other));
	other = pair(SOCK_SEQPACKET, 45);

	int epoll = epoll_create1(0);

	CHECK_CALL(!epoll_ctl(epoll, EPOLL_CTL_ADD, 45, &(struct epoll_event){.events = EPOLLIN}));
	unix_pass(other, 1, &epoll, 1);
	CHECK_CALL(!close(epoll));
	other = pair(SOCK_DGRAM, 41);

	CHECK_CALL(!setsockopt(41, SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int)));
	CHECK_CALL(send(other, "x", 1, 0) == 1);
	other = pair(SOCK_STREAM, 42);
	if (send(other, "x", 1, MSG_OOB) != 1)
		workload_skip("MSG_OOB (Linux 5.15): %s", strerror(errno));

	int listener = unix_bound(SOCK_STREAM, name, sizeof(name) - 1);
	int early = socket(AF_UNIX, SOCK_STREAM, 0);

	CHECK_CALL(dup2(listener, 43) == 43 && !close(listener) && !listen(43, 5));
	unix_connect(early, name, sizeof(name) - 1);
	CHECK_CALL(send(early, "x", 1, 0) == 1);
	workload_ready();
	workload_wait();
	workload_pass();
}
