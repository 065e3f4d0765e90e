// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: descriptors keep number and close-on-exec, and those of one open file share it still
 */
#include "workload.h"

#include <fcntl.h>
#include <sys/stat.h>

enum { SIZE = 4000, HIGHEST = 700 };

static void prepare(void)
{
	workload_make_file("data", SIZE, 51);
}

static void expect(int fd, int flags)
{
	CHECK(fcntl(fd, F_GETFD) == flags, "fd %d: the flags are %d, were %d", fd,
	      fcntl(fd, F_GETFD), flags);
}

static off_t position(int fd)
{
	return lseek(fd, 0, SEEK_CUR);
}

int main(int argc, char **argv)
{
	int count = 0;

	workload_start(argc, argv, prepare);

	int first = open(workload_path("data"), O_RDONLY);
	int other = open(workload_path("data"), O_RDONLY | O_CLOEXEC);

	CHECK_CALL(first >= 0 && other >= 0);
	CHECK_CALL(fcntl(first, F_DUPFD_CLOEXEC, 100) == 100);
	CHECK_CALL(dup2(first, HIGHEST) == HIGHEST && dup2(first, 64) == 64);
	CHECK_CALL(lseek(first, 1000, SEEK_SET) == 1000 && lseek(other, 2000, SEEK_SET) == 2000);
	workload_ready();
	workload_wait();
	for (int fd = 0; fd < HIGHEST + 100; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	CHECK(count == 3 + 5, "there are %d descriptors, there were %d", count, 3 + 5);
	expect(first, 0);
	expect(other, FD_CLOEXEC);
	expect(100, FD_CLOEXEC);
	expect(64, 0);
	expect(HIGHEST, 0);
	CHECK_CALL(lseek(100, 500, SEEK_CUR) == 1500);
	CHECK(position(first) == 1500 && position(64) == 1500 && position(HIGHEST) == 1500,
	      "descriptors of one file have positions of their own: %lld %lld %lld",
	      (long long)position(first), (long long)position(64), (long long)position(HIGHEST));
	CHECK(position(other) == 2000, "another file moved with them to %lld",
	      (long long)position(other));
	workload_pass();
}
