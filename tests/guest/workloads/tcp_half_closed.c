// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: TCP connections of which one side has ended, or both, stay so, with what is not read
 * @dump: --tcp-established
 */
#include "inet.h"

enum { PORT = 7051, SIZE = 30000 };

int main(int argc, char **argv)
{
	int half[2], sent[2], over[2], read_end[2];
	char byte;

	workload_start(argc, argv, NULL);

	int listening = inet_listening("127.0.0.1", PORT, 5);

	inet_pair(listening, "127.0.0.1", PORT, half);
	inet_pair(listening, "127.0.0.1", PORT, sent);
	inet_pair(listening, "127.0.0.1", PORT, over);
	inet_pair(listening, "127.0.0.1", PORT, read_end);
	/* FIN_WAIT2 and CLOSE_WAIT. */
	CHECK_CALL(!shutdown(half[0], SHUT_WR));
	inet_send(sent[0], 0, SIZE, 1);
	CHECK_CALL(!shutdown(sent[0], SHUT_WR));
	inet_send(sent[1], 0, SIZE, 2);
	CHECK_CALL(!shutdown(read_end[0], SHUT_WR));
	inet_check_end(read_end[1], "before the dump");
	/* CLOSE, with data that was not read. */
	inet_send(over[0], 0, SIZE, 3);
	CHECK_CALL(!shutdown(over[0], SHUT_WR) && !shutdown(over[1], SHUT_WR));
	usleep(100000);
	CHECK(inet_state(half[0]) == TCP_FIN_WAIT2 && inet_state(half[1]) == TCP_CLOSE_WAIT &&
		      inet_state(sent[0]) == TCP_FIN_WAIT2 && inet_state(over[1]) == TCP_CLOSE,
	      "states are %d, %d, %d and %d", inet_state(half[0]), inet_state(half[1]),
	      inet_state(sent[0]), inet_state(over[1]));
	workload_ready();
	workload_wait();
	CHECK(inet_state(half[0]) == TCP_FIN_WAIT2 && inet_state(half[1]) == TCP_CLOSE_WAIT,
	      "states are %d and %d", inet_state(half[0]), inet_state(half[1]));
	inet_check_end(half[1], "a connection of which one side has ended");
	CHECK(send(half[0], "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE, "the end that was shut "
									 "down sends");
	inet_send(half[1], 0, SIZE, 4);
	inet_receive(half[0], 0, SIZE, 4, "the direction that is open");
	inet_receive(sent[1], 0, SIZE, 1, "what was sent in front of the end");
	inet_check_end(sent[1], "behind what was sent");
	inet_receive(sent[0], 0, SIZE, 2, "what was sent against the end");
	inet_check_end(read_end[1], "an end that was read before");
	inet_receive(over[1], 0, SIZE, 3, "what was not read of a connection that is over");
	CHECK(recv(over[1], &byte, 1, MSG_DONTWAIT) == 0, "a connection that is over goes on");
	CHECK(inet_state(over[1]) == TCP_CLOSE, "its state is %d", inet_state(over[1]));
	close(half[1]);
	inet_check_end(half[0], "the other end");
	workload_pass();
}
