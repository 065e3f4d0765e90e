/* SPDX-License-Identifier: GPL-2.0-only */
/* What the workloads with sockets of IPv4 and IPv6 have in common. Each has ports of its own. */
#ifndef OVM_WORKLOADS_INET_H
#define OVM_WORKLOADS_INET_H

#include "workload.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

union inet_address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static inline socklen_t inet_make(union inet_address *address, const char *text, int port)
{
	memset(address, 0, sizeof(*address));
	if (strchr(text, ':')) {
		address->v6.sin6_family = AF_INET6;
		address->v6.sin6_port = htons((uint16_t)port);
		CHECK_CALL(inet_pton(AF_INET6, text, &address->v6.sin6_addr) == 1);
		return sizeof(address->v6);
	}
	address->v4.sin_family = AF_INET;
	address->v4.sin_port = htons((uint16_t)port);
	CHECK_CALL(inet_pton(AF_INET, text, &address->v4.sin_addr) == 1);
	return sizeof(address->v4);
}

static inline int inet_bound(int type, int protocol, const char *text, int port)
{
	union inet_address address;
	socklen_t size = inet_make(&address, text, port);
	int fd = socket(address.any.sa_family, type, protocol), one = 1;

	CHECK_CALL(fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	CHECK_CALL(!bind(fd, &address.any, size));
	return fd;
}

static inline int inet_listening(const char *text, int port, int backlog)
{
	int fd = inet_bound(SOCK_STREAM, 0, text, port);

	CHECK_CALL(!listen(fd, backlog));
	return fd;
}

static inline void inet_connect(int fd, const char *text, int port)
{
	union inet_address address;
	socklen_t size = inet_make(&address, text, port);

	CHECK_CALL(!connect(fd, &address.any, size));
}

static inline int inet_client(const char *text, int port)
{
	int fd = socket(strchr(text, ':') ? AF_INET6 : AF_INET, SOCK_STREAM, 0);

	CHECK_CALL(fd >= 0);
	inet_connect(fd, text, port);
	return fd;
}

/* Both ends of a connection; @listening stays. */
static inline void inet_pair(int listening, const char *text, int port, int pair[2])
{
	pair[0] = inet_client(text, port);
	pair[1] = accept(listening, NULL, NULL);
	CHECK_CALL(pair[1] >= 0);
}

static inline void inet_check_name(int fd, bool peer, const char *text, int port)
{
	union inet_address address, expected;
	socklen_t size = sizeof(address), want = inet_make(&expected, text, port);
	int err =
		peer ? getpeername(fd, &address.any, &size) : getsockname(fd, &address.any, &size);

	CHECK(!err, "%s of fd %d: %s", peer ? "peer" : "name", fd, strerror(errno));
	CHECK(size == want && !memcmp(&address, &expected, size), "%s of fd %d is not %s port %d",
	      peer ? "peer" : "name", fd, text, port);
}

static inline int inet_option(int fd, int level, int option)
{
	int value = -1;
	socklen_t size = sizeof(value);

	CHECK(!getsockopt(fd, level, option, &value, &size), "option %d:%d: %s", level, option,
	      strerror(errno));
	return value;
}

static inline void inet_set(int fd, int level, int option, int value)
{
	CHECK(!setsockopt(fd, level, option, &value, sizeof(value)), "setting option %d:%d: %s",
	      level, option, strerror(errno));
}

static inline void inet_check_option(int fd, int level, int option, int value)
{
	int found = inet_option(fd, level, option);

	CHECK(found == value, "option %d:%d is %d, not %d", level, option, found, value);
}

/* Bytes @from to @to (exclusive) of the pattern @seed. */
static inline uint8_t *inet_pattern(size_t to, uint64_t seed)
{
	uint8_t *data = malloc(to + 8);

	CHECK_CALL(data);
	workload_fill(data, to, seed);
	return data;
}

static inline void inet_send(int fd, size_t from, size_t to, uint64_t seed)
{
	uint8_t *data = inet_pattern(to, seed);

	while (from < to) {
		ssize_t sent = send(fd, data + from, to - from, MSG_NOSIGNAL);

		CHECK(sent > 0, "sending at %zu: %s", from, strerror(errno));
		from += (size_t)sent;
	}
	free(data);
}

/* Send of the pattern until nothing more fits; where that was. */
static inline size_t inet_send_all(int fd, size_t from, size_t max, uint64_t seed)
{
	uint8_t *data = inet_pattern(max, seed);

	while (from < max) {
		ssize_t sent = send(fd, data + from, max - from, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0 && errno == EAGAIN)
			break;
		CHECK(sent > 0, "sending at %zu: %s", from, strerror(errno));
		from += (size_t)sent;
	}
	free(data);
	return from;
}

static inline void inet_receive(int fd, size_t from, size_t to, uint64_t seed, const char *what)
{
	uint8_t *expected = inet_pattern(to, seed), *data = malloc(to + 1);

	for (size_t at = from; at < to;) {
		struct pollfd poll_fd = {fd, POLLIN, 0};
		int ready = poll(&poll_fd, 1, 20000);
		ssize_t got = ready == 1 ? recv(fd, data, to - at, MSG_DONTWAIT) : -2;

		CHECK(got > 0, "%s: %s after %zu of %zu bytes", what,
		      got == -2 ? "nothing comes"
		      : got	? strerror(errno)
				: "ended",
		      at - from, to - from);
		for (ssize_t i = 0; i < got; i++)
			CHECK(data[i] == expected[at + (size_t)i], "%s: byte %zu is %#x, not %#x",
			      what, at + (size_t)i, data[i], expected[at + (size_t)i]);
		at += (size_t)got;
	}
	free(data);
	free(expected);
}

/* That the other side has ended, and all was read. */
static inline void inet_check_end(int fd, const char *what)
{
	struct pollfd poll_fd = {fd, POLLIN, 0};
	char byte;

	CHECK(poll(&poll_fd, 1, 20000) == 1 && recv(fd, &byte, 1, MSG_DONTWAIT) == 0,
	      "%s: is not at its end", what);
}

static inline void inet_check_empty(int fd, const char *what)
{
	char byte;

	CHECK(recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN, "%s: there is more", what);
}

static inline int inet_state(int fd)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);

	CHECK_CALL(!getsockopt(fd, SOL_TCP, TCP_INFO, &info, &size));
	return info.tcpi_state;
}

#endif /* OVM_WORKLOADS_INET_H */
