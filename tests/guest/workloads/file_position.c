// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: each open file keeps its position, beyond 4 GiB too, and reads on from there
 */
#include "workload.h"

#include <fcntl.h>
#include <sys/stat.h>

enum { SIZE = 100000, FILES = 3 };

static const off_t large = 5LL << 30;

static void prepare(void)
{
	int fd;

	workload_make_file("data", SIZE, 31);
	fd = open(workload_path("sparse"), O_WRONLY | O_CREAT | O_TRUNC, 0644);
	CHECK_CALL(fd >= 0 && pwrite(fd, "far away", 8, large) == 8 && !fchmod(fd, 0644));
	close(fd);
}

static int open_at(const char *what, int flags, off_t position)
{
	int fd = open(workload_path(what), flags);

	CHECK_CALL(fd >= 0 && lseek(fd, position, SEEK_SET) == position);
	return fd;
}

int main(int argc, char **argv)
{
	static const off_t positions[FILES] = {0, 77777, SIZE + 500};
	static uint8_t file[SIZE], bytes[100];
	int fds[FILES], sparse;

	workload_start(argc, argv, prepare);
	workload_fill(file, SIZE, 31);
	for (int i = 0; i < FILES; i++)
		fds[i] = open_at("data", i ? O_RDWR : O_RDONLY, positions[i]);
	sparse = open_at("sparse", O_RDONLY, large + 4);
	workload_ready();
	workload_wait();
	for (int i = 0; i < FILES; i++) {
		off_t now = lseek(fds[i], 0, SEEK_CUR);

		CHECK(now == positions[i], "file %d is at %lld, was at %lld", i, (long long)now,
		      (long long)positions[i]);
	}
	for (int i = 0; i < 2; i++)
		CHECK(read(fds[i], bytes, 100) == 100 && !memcmp(bytes, file + positions[i], 100),
		      "file %d reads something else", i);
	CHECK(read(fds[2], bytes, 100) == 0, "behind its end the file has something to read");
	CHECK(read(sparse, bytes, 100) == 4 && !memcmp(bytes, "away", 4),
	      "the large file reads something else");
	workload_pass();
}
