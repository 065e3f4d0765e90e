// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: options, flags and owners of Unix sockets stay as they are
 */
#include "unix.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <sys/time.h>

#ifndef F_SETSIG
#define F_SETSIG 10
#define F_GETSIG 11
#endif

static const struct {
	int option, value;
	const char *name;
} numbers[] = {
	{SO_SNDBUF, 30000, "SO_SNDBUF"},   {SO_RCVBUF, 40000, "SO_RCVBUF"},
	{SO_PASSCRED, 1, "SO_PASSCRED"},   {SO_PRIORITY, 5, "SO_PRIORITY"},
	{SO_RCVLOWAT, 3, "SO_RCVLOWAT"},   {SO_BROADCAST, 1, "SO_BROADCAST"},
	{SO_DONTROUTE, 1, "SO_DONTROUTE"}, {SO_MARK, 77, "SO_MARK"},
};

enum { NR = sizeof(numbers) / sizeof(numbers[0]) };

static const struct timeval send_timeout = {7, 500000}, receive_timeout = {12345, 0};

/* Messages of which the first byte is not 0 are cut to 3 bytes; the others are dropped. */
static void attach_filter(int fd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, 3),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog prog = {sizeof(code) / sizeof(code[0]), code};

	CHECK_CALL(!setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)));
}

static void check_filter(int fd, int from)
{
	char text[16] = "";

	CHECK_CALL(send(from, "\0dropped", 8, 0) == 8 && send(from, "kept", 4, 0) == 4);
	CHECK(recv(fd, text, sizeof(text), MSG_DONTWAIT) == 3 && !strcmp(text, "kep"),
	      "the filter let \"%s\" through", text);
}

static int number(int fd, int option)
{
	socklen_t size = sizeof(int);
	int value = -1;

	CHECK_CALL(!getsockopt(fd, SOL_SOCKET, option, &value, &size));
	return value;
}

static void check_timeout(int fd, int option, const struct timeval *expected, const char *name)
{
	struct timeval value;
	socklen_t size = sizeof(value);

	CHECK_CALL(!getsockopt(fd, SOL_SOCKET, option, &value, &size));
	CHECK(value.tv_sec == expected->tv_sec && value.tv_usec == expected->tv_usec,
	      "%s is %ld.%06ld s", name, (long)value.tv_sec, (long)value.tv_usec);
}

int main(int argc, char **argv)
{
	struct linger linger = {1, 17};
	socklen_t size = sizeof(linger);
	int ends[2], filtered[2], before[NR];

	workload_start(argc, argv, NULL);
	CHECK_CALL(!socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	CHECK_CALL(!socketpair(AF_UNIX, SOCK_DGRAM, 0, filtered));
	for (unsigned int i = 0; i < NR; i++) {
		CHECK_CALL(!setsockopt(ends[0], SOL_SOCKET, numbers[i].option, &numbers[i].value,
				       sizeof(int)));
		before[i] = number(ends[0], numbers[i].option);
	}
	CHECK_CALL(
		!setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &send_timeout, sizeof(send_timeout)));
	CHECK_CALL(!setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &receive_timeout,
			       sizeof(receive_timeout)));
	CHECK_CALL(!setsockopt(ends[0], SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
	attach_filter(filtered[1]);
	CHECK_CALL(!fcntl(ends[0], F_SETFL, O_NONBLOCK | O_ASYNC));
	CHECK_CALL(!fcntl(ends[0], F_SETOWN, getpid()) && !fcntl(ends[0], F_SETSIG, SIGURG));
	CHECK_CALL(!fcntl(ends[1], F_SETFD, FD_CLOEXEC));
	CHECK_CALL(dup2(ends[1], 50) == 50);
	workload_ready();
	workload_wait();
	for (unsigned int i = 0; i < NR; i++)
		CHECK(number(ends[0], numbers[i].option) == before[i], "%s is %d, not %d",
		      numbers[i].name, number(ends[0], numbers[i].option), before[i]);
	check_timeout(ends[0], SO_SNDTIMEO, &send_timeout, "SO_SNDTIMEO");
	check_timeout(ends[0], SO_RCVTIMEO, &receive_timeout, "SO_RCVTIMEO");
	check_timeout(ends[1], SO_RCVTIMEO, &(struct timeval){0}, "SO_RCVTIMEO, other end");
	CHECK_CALL(!getsockopt(ends[0], SOL_SOCKET, SO_LINGER, &linger, &size));
	CHECK(linger.l_onoff && linger.l_linger == 17, "SO_LINGER is %d, %d", linger.l_onoff,
	      linger.l_linger);
	CHECK(!number(ends[1], SO_PASSCRED), "SO_PASSCRED is on at the other end");
	check_filter(filtered[1], filtered[0]);
	CHECK(fcntl(ends[0], F_GETFL) == (O_RDWR | O_NONBLOCK | O_ASYNC), "flags are %#x",
	      fcntl(ends[0], F_GETFL));
	CHECK(fcntl(ends[0], F_GETOWN) == getpid() && fcntl(ends[0], F_GETSIG) == SIGURG,
	      "signal %d goes to %d", fcntl(ends[0], F_GETSIG), fcntl(ends[0], F_GETOWN));
	CHECK(fcntl(ends[1], F_GETFD) == FD_CLOEXEC && !fcntl(50, F_GETFD),
	      "descriptors' flags are %d and %d", fcntl(ends[1], F_GETFD), fcntl(50, F_GETFD));
	/* One socket behind two descriptors. */
	CHECK_CALL(send(ends[1], "abc", 3, 0) == 3 && send(50, "def", 3, 0) == 3);

	char text[7] = "";

	CHECK(recv(ends[0], text, 6, 0) == 6 && !strcmp(text, "abcdef"), "received \"%s\"", text);
	workload_pass();
}
