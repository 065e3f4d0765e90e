/* SPDX-License-Identifier: GPL-2.0-only */
/* Pseudo-terminals, as the workloads with terminals use them. */
#ifndef OVM_WORKLOADS_TERMINAL_H
#define OVM_WORKLOADS_TERMINAL_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "workload.h"

struct terminal {
	int master, slave;
	char path[32];
};

/* A master, at @fd and not blocking, and its slave at the number behind. */
static inline struct terminal terminal_open(int fd, const char *ptmx, int slave_flags)
{
	struct terminal terminal = {.master = fd, .slave = fd + 1};
	int master = open(ptmx, O_RDWR | O_NOCTTY | O_NONBLOCK), slave, unlocked = 0;
	unsigned int index;

	CHECK(master >= 0, "%s: %s", ptmx, strerror(errno));
	CHECK_CALL(!ioctl(master, TIOCSPTLCK, &unlocked) && !ioctl(master, TIOCGPTN, &index));
	snprintf(terminal.path, sizeof(terminal.path), "/dev/pts/%u", index);
	slave = open(terminal.path, O_NOCTTY | slave_flags);
	CHECK(slave >= 0, "%s: %s", terminal.path, strerror(errno));
	CHECK_CALL(dup2(master, fd) == fd && dup2(slave, fd + 1) == fd + 1);
	close(master);
	close(slave);
	return terminal;
}

/* Change settings: take away and add flags for what is read, written and local. */
static inline void terminal_set(int fd, tcflag_t iflag_off, tcflag_t iflag, tcflag_t oflag_off,
				tcflag_t oflag, tcflag_t lflag_off, tcflag_t lflag)
{
	struct termios termios;

	CHECK_CALL(!tcgetattr(fd, &termios));
	termios.c_iflag = (termios.c_iflag & ~iflag_off) | iflag;
	termios.c_oflag = (termios.c_oflag & ~oflag_off) | oflag;
	termios.c_lflag = (termios.c_lflag & ~lflag_off) | lflag;
	CHECK_CALL(!tcsetattr(fd, TCSANOW, &termios));
}

static inline void terminal_raw(int fd)
{
	struct termios termios;

	CHECK_CALL(!tcgetattr(fd, &termios));
	cfmakeraw(&termios);
	CHECK_CALL(!tcsetattr(fd, TCSANOW, &termios));
}

static inline void terminal_write(int fd, const void *bytes, size_t length)
{
	CHECK(write(fd, bytes, length) == (ssize_t)length, "writing to a terminal: %s",
	      strerror(errno));
}

/* What comes out of a terminal within @ms of silence, at most @size bytes. */
static inline size_t terminal_read_all(int fd, char *buffer, size_t size, int ms)
{
	size_t length = 0;
	int64_t last = workload_now();

	while (length < size && workload_now() - last < ms * 1000000LL) {
		ssize_t n = read(fd, buffer + length, size - length);

		if (n > 0) {
			length += (size_t)n;
			last = workload_now();
		} else {
			nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
		}
	}
	return length;
}

/* Control characters shown, in a static buffer. */
static inline const char *terminal_show(const char *bytes, size_t length)
{
	static char shown[400];
	size_t used = 0;

	for (size_t i = 0; i < length && used < sizeof(shown) - 8; i++)
		used += (size_t)snprintf(shown + used, sizeof(shown) - used,
					 bytes[i] >= ' ' && bytes[i] < 127 ? "%c" : "\\x%02x",
					 (unsigned char)bytes[i]);
	shown[used] = '\0';
	return shown;
}

/* Fail unless a read(2) of a terminal returns just these bytes. */
static inline void terminal_check_read(int fd, const char *expected, size_t length)
{
	char buffer[8192];
	ssize_t n = -1;

	for (int i = 0; i < 600 && n < 0; i++) {
		n = read(fd, buffer, sizeof(buffer));
		if (n < 0)
			nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	}
	CHECK(n == (ssize_t)length && !memcmp(buffer, expected, length),
	      "fd %d reads %zd bytes, '%s', not the %zu that wait", fd, n,
	      n > 0 ? terminal_show(buffer, (size_t)n) : "", length);
}

#define TERMINAL_CHECK_READ(fd, text) terminal_check_read((fd), (text), sizeof(text) - 1)

static inline void terminal_check_empty(int fd)
{
	char buffer[4096];
	size_t n = terminal_read_all(fd, buffer, sizeof(buffer), 100);

	CHECK(!n, "fd %d reads '%s', though nothing was left", fd, terminal_show(buffer, n));
}

static inline void terminal_unblock(int fd)
{
	CHECK_CALL(!fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK));
}

#endif /* OVM_WORKLOADS_TERMINAL_H */
