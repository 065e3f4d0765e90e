// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: ends of a pipe that were opened again by way of /proc keep flags of their own
 */
#include "workload.h"

#include <fcntl.h>
#include <stdio.h>

static int reopen(int fd, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);

	int ret = open(path, flags);

	CHECK_CALL(ret >= 0);
	return ret;
}

static void check_flags(int fd, int flags)
{
	int found = fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK | O_APPEND);

	CHECK(found == flags, "fd %d has flags 0%o, had 0%o", fd, found, flags);
}

int main(int argc, char **argv)
{
	char text[8] = "";
	int ends[2];

	workload_start(argc, argv, NULL);
	CHECK_CALL(!pipe(ends));

	int reader = reopen(ends[0], O_RDONLY | O_NONBLOCK);
	int writer = reopen(ends[1], O_WRONLY | O_APPEND);
	int both = reopen(ends[0], O_RDWR);

	CHECK_CALL(write(both, "abc", 3) == 3);
	CHECK_CALL(!close(ends[1]));
	workload_ready();
	workload_wait();
	check_flags(ends[0], O_RDONLY);
	check_flags(reader, O_RDONLY | O_NONBLOCK);
	check_flags(writer, O_WRONLY | O_APPEND);
	check_flags(both, O_RDWR);
	CHECK_CALL(write(writer, "de", 2) == 2);
	CHECK(read(ends[0], text, 1) == 1 && read(both, text + 1, 1) == 1 &&
		      read(reader, text + 2, 6) == 3 && !strcmp(text, "abcde"),
	      "the pipe held \"%s\"", text);
	CHECK(read(reader, text, 1) == -1 && errno == EAGAIN, "the pipe isn't empty then");
	CHECK_CALL(!close(writer) && !close(both));
	CHECK(read(reader, text, 1) == 0, "without a writer, there is no end");
	workload_pass();
}
