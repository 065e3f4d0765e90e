// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: UDP and UDP-Lite sockets, bound, connected or neither, send and receive as before
 */
#include "inet.h"

enum { BOUND = 7021, A = 7022, B = 7023, V6 = 7024, LITE = 7025, HALF = 7026, SIZE = 900 };

static void send_to(int fd, const char *text, int port, int seed)
{
	union inet_address address;
	socklen_t size = inet_make(&address, text, port);
	uint8_t data[SIZE];

	workload_fill(data, SIZE, (uint64_t)seed);
	CHECK_CALL(sendto(fd, data, SIZE, 0, &address.any, size) == SIZE);
}

static void check_message(int fd, int seed, const char *what)
{
	struct pollfd poll_fd = {fd, POLLIN, 0};
	uint8_t data[SIZE + 1];

	CHECK(poll(&poll_fd, 1, 10000) == 1, "%s: nothing comes", what);
	CHECK_CALL(recv(fd, data, sizeof(data), 0) == SIZE);
	workload_check_fill(data, SIZE, (uint64_t)seed, what);
}

static void check_nothing(int fd, const char *what)
{
	char byte;

	CHECK(recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN, "%s: it receives", what);
}

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);

	int bound = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", BOUND);
	int a = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", A);
	int b = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", B);
	int v6 = inet_bound(SOCK_DGRAM, 0, "::", V6), fresh = socket(AF_INET, SOCK_DGRAM, 0);
	int lite = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE);
	int half = inet_bound(SOCK_DGRAM, 0, "127.0.0.1", HALF);
	bool has_lite = lite >= 0;

	if (has_lite) {
		close(lite);
		lite = inet_bound(SOCK_DGRAM, IPPROTO_UDPLITE, "127.0.0.1", LITE);
	}
	inet_connect(a, "127.0.0.1", B);
	inet_connect(b, "127.0.0.1", A);
	inet_connect(half, "127.0.0.1", BOUND);
	CHECK_CALL(!shutdown(half, SHUT_WR));
	inet_set(bound, SOL_SOCKET, SO_BROADCAST, 1);
	/* Lost on the way, as any message may be. */
	send_to(fresh, "127.0.0.1", BOUND, 99);
	workload_ready();
	workload_wait();
	inet_check_name(a, false, "127.0.0.1", A);
	inet_check_name(a, true, "127.0.0.1", B);
	inet_check_name(bound, false, "127.0.0.1", BOUND);
	inet_check_name(v6, false, "::", V6);
	inet_check_option(bound, SOL_SOCKET, SO_BROADCAST, 1);
	inet_check_option(a, SOL_SOCKET, SO_BROADCAST, 0);
	send(a, "", 0, 0);
	CHECK_CALL(recv(b, &(char){0}, 1, 0) == 0);
	send_to(fresh, "127.0.0.1", B, 1);
	check_nothing(b, "a connected socket, from a stranger");
	send_to(b, "127.0.0.1", A, 2);
	check_message(a, 2, "a connected socket");
	send_to(b, "127.0.0.1", BOUND, 3);
	check_message(bound, 3, "a bound socket");
	send_to(bound, "127.0.0.1", V6, 4);
	check_message(v6, 4, "a socket of both families");
	CHECK(send(half, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE, "a socket that was shut down "
								      "sends");
	if (has_lite) {
		inet_check_option(lite, SOL_SOCKET, SO_PROTOCOL, IPPROTO_UDPLITE);
		send_to(lite, "127.0.0.1", LITE, 5);
		check_message(lite, 5, "UDP-Lite");
	}
	workload_pass();
}
