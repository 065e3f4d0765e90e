// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a listening abstract socket keeps its accepted and its waiting connections
 */
#include "unix.h"

static const char name[] = "\0ovm-gpu/listen\0ing";

enum { NAME = sizeof(name) - 1, LENGTH = 3000 };

static int connected(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	CHECK_CALL(fd >= 0);
	unix_connect(fd, name, NAME);
	return fd;
}

static void check_name(int fd)
{
	struct sockaddr_un address;
	socklen_t size = sizeof(address);

	CHECK_CALL(!getsockname(fd, (struct sockaddr *)&address, &size));
	CHECK(size == offsetof(struct sockaddr_un, sun_path) + NAME &&
		      !memcmp(address.sun_path, name, NAME),
	      "the name is another one, of %u bytes", size);
}

static void check_accepts(int listener, int client, uint64_t seed, const char *what)
{
	int fd = accept(listener, NULL, NULL);

	CHECK(fd >= 0, "%s: nothing to accept: %s", what, strerror(errno));
	unix_send(client, 0, LENGTH, LENGTH, seed);
	unix_receive(fd, 0, LENGTH, seed, what);
	unix_send(fd, 0, LENGTH, LENGTH, seed + 1);
	unix_receive(client, 0, LENGTH, seed + 1, what);
}

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);

	int listener = unix_bound(SOCK_STREAM | SOCK_NONBLOCK, name, NAME);

	CHECK_CALL(!listen(listener, 5));

	int client = connected(), server = accept(listener, NULL, NULL);

	CHECK_CALL(server >= 0);
	unix_send(client, 0, LENGTH, 100, 1);
	unix_send(server, 0, LENGTH, 100, 2);

	int waiting = connected(), another = connected();

	workload_ready();
	workload_wait();
	unix_receive(server, 0, LENGTH, 1, "accepted connection");
	unix_receive(client, 0, LENGTH, 2, "accepted connection, back");
	check_accepts(listener, waiting, 10, "the waiting connection");
	check_accepts(listener, another, 20, "the second waiting connection");
	CHECK(accept(listener, NULL, NULL) < 0 && errno == EAGAIN, "there is one connection more");
	check_accepts(listener, connected(), 30, "a new connection");
	check_name(listener);
	workload_pass();
}
