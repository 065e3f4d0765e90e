// SPDX-License-Identifier: GPL-2.0-only
/*
 * The process of test-tcp: it serves connections that check themselves.
 *
 *	tcp_subject ADDRESS PORT RESULT
 *
 * Each connection carries a pattern in both directions, at its own pace, as told by the first byte
 * that comes: 'f', as fast as it goes; 's', some bytes at a time; 'h', the server ends its side at
 * once, and only receives; 'q', the server sends and never reads. What comes is compared. When the
 * peer ends its side, the server ends its own, and RESULT gets a line: how many bytes came and
 *went.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The pattern repeats itself after so many words, which no power of two divides. */
enum { WORDS = 131071 };

enum { MAX = 64, CHUNK = 65536, SLOW_BYTES = 700, SLOW_MS = 20 };

struct connection {
	int fd;
	char kind;
	bool ended; /* its own side */
	uint64_t received, sent;
};

static struct connection connections[MAX];
static int nr;
static FILE *result;

static void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(result, format, args);
	va_end(args);
	fputc('\n', result);
	fflush(result);
}

/* Byte @at of what goes in both directions. */
static uint8_t pattern(uint64_t at)
{
	uint64_t word = (at / 8 % WORDS + 1) * UINT64_C(0x9e3779b97f4a7c15);

	return (uint8_t)(word >> at % 8 * 8);
}

static void drop(int i, const char *why)
{
	struct connection *c = &connections[i];

	say("%c %llu %llu %s", c->kind ? c->kind : '?', (unsigned long long)c->received,
	    (unsigned long long)c->sent, why);
	close(c->fd);
	connections[i] = connections[--nr];
}

/* False when the connection is gone. */
static bool receive(int i)
{
	static uint8_t data[CHUNK];
	struct connection *c = &connections[i];
	size_t most = c->kind == 's' ? SLOW_BYTES : CHUNK;
	ssize_t got = recv(c->fd, data, c->kind ? most : 1, 0);

	if (got < 0) {
		if (errno != EAGAIN)
			drop(i, strerror(errno));
		return errno == EAGAIN;
	}
	if (!got) {
		drop(i, "end");
		return false;
	}
	if (!c->kind) {
		c->kind = (char)data[0];
		if (c->kind == 'h') {
			shutdown(c->fd, SHUT_WR);
			c->ended = true;
		}
		return true;
	}
	for (ssize_t k = 0; k < got; k++, c->received++)
		if (data[k] != pattern(c->received)) {
			drop(i, "wrong byte");
			return false;
		}
	return true;
}

static bool send_some(int i)
{
	static uint8_t data[CHUNK];
	struct connection *c = &connections[i];
	size_t most = c->kind == 's' ? SLOW_BYTES : CHUNK;

	for (size_t k = 0; k < most; k++)
		data[k] = pattern(c->sent + k);
	ssize_t put = send(c->fd, data, most, MSG_NOSIGNAL);

	if (put < 0) {
		if (errno != EAGAIN)
			drop(i, strerror(errno));
		return errno == EAGAIN;
	}
	c->sent += (uint64_t)put;
	return true;
}

static void serve(int listening)
{
	struct pollfd fds[MAX + 1];
	int count = nr;

	for (int i = 0; i < count; i++) {
		struct connection *c = &connections[i];
		bool reads = c->kind != 'q', writes = c->kind && !c->ended;

		fds[i] = (struct pollfd){c->fd,
					 (short)((reads ? POLLIN : 0) | (writes ? POLLOUT : 0)), 0};
	}
	fds[count] = (struct pollfd){listening, nr < MAX ? POLLIN : 0, 0};
	if (poll(fds, (nfds_t)count + 1, -1) < 0)
		return;
	/* From the last one on: what is dropped is replaced by one that was served. */
	for (int i = count - 1; i >= 0; i--) {
		bool alive = !(fds[i].revents & (POLLIN | POLLERR | POLLHUP)) || receive(i);

		if (alive && fds[i].revents & POLLOUT)
			send_some(i);
		if (alive && connections[i].kind == 's')
			usleep(SLOW_MS * 1000);
	}
	if (fds[count].revents & POLLIN) {
		int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK);

		if (fd >= 0)
			connections[nr++] = (struct connection){.fd = fd};
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;

	if (argc != 4)
		return 2;
	address.sin_port = htons((uint16_t)atoi(argv[2]));
	inet_pton(AF_INET, argv[1], &address.sin_addr);
	setsid();
	result = fopen(argv[3], "a");
	setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (!result || bind(listening, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(listening, 16)) {
		perror("tcp_subject");
		return 1;
	}
	for (;;)
		serve(listening);
}
