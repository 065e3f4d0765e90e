// SPDX-License-Identifier: GPL-2.0-only
/* Waiting for a token that comes through a descriptor. */
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/time.h>
#include <unistd.h>

#include "ways.h"

static void close_fds(struct member *m)
{
	close(m->in);
	if (m->out >= 0)
		close(m->out);
	if (m->extra >= 0)
		close(m->extra);
}

static void pipe_init(struct member *m)
{
	int fds[2];

	CALL(m, !pipe(fds), "pipe");
	m->in = fds[0];
	m->out = fds[1];
}

static void socket_init(struct member *m)
{
	int fds[2];

	CALL(m, !socketpair(AF_UNIX, SOCK_STREAM, 0, fds), "socketpair");
	m->in = fds[0];
	m->out = fds[1];
}

static void timed_socket_init(struct member *m)
{
	const struct timeval timeout = {.tv_sec = LONG_S};

	socket_init(m);
	CALL(m, !setsockopt(m->in, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)),
	     "setsockopt");
}

static uint64_t read_token(struct member *m, int fd)
{
	uint64_t token;

	CALL(m, read(fd, &token, sizeof(token)) == sizeof(token), "read");
	return token;
}

static void write_token(struct member *m, int fd, uint64_t token)
{
	CALL(m, write(fd, &token, sizeof(token)) == sizeof(token), "write");
}

static uint64_t read_wait(struct member *m)
{
	return read_token(m, m->in);
}

static void write_give(struct member *m, uint64_t token)
{
	write_token(m, m->out, token);
}

static uint64_t timed_socket_wait(struct member *m)
{
	uint64_t token;
	ssize_t n;

	do
		n = recv(m->in, &token, sizeof(token), 0);
	while (way_was_interrupted(m, n, "recv with a time-out"));
	CALL(m, n == sizeof(token), "recv");
	return token;
}

static uint64_t poll_wait(struct member *m)
{
	struct pollfd fd = {.fd = m->in, .events = POLLIN};

	CALL(m, poll(&fd, 1, -1) == 1, "poll");
	return read_token(m, m->in);
}

static uint64_t select_wait(struct member *m)
{
	struct timeval timeout = {.tv_sec = LONG_S};
	fd_set set;

	FD_ZERO(&set);
	FD_SET(m->in, &set);
	CALL(m, select(m->in + 1, &set, NULL, NULL, &timeout) == 1, "select");
	return read_token(m, m->in);
}

static void epoll_init(struct member *m)
{
	struct epoll_event event = {.events = EPOLLIN};

	pipe_init(m);
	m->extra = epoll_create1(0);
	CALL(m, m->extra >= 0 && !epoll_ctl(m->extra, EPOLL_CTL_ADD, m->in, &event), "epoll");
}

static uint64_t epoll_wait_for(struct member *m, int timeout_ms)
{
	struct epoll_event event;
	int n;

	do
		n = epoll_wait(m->extra, &event, 1, timeout_ms);
	while (way_was_interrupted(m, n, "epoll_wait"));
	CALL(m, n == 1, "epoll_wait");
	return read_token(m, m->in);
}

static uint64_t epoll_untimed_wait(struct member *m)
{
	return epoll_wait_for(m, -1);
}

static uint64_t epoll_timed_wait(struct member *m)
{
	return epoll_wait_for(m, LONG_S * 1000);
}

static void eventfd_init(struct member *m)
{
	m->in = eventfd(0, 0);
	CALL(m, m->in >= 0, "eventfd");
}

static uint64_t eventfd_wait(struct member *m)
{
	CHECK(read_token(m, m->in) == 1, "%s: not one event", m->slot->name);
	return way_take(m);
}

static void eventfd_give(struct member *m, uint64_t token)
{
	way_put(m, token);
	write_token(m, m->in, 1);
}

static void accept_init(struct member *m)
{
	m->in = socket(AF_UNIX, SOCK_STREAM, 0);
	m->address.sun_family = AF_UNIX;
	m->address_length = sizeof(m->address);
	/* An address of this length is chosen by the kernel. */
	CALL(m, m->in >= 0 && !bind(m->in, (void *)&m->address, sizeof(sa_family_t)), "bind");
	CALL(m, !getsockname(m->in, (void *)&m->address, &m->address_length), "getsockname");
	CALL(m, !listen(m->in, 1), "listen");
}

static uint64_t accept_wait(struct member *m)
{
	int fd = accept(m->in, NULL, NULL);

	CALL(m, fd >= 0, "accept");
	uint64_t token = read_token(m, fd);

	close(fd);
	return token;
}

static void accept_give(struct member *m, uint64_t token)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	CALL(m, fd >= 0 && !connect(fd, (void *)&m->address, m->address_length), "connect");
	write_token(m, fd, token);
	close(fd);
}

const struct way descriptor_ways[DESCRIPTOR_WAYS] = {
	{"pipe", pipe_init, read_wait, write_give, close_fds},
	{"socket", socket_init, read_wait, write_give, close_fds},
	{"socket-timed", timed_socket_init, timed_socket_wait, write_give, close_fds},
	{"poll", pipe_init, poll_wait, write_give, close_fds},
	{"select", pipe_init, select_wait, write_give, close_fds},
	{"epoll", epoll_init, epoll_untimed_wait, write_give, close_fds},
	{"epoll-timed", epoll_init, epoll_timed_wait, write_give, close_fds},
	{"eventfd", eventfd_init, eventfd_wait, eventfd_give, close_fds},
	{"accept", accept_init, accept_wait, accept_give, close_fds},
};
