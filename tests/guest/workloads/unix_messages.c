// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: datagram and sequenced-packet sockets keep messages and their boundaries
 */
#include "unix.h"

enum { NR = 5 };

static const size_t lengths[NR] = {1, 4095, 4097, 60000, 33};
static const int types[] = {SOCK_DGRAM, SOCK_SEQPACKET};

static void check(const int ends[2], const char *what)
{
	for (unsigned int i = 0; i < NR; i++)
		unix_message(ends[1], lengths[i], 1 + i, what);
	unix_check_empty(ends[1], what);
	unix_message(ends[0], 777, 20, what);
	unix_check_empty(ends[0], what);
	unix_send_message(ends[0], 100000, 30);
	unix_message(ends[1], 100000, 30, what);
	unix_send_message(ends[1], 20, 31);
	unix_message(ends[0], 20, 31, what);
}

int main(int argc, char **argv)
{
	int ends[2][2];

	workload_start(argc, argv, NULL);
	for (unsigned int t = 0; t < 2; t++) {
		CHECK_CALL(!socketpair(AF_UNIX, types[t], 0, ends[t]));
		for (unsigned int i = 0; i < NR; i++)
			unix_send_message(ends[t][0], lengths[i], 1 + i);
		unix_send_message(ends[t][1], 777, 20);
	}
	workload_ready();
	workload_wait();
	check(ends[0], "datagrams");
	check(ends[1], "sequenced packets");
	workload_pass();
}
