// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a pair of stream sockets keeps what waits in both directions, and stays connected
 */
#include "unix.h"

enum {
	/* One direction with parts of many sizes, the other with many small ones. */
	LENGTH = 150000,
	SMALL = 700,
	READ_BEFORE = 12345,
	LATER = 50000,
};

int main(int argc, char **argv)
{
	int ends[2];

	workload_start(argc, argv, NULL);
	CHECK_CALL(!socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	unix_send(ends[0], 0, 1, 1, 1);
	unix_send(ends[0], 1, 100, 100, 1);
	unix_send(ends[0], 100, 40000, 4096, 1);
	unix_send(ends[0], 40000, LENGTH, 100000, 1);
	unix_send(ends[1], 0, SMALL, 7, 2);
	/* The end of what was read lies within a part. */
	unix_receive(ends[1], 0, READ_BEFORE, 1, "before");
	workload_ready();
	workload_wait();
	unix_receive(ends[1], READ_BEFORE, LENGTH, 1, "first direction");
	unix_receive(ends[0], 0, SMALL, 2, "second direction");
	unix_check_empty(ends[0], "second direction");
	unix_check_empty(ends[1], "first direction");
	unix_send(ends[0], 0, LATER, LATER, 3);
	unix_receive(ends[1], 0, LATER, 3, "after the restore");
	unix_send(ends[1], 0, LATER, LATER, 4);
	unix_receive(ends[0], 0, LATER, 4, "after the restore, back");
	CHECK(!close(ends[0]) && !recv(ends[1], (char[1]){0}, 1, 0),
	      "the other end doesn't notice that one is closed");
	workload_pass();
}
