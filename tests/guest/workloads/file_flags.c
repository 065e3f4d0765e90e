// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: open files keep access mode and status flags, and who gets their signals
 */
#include "workload.h"

#include <fcntl.h>

enum { SIZE = 500 };

static const int flags[] = {
	O_RDONLY,
	O_WRONLY,
	O_RDWR,
	O_WRONLY | O_APPEND,
	O_RDWR | O_NONBLOCK,
	O_RDONLY | O_NOATIME,
	O_WRONLY | O_DSYNC,
	O_RDWR | O_SYNC,
	O_PATH,
};

enum { FILES = sizeof(flags) / sizeof(*flags) };

static void prepare(void)
{
	workload_make_file("data", SIZE, 41);
}

static void check_append(int fd)
{
	CHECK_CALL(lseek(fd, 0, SEEK_SET) == 0 && write(fd, "end", 3) == 3);
	CHECK(lseek(fd, 0, SEEK_CUR) == SIZE + 3, "what was to be appended isn't at the end");
	CHECK_CALL(!ftruncate(fd, SIZE));
}

int main(int argc, char **argv)
{
	int fds[FILES], before[FILES];
	uint8_t byte = 0;

	workload_start(argc, argv, prepare);
	for (int i = 0; i < FILES; i++) {
		fds[i] = open(workload_path("data"), flags[i]);
		CHECK_CALL(fds[i] >= 0);
		before[i] = fcntl(fds[i], F_GETFL);
	}
	CHECK_CALL(!fcntl(fds[0], F_SETOWN, getpid()) && !fcntl(fds[0], F_SETSIG, SIGRTMIN + 1));
	workload_ready();
	workload_wait();
	for (int i = 0; i < FILES; i++)
		CHECK(fcntl(fds[i], F_GETFL) == before[i], "the flags of fd %d are 0%o, were 0%o",
		      fds[i], fcntl(fds[i], F_GETFL), before[i]);
	CHECK(read(fds[0], &byte, 1) == 1, "a file for reading can't be read");
	CHECK(write(fds[0], &byte, 1) == -1 && errno == EBADF, "and can be written");
	CHECK(pwrite(fds[1], &byte, 1, 0) == 1, "a file for writing can't be written");
	CHECK(read(fds[1], &byte, 1) == -1 && errno == EBADF, "and can be read");
	CHECK(read(fds[FILES - 1], &byte, 1) == -1 && errno == EBADF, "a path can be read");
	check_append(fds[3]);
	CHECK(fcntl(fds[0], F_GETOWN) == getpid(), "the owner is %d", fcntl(fds[0], F_GETOWN));
	CHECK(fcntl(fds[0], F_GETSIG) == SIGRTMIN + 1, "its signal is %d", fcntl(fds[0], F_GETSIG));
	workload_pass();
}
