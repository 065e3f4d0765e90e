// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: threads that wait to send, receive or accept go on: nothing is lost or doubled
 * @busy
 */
#include "unix.h"

#include <sys/syscall.h>

/* It takes over a minute to read all of it. */
enum { SIZE = 8 << 20, PIECE = 1024, PAUSE_NS = 20 * 1000000, MESSAGE = 321 };

static const char name[] = "\0ovm-gpu/blocked";
static int stream[2], messages[2], listener;
static volatile pid_t tids[3];

static void *send_all(void *arg)
{
	const uint8_t *words = arg;

	tids[0] = gettid();
	for (size_t done = 0; done < SIZE;) {
		ssize_t n = send(stream[1], words + done, SIZE - done, MSG_NOSIGNAL);

		CHECK(n > 0 || errno == EINTR, "send: %s", strerror(errno));
		if (n > 0)
			done += (size_t)n;
	}
	CHECK_CALL(!shutdown(stream[1], SHUT_WR));
	return NULL;
}

static void *receive_one(void *arg)
{
	uint8_t message[MESSAGE + 1];

	(void)arg;
	tids[1] = gettid();
	CHECK(recv(messages[1], message, sizeof(message), 0) == MESSAGE, "recv: %s",
	      strerror(errno));
	workload_check_fill(message, MESSAGE, 82, "message");
	return NULL;
}

static void *accept_one(void *arg)
{
	(void)arg;
	tids[2] = gettid();

	int fd = accept(listener, NULL, NULL);

	CHECK(fd >= 0, "accept: %s", strerror(errno));
	CHECK_CALL(send(fd, "x", 1, 0) == 1);
	return NULL;
}

static size_t read_some(uint8_t *found, size_t done)
{
	ssize_t n = recv(stream[0], found + done, PIECE, 0);

	CHECK(n >= 0, "recv: %s", strerror(errno));
	CHECK(n ? done + (size_t)n <= SIZE : done == SIZE, "there are %zu bytes", done + (size_t)n);
	return (size_t)n;
}

static void check_accepts(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char byte;

	unix_connect(fd, name, sizeof(name) - 1);
	CHECK(recv(fd, &byte, 1, 0) == 1 && byte == 'x', "accepted, but: %s", strerror(errno));
}

int main(int argc, char **argv)
{
	static void *(*const bodies[3])(void *) = {send_all, receive_one, accept_one};
	static const long calls[3] = {SYS_sendto, SYS_recvfrom, SYS_accept};
	pthread_t threads[3];

	workload_start(argc, argv, NULL);

	uint8_t *words = malloc(SIZE), *found = malloc(SIZE + PIECE);
	size_t done = 0;

	CHECK_CALL(words && found && !socketpair(AF_UNIX, SOCK_STREAM, 0, stream) &&
		   !socketpair(AF_UNIX, SOCK_DGRAM, 0, messages));
	listener = unix_bound(SOCK_STREAM, name, sizeof(name) - 1);
	CHECK_CALL(!listen(listener, 1));
	workload_fill(words, SIZE, 81);
	for (int i = 0; i < 3; i++) {
		threads[i] = workload_thread(bodies[i], words);
		while (!tids[i])
			usleep(1000);
		workload_until_in_call(tids[i], calls[i]);
	}
	workload_ready();
	/* Slowly, so that the queue is full all the time. */
	while (!workload_go()) {
		nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
		done += read_some(found, done);
		CHECK(done < SIZE / 2, "there was no go file: nothing was tested");
	}
	for (size_t n = 1; n; done += n)
		n = read_some(found, done);
	workload_check_fill(found, SIZE, 81, "stream");
	unix_send_message(messages[0], MESSAGE, 82);
	check_accepts();
	for (int i = 0; i < 3; i++)
		CHECK(!pthread_join(threads[i], NULL), "a thread can't be joined");
	workload_pass();
}
