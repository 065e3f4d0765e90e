// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a pipe keeps pages of files (splice), of memory (vmsplice) and of other pipes (tee)
 */
#include "workload.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>

enum { PAGE = 4096, SIZE = 3 * PAGE + 100, SKIP = 1000, USER = PAGE + 500, END = 5 };

static void prepare(void)
{
	workload_make_file("data", SIZE, 71);
}

int main(int argc, char **argv)
{
	static uint8_t file[SIZE], memory[USER], found[SIZE - SKIP + USER + END];
	loff_t offset = SKIP;
	int ends[2], first[2];

	workload_start(argc, argv, prepare);

	struct iovec iov = {memory, USER};
	int fd = open(workload_path("data"), O_RDONLY | O_CLOEXEC);
	const size_t total = sizeof(found);

	workload_fill(file, SIZE, 71);
	workload_fill(memory, USER, 72);
	CHECK_CALL(fd >= 0 && !pipe(ends) && !pipe(first));
	CHECK_CALL(splice(fd, &offset, ends[1], NULL, SIZE - SKIP, 0) == SIZE - SKIP);
	CHECK_CALL(vmsplice(ends[1], &iov, 1, 0) == USER);
	CHECK_CALL(write(first[1], "other", END) == END);
	CHECK_CALL(tee(first[0], ends[1], END, 0) == END);
	CHECK_CALL(!close(fd));
	workload_ready();
	workload_wait();
	for (size_t done = 0; done < total;) {
		ssize_t n = read(ends[0], found + done, total - done);

		CHECK(n > 0, "reading at %zu: %s", done, strerror(errno));
		done += (size_t)n;
	}
	CHECK(!memcmp(found, file + SKIP, SIZE - SKIP), "what was of the file is different");
	workload_check_fill(found + SIZE - SKIP, USER, 72, "what was of memory");
	CHECK(!memcmp(found + total - END, "other", END), "what was of a pipe is different");
	CHECK(read(first[0], found, total) == END && !memcmp(found, "other", END),
	      "the other pipe holds something else");
	workload_pass();
}
