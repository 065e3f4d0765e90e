// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: TCP connections that wait, or that nobody asked for, are refused by name
 * @expect: refused fd 40: TCP socket (inode; 127.0.0.1:7031); is connected to 127.0.0.1:;
 * --tcp-established; fd 42: TCP socket; listens, and 1 connections wait; fd 43: TCP socket; was
 * connected to 127.0.0.1:7031
 */
#include "inet.h"

enum { PORT = 7031, OTHER = 7032 };

int main(int argc, char **argv)
{
	int pair[2], closed[2];

	workload_start(argc, argv, NULL);

	int listening = inet_listening("127.0.0.1", PORT, 5);
	int other = inet_listening("127.0.0.1", OTHER, 5);

	inet_pair(listening, "127.0.0.1", PORT, pair);
	inet_pair(listening, "127.0.0.1", PORT, closed);
	CHECK_CALL(dup2(pair[1], 40) == 40 && !close(pair[1]) && dup2(other, 42) == 42 &&
		   !close(other) && dup2(closed[0], 43) == 43 && !close(closed[0]));
	/* A reset. */
	CHECK_CALL(!setsockopt(closed[1], SOL_SOCKET, SO_LINGER, &(struct linger){1, 0},
			       sizeof(struct linger)));
	close(closed[1]);

	int waiting = inet_client("127.0.0.1", OTHER);

	workload_ready();
	workload_wait();
	inet_send(pair[0], 0, 100, 1);
	inet_receive(40, 0, 100, 1, "a connection that was not saved");
	CHECK_CALL(accept(42, NULL, NULL) >= 0);
	close(waiting);
	workload_pass();
}
