// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: messages without a byte wait, too
 * @criu_dump: no criu takes the first of them for the end of the queue
 */
#include "unix.h"

static const int types[] = {SOCK_DGRAM, SOCK_SEQPACKET};

int main(int argc, char **argv)
{
	int ends[2][2];

	workload_start(argc, argv, NULL);
	for (unsigned int t = 0; t < 2; t++) {
		CHECK_CALL(!socketpair(AF_UNIX, types[t], 0, ends[t]));
		unix_send_message(ends[t][0], 0, 1);
		unix_send_message(ends[t][0], 10, 2);
		unix_send_message(ends[t][0], 0, 3);
	}
	workload_ready();
	workload_wait();
	for (unsigned int t = 0; t < 2; t++) {
		unix_message(ends[t][1], 0, 1, "the first message");
		unix_message(ends[t][1], 10, 2, "the second message");
		unix_message(ends[t][1], 0, 3, "the third message");
		unix_check_empty(ends[t][1], "behind the messages");
	}
	workload_pass();
}
