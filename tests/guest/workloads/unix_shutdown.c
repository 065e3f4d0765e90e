// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: pairs that are shut down in one direction or both, or have lost one end, stay so
 */
#include "unix.h"

enum { LENGTH = 5000 };

static void pair(int ends[2], int type)
{
	CHECK_CALL(!socketpair(AF_UNIX, type, 0, ends));
	unix_send(ends[0], 0, LENGTH, LENGTH, 1);
	unix_send(ends[1], 0, LENGTH, LENGTH, 2);
}

static void check_end(int fd, uint64_t seed, const char *what)
{
	char byte;

	unix_receive(fd, 0, LENGTH, seed, what);
	CHECK(!recv(fd, &byte, 1, MSG_DONTWAIT), "%s: the end is not there", what);
}

static void check_no_sending(int fd, const char *what)
{
	CHECK(send(fd, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE,
	      "%s: could be written to, or: %s", what, strerror(errno));
}

int main(int argc, char **argv)
{
	int half[2], packets[2], both[2], orphan[2];

	workload_start(argc, argv, NULL);
	pair(half, SOCK_STREAM);
	CHECK_CALL(!shutdown(half[0], SHUT_WR));
	pair(packets, SOCK_SEQPACKET);
	CHECK_CALL(!shutdown(packets[1], SHUT_WR));
	pair(both, SOCK_STREAM);
	CHECK_CALL(!shutdown(both[0], SHUT_RDWR));
	CHECK_CALL(!socketpair(AF_UNIX, SOCK_STREAM, 0, orphan));
	unix_send(orphan[1], 0, LENGTH, 1000, 5);
	CHECK_CALL(!close(orphan[1]));
	workload_ready();
	workload_wait();
	check_end(half[1], 1, "after SHUT_WR");
	check_no_sending(half[0], "after SHUT_WR");
	unix_receive(half[0], 0, LENGTH, 2, "against SHUT_WR");
	unix_send(half[1], 0, LENGTH, LENGTH, 3);
	unix_receive(half[0], 0, LENGTH, 3, "against SHUT_WR, later");
	check_end(packets[0], 2, "packets after SHUT_WR");
	check_no_sending(packets[1], "packets after SHUT_WR");
	check_end(both[0], 2, "after SHUT_RDWR");
	check_end(both[1], 1, "after SHUT_RDWR, other end");
	check_no_sending(both[0], "after SHUT_RDWR");
	check_no_sending(both[1], "after SHUT_RDWR, other end");
	check_end(orphan[0], 5, "after the other end is closed");
	check_no_sending(orphan[0], "after the other end is closed");
	workload_pass();
}
