// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: listening TCP sockets accept connections, with their addresses, backlog and options
 */
#include "inet.h"

enum { PORT = 7001, BOTH_PORT = 7002, V6_PORT = 7003, SIZE = 5000 };

static void try(int listening, const char *text, int port)
{
	int pair[2];

	inet_pair(listening, text, port, pair);
	inet_check_name(pair[0], true, text, port);
	inet_send(pair[0], 0, SIZE, 1);
	inet_receive(pair[1], 0, SIZE, 1, text);
	inet_send(pair[1], 0, SIZE, 2);
	inet_receive(pair[0], 0, SIZE, 2, text);
	close(pair[0]);
	inet_check_end(pair[1], text);
	close(pair[1]);
}

static void check_refuses(const char *text, int port)
{
	union inet_address address;
	socklen_t size = inet_make(&address, text, port);
	int fd = socket(address.any.sa_family, SOCK_STREAM, 0);

	CHECK(connect(fd, &address.any, size) < 0 && errno == ECONNREFUSED,
	      "something listens at %s port %d", text, port);
	close(fd);
}

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);

	int v4 = inet_listening("127.0.0.1", PORT, 3), both = inet_listening("::", BOTH_PORT, 7);
	int v6 = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0), many[4];
	union inet_address address;
	socklen_t size = inet_make(&address, "::", V6_PORT);

	inet_set(v6, SOL_IPV6, IPV6_V6ONLY, 1);
	inet_set(v6, SOL_SOCKET, SO_REUSEPORT, 1);
	CHECK_CALL(!bind(v6, &address.any, size) && !listen(v6, 5));
	inet_set(v4, SOL_SOCKET, SO_KEEPALIVE, 1);
	inet_set(v4, SOL_TCP, TCP_KEEPIDLE, 77);
	inet_set(v4, SOL_TCP, TCP_KEEPINTVL, 7);
	inet_set(v4, SOL_TCP, TCP_KEEPCNT, 3);
	CHECK_CALL(dup2(v4, 40) == 40);
	workload_ready();
	workload_wait();
	inet_check_name(v4, false, "127.0.0.1", PORT);
	inet_check_name(both, false, "::", BOTH_PORT);
	inet_check_option(v6, SOL_IPV6, IPV6_V6ONLY, 1);
	inet_check_option(both, SOL_IPV6, IPV6_V6ONLY, 0);
	inet_check_option(v6, SOL_SOCKET, SO_REUSEPORT, 1);
	inet_check_option(v6, SOL_SOCKET, SO_REUSEADDR, 0);
	inet_check_option(v4, SOL_SOCKET, SO_REUSEPORT, 0);
	inet_check_option(v4, SOL_SOCKET, SO_REUSEADDR, 1);
	inet_check_option(v4, SOL_SOCKET, SO_KEEPALIVE, 1);
	inet_check_option(both, SOL_SOCKET, SO_KEEPALIVE, 0);
	inet_check_option(v4, SOL_TCP, TCP_KEEPIDLE, 77);
	inet_check_option(v4, SOL_TCP, TCP_KEEPINTVL, 7);
	inet_check_option(v4, SOL_TCP, TCP_KEEPCNT, 3);
	inet_check_option(both, SOL_TCP, TCP_KEEPIDLE, 7200);
	CHECK(fcntl(v6, F_GETFL) & O_NONBLOCK && !(fcntl(v4, F_GETFL) & O_NONBLOCK),
	      "the flags of a socket are lost");
	try(40, "127.0.0.1", PORT);
	try(both, "127.0.0.1", BOTH_PORT);
	try(both, "::1", BOTH_PORT);
	try(v6, "::1", V6_PORT);
	check_refuses("127.0.0.1", V6_PORT);

	/* A backlog of 3 has room for 4 connections; what comes beyond waits. */
	for (int i = 0; i < 4; i++)
		many[i] = inet_client("127.0.0.1", PORT);
	int more = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct pollfd poll_fd = {more, POLLOUT, 0};

	size = inet_make(&address, "127.0.0.1", PORT);
	CHECK(connect(more, &address.any, size) < 0 && errno == EINPROGRESS &&
		      !poll(&poll_fd, 1, 200),
	      "more connections wait than the backlog allows");
	for (int i = 0; i < 4; i++)
		close(many[i]);
	workload_pass();
}
