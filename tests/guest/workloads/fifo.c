// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a FIFO keeps what is in it, its size, and the flags of each time it was opened
 */
#include "workload.h"

#include <fcntl.h>
#include <sys/stat.h>

enum { CONTENT = 9001, SIZE = 1 << 17 };

static void prepare(void)
{
	unlink(workload_path("pipe"));
	if (mkfifo(workload_path("pipe"), 0600))
		_exit(2);
}

static void check_flags(int fd, int flags)
{
	int found = fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK);

	CHECK(found == flags, "fd %d has flags 0%o, had 0%o", fd, found, flags);
}

int main(int argc, char **argv)
{
	static uint8_t content[CONTENT], found[CONTENT];
	struct stat path, open_file;

	workload_start(argc, argv, prepare);

	int reader = open(workload_path("pipe"), O_RDONLY | O_NONBLOCK);
	int writer = open(workload_path("pipe"), O_WRONLY), copy = dup(writer);

	CHECK_CALL(reader >= 0 && writer >= 0 && copy >= 0);
	CHECK_CALL(fcntl(reader, F_SETPIPE_SZ, SIZE) == SIZE);
	workload_fill(content, CONTENT, 91);
	CHECK_CALL(write(writer, content, CONTENT) == CONTENT);
	workload_ready();
	workload_wait();
	check_flags(reader, O_RDONLY | O_NONBLOCK);
	check_flags(writer, O_WRONLY);
	CHECK(fcntl(writer, F_GETPIPE_SZ) == SIZE, "the size is %d", fcntl(writer, F_GETPIPE_SZ));
	CHECK_CALL(!stat(workload_path("pipe"), &path) && !fstat(reader, &open_file));
	CHECK(path.st_ino == open_file.st_ino, "it isn't the FIFO of that name");
	for (size_t done = 0; done < CONTENT;) {
		ssize_t n = read(reader, found + done, CONTENT - done);

		CHECK(n > 0, "reading at %zu: %s", done, n ? strerror(errno) : "end of file");
		done += (size_t)n;
	}
	CHECK(!memcmp(found, content, CONTENT), "it holds other bytes");
	CHECK(write(copy, "x", 1) == 1 && read(reader, found, 2) == 1 && found[0] == 'x',
	      "what is written to it isn't read from it");
	CHECK_CALL(!close(writer) && !close(copy));
	CHECK(read(reader, found, 1) == 0, "without a writer, there is no end");
	workload_pass();
}
