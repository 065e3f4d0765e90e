// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: TCP sockets that were never connected, bound or not, can be used as before
 */
#include "inet.h"

enum { BOUND_PORT = 7011, PORT = 7012 };

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);

	int fresh = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int bound = inet_bound(SOCK_STREAM, 0, "127.0.0.1", BOUND_PORT);
	int six = socket(AF_INET6, SOCK_STREAM, 0);
	union inet_address address;
	socklen_t size;

	CHECK_CALL(fresh >= 0 && six >= 0);
	inet_set(fresh, SOL_TCP, TCP_KEEPIDLE, 33);
	inet_set(fresh, SOL_SOCKET, SO_RCVBUF, 30000);
	inet_set(fresh, SOL_IP, IP_FREEBIND, 1);
	workload_ready();
	workload_wait();
	inet_check_option(fresh, SOL_TCP, TCP_KEEPIDLE, 33);
	inet_check_option(fresh, SOL_SOCKET, SO_RCVBUF, 60000);
	inet_check_option(fresh, SOL_IP, IP_FREEBIND, 1);
	inet_check_option(bound, SOL_IP, IP_FREEBIND, 0);
	inet_check_name(fresh, false, "0.0.0.0", 0);
	inet_check_name(bound, false, "127.0.0.1", BOUND_PORT);

	int listening = inet_listening("127.0.0.1", PORT, 5), pair[2];

	inet_connect(bound, "127.0.0.1", PORT);
	pair[0] = accept(listening, NULL, NULL);
	inet_check_name(pair[0], true, "127.0.0.1", BOUND_PORT);
	inet_connect(fresh, "127.0.0.1", PORT);
	pair[1] = accept(listening, NULL, NULL);
	inet_send(fresh, 0, 1000, 3);
	inet_receive(pair[1], 0, 1000, 3, "a connection made after the restore");
	size = inet_make(&address, "::1", 7019);
	CHECK(connect(six, &address.any, size) < 0 && errno == ECONNREFUSED, "connect to nobody");
	workload_pass();
}
