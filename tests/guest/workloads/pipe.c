// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a pipe keeps what is in it, its size, its flags and its descriptors
 */
#include "workload.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>

enum { SIZE = 1 << 18, CONTENT = 50001, READ_BEFORE = 1234, PIECE = 777 };

static uint8_t content[CONTENT];

/* In pieces that share no border with a page, of which the first ones are gone again. */
static void fill(int from, int to)
{
	static uint8_t sink[READ_BEFORE];

	workload_fill(content, CONTENT, 61);
	for (int done = 0; done < CONTENT;) {
		int n = CONTENT - done < PIECE ? CONTENT - done : PIECE;

		CHECK_CALL(write(to, content + done, n) == n);
		done += n;
	}
	CHECK_CALL(read(from, sink, READ_BEFORE) == READ_BEFORE);
}

static void check_content(int from)
{
	static uint8_t found[CONTENT];
	int left = CONTENT - READ_BEFORE, in_it = 0;

	CHECK_CALL(!ioctl(from, FIONREAD, &in_it));
	CHECK(in_it == left, "the pipe holds %d bytes, held %d", in_it, left);
	for (int done = 0; done < left;) {
		ssize_t n = read(from, found + done, left - done);

		CHECK(n > 0, "reading at %d: %s", done, n ? strerror(errno) : "end of file");
		done += n;
	}
	CHECK(!memcmp(found, content + READ_BEFORE, left), "the pipe holds other bytes");
	CHECK(read(from, found, 1) == -1 && errno == EAGAIN, "the pipe isn't empty then");
}

static void check_flags(int fd, int flags)
{
	int found = fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK);

	CHECK(found == flags, "fd %d has flags 0%o, had 0%o", fd, found, flags);
}

int main(int argc, char **argv)
{
	int ends[2], other[2], closed[2];
	char byte = 0;

	workload_start(argc, argv, NULL);
	CHECK_CALL(!pipe(ends) && dup2(ends[0], 40) == 40 && dup2(ends[1], 41) == 41);
	CHECK_CALL(fcntl(ends[1], F_SETPIPE_SZ, SIZE) == SIZE);
	CHECK_CALL(!fcntl(ends[0], F_SETFL, O_NONBLOCK));
	CHECK_CALL(!fcntl(ends[0], F_SETSIG, SIGUSR1) && !fcntl(ends[0], F_SETOWN, getpid()));
	fill(ends[0], ends[1]);
	/* Empty, of the usual size; and one whose other end is closed. */
	CHECK_CALL(!pipe2(other, O_CLOEXEC) && !pipe(closed) && write(closed[1], "z", 1) == 1);
	CHECK_CALL(!close(closed[1]));
	workload_ready();
	workload_wait();
	check_flags(40, O_RDONLY | O_NONBLOCK);
	check_flags(ends[0], O_RDONLY | O_NONBLOCK);
	check_flags(41, O_WRONLY);
	CHECK(fcntl(41, F_GETPIPE_SZ) == SIZE, "the size is %d", fcntl(41, F_GETPIPE_SZ));
	CHECK(fcntl(40, F_GETSIG) == SIGUSR1 && fcntl(40, F_GETOWN) == getpid(),
	      "signals go to %d, as %d", fcntl(40, F_GETOWN), fcntl(40, F_GETSIG));
	check_content(40);
	CHECK(write(41, "x", 1) == 1 && read(ends[0], &byte, 1) == 1 && byte == 'x',
	      "what is written to fd 41 isn't read from fd %d", ends[0]);
	CHECK_CALL(!close(ends[1]) && !close(41));
	CHECK(read(40, &byte, 1) == 0, "without a writer, there is no end");
	CHECK(fcntl(other[0], F_GETFD) == FD_CLOEXEC, "close-on-exec is lost");
	CHECK(fcntl(other[0], F_GETPIPE_SZ) == 1 << 16, "the usual size is %d",
	      fcntl(other[0], F_GETPIPE_SZ));
	CHECK(write(other[1], "y", 1) == 1 && read(other[0], &byte, 1) == 1 && byte == 'y',
	      "the empty pipe doesn't work");
	CHECK(read(closed[0], &byte, 1) == 1 && byte == 'z', "the closed pipe held %x", byte);
	CHECK(read(closed[0], &byte, 1) == 0, "the closed pipe has no end");
	workload_pass();
}
