// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a datagram socket keeps what was sent to it before it was connected to another one
 */
#include "unix.h"

static const char sender_name[] = "\0ovm-gpu/sender", receiver_name[] = "\0ovm-gpu/receiver";

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);

	int receiver = unix_bound(SOCK_DGRAM, receiver_name, sizeof(receiver_name) - 1);
	int sender = unix_bound(SOCK_DGRAM, sender_name, sizeof(sender_name) - 1);
	int other = socket(AF_UNIX, SOCK_DGRAM, 0);

	CHECK_CALL(other >= 0);
	unix_connect(other, sender_name, sizeof(sender_name) - 1);
	unix_send_message(other, 10, 1);
	CHECK_CALL(!close(other));
	unix_connect(sender, receiver_name, sizeof(receiver_name) - 1);
	workload_ready();
	workload_wait();
	unix_message(sender, 10, 1, "what was sent before");
	unix_send_message(sender, 20, 2);
	unix_message(receiver, 20, 2, "what is sent after");
	workload_pass();
}
