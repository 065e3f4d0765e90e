// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: of a long write into a full pipe, which is slowly read, nothing is lost or doubled
 * @busy
 */
#include "workload.h"

#include <stdlib.h>

enum { WORDS = 1 << 17, SIZE = WORDS * 8, PIECE = 512, PAUSE_NS = 2000000 };

static int ends[2];

/* One call writes as much as it can, and says how much. */
static void *write_all(void *arg)
{
	const uint8_t *words = arg;

	for (size_t done = 0; done < SIZE;) {
		ssize_t n = write(ends[1], words + done, SIZE - done);

		CHECK(n > 0 || errno == EINTR, "write: %s", strerror(errno));
		if (n > 0)
			done += (size_t)n;
	}
	close(ends[1]);
	return NULL;
}

static size_t read_some(uint64_t *words, size_t done)
{
	ssize_t n = read(ends[0], (uint8_t *)words + done, PIECE);

	if (n < 0 && errno == EINTR)
		return 0;
	CHECK(n >= 0, "read: %s", strerror(errno));
	CHECK(n || done == SIZE, "the end came after %zu bytes", done);
	return (size_t)n;
}

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);

	uint64_t *words = malloc(SIZE), *found = malloc(SIZE + PIECE);
	size_t done = 0;

	CHECK_CALL(words && found && !pipe(ends));
	workload_fill(words, SIZE, 81);

	pthread_t writer = workload_thread(write_all, words);

	while (done < PIECE)
		done += read_some(found, done);
	workload_ready();
	for (size_t n = 1; n; done += n) {
		CHECK(done <= SIZE, "more came than was written");
		/* Until it is told to go on, slowly enough for the pipe to be full. */
		if (!workload_go())
			nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
		n = read_some(found, done);
	}
	CHECK(workload_go(), "ended before there was a go file: nothing was tested");
	workload_check_fill(found, SIZE, 81, "the stream");
	pthread_join(writer, NULL);
	workload_pass();
}
