/* SPDX-License-Identifier: GPL-2.0-only */
/* What the workloads with Unix sockets have in common. */
#ifndef OVM_WORKLOADS_UNIX_H
#define OVM_WORKLOADS_UNIX_H

#include "workload.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

static inline socklen_t unix_address(struct sockaddr_un *address, const char *name, size_t length)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	memcpy(address->sun_path, name, length);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

/* A socket bound to @name; abstract ones begin with a NUL. */
static inline int unix_bound(int type, const char *name, size_t length)
{
	struct sockaddr_un address;
	socklen_t size = unix_address(&address, name, length);
	int fd = socket(AF_UNIX, type, 0);

	CHECK_CALL(fd >= 0 && !bind(fd, (struct sockaddr *)&address, size));
	return fd;
}

static inline void unix_connect(int fd, const char *name, size_t length)
{
	struct sockaddr_un address;
	socklen_t size = unix_address(&address, name, length);

	CHECK_CALL(!connect(fd, (struct sockaddr *)&address, size));
}

/* Send bytes @from to @to (exclusive) of the pattern @seed, at most @piece at a time. */
static inline void unix_send(int fd, size_t from, size_t to, size_t piece, uint64_t seed)
{
	uint8_t *data = malloc(to);

	workload_fill(data, to, seed);
	while (from < to) {
		size_t left = to - from;
		ssize_t sent = send(fd, data + from, left < piece ? left : piece, MSG_NOSIGNAL);

		CHECK(sent > 0, "sending at %zu: %s", from, strerror(errno));
		from += (size_t)sent;
	}
	free(data);
}

/* Receive bytes @from to @to of the pattern. */
static inline void unix_receive(int fd, size_t from, size_t to, uint64_t seed, const char *what)
{
	uint8_t *data = malloc(to), *expected = malloc(to);
	size_t at = from;

	workload_fill(expected, to, seed);
	while (at < to) {
		ssize_t got = recv(fd, data + at, to - at, MSG_DONTWAIT);

		CHECK(got > 0, "%s: %s after %zu of %zu bytes", what,
		      got ? strerror(errno) : "ended", at - from, to - from);
		at += (size_t)got;
	}
	for (at = from; at < to; at++)
		CHECK(data[at] == expected[at], "%s: byte %zu is %#x, not %#x", what, at, data[at],
		      expected[at]);
	free(data);
	free(expected);
}

/* Receive one message: the first @length bytes of the pattern. */
static inline void unix_message(int fd, size_t length, uint64_t seed, const char *what)
{
	uint8_t *data = malloc(length + 1);
	ssize_t got = recv(fd, data, length + 1, MSG_DONTWAIT);

	CHECK(got == (ssize_t)length, "%s: a message of %zd bytes, not %zu (%s)", what, got, length,
	      got < 0 ? strerror(errno) : "boundaries moved");
	workload_check_fill(data, length, seed, what);
	free(data);
}

static inline void unix_send_message(int fd, size_t length, uint64_t seed)
{
	uint8_t *data = malloc(length + 1);

	workload_fill(data, length, seed);
	CHECK_CALL(send(fd, data, length, MSG_NOSIGNAL) == (ssize_t)length);
	free(data);
}

/* Wait for a byte. */
static inline void unix_receive_one(int fd)
{
	char byte;

	CHECK_CALL(recv(fd, &byte, 1, 0) == 1);
}

enum { UNIX_FDS_MAX = 16 };

/* Send one byte, and with it @nr descriptors. */
static inline void unix_pass(int fd, uint8_t byte, const int *fds, unsigned int nr)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(UNIX_FDS_MAX * sizeof(int))];
	} control = {.header = {CMSG_LEN(nr * sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct iovec iov = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_SPACE(nr * sizeof(int)),
	};

	memcpy(CMSG_DATA(&control.header), fds, nr * sizeof(int));
	CHECK_CALL(sendmsg(fd, &message, MSG_NOSIGNAL) == 1);
}

/* Receive what unix_pass() sent. */
static inline void unix_take(int fd, uint8_t byte, int *fds, unsigned int nr, const char *what)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(UNIX_FDS_MAX * sizeof(int))];
	} control;
	uint8_t got = 0;
	struct iovec iov = {&got, 1};
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t length = recvmsg(fd, &message, MSG_DONTWAIT);

	CHECK(length == 1 && got == byte, "%s: no byte %u: %s", what, byte, strerror(errno));
	CHECK(!(message.msg_flags & MSG_CTRUNC) && message.msg_controllen >= sizeof(control.header),
	      "%s: came without descriptors", what);
	CHECK(control.header.cmsg_type == SCM_RIGHTS &&
		      control.header.cmsg_len == CMSG_LEN(nr * sizeof(int)),
	      "%s: came with %zu bytes of control data", what, (size_t)control.header.cmsg_len);
	memcpy(fds, CMSG_DATA(&control.header), nr * sizeof(int));
}

static inline void unix_check_empty(int fd, const char *what)
{
	char byte;

	CHECK(recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN, "%s: there is more", what);
}

#endif /* OVM_WORKLOADS_UNIX_H */
