// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: what can't be sent again is refused: descriptors, credentials, urgent data, early data
 * @expect: refused fd 40; 2 descriptors; fd 41; SO_PASSCRED; fd 42; MSG_OOB; fd 43; data was sent
 */
#include "unix.h"

static const char name[] = "\0ovm-gpu-early";

static void send_descriptors(int fd)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(2 * sizeof(int))];
	} control = {.header = {CMSG_LEN(2 * sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct iovec iov = {"x", 1};
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control.space),
	};

	memcpy(CMSG_DATA(&control.header), (int[2]){0, 1}, 2 * sizeof(int));
	CHECK_CALL(sendmsg(fd, &message, 0) == 1);
}

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
	send_descriptors(pair(SOCK_STREAM, 40));

	int other = pair(SOCK_DGRAM, 41);

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
