// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: of a long write into a full pipe, which is slowly read, nothing is lost or doubled
 * @timed
 */
#include "workload.h"

#include <stdlib.h>

/* It takes over a minute to read all of it. */
enum { SIZE = 1 << 20, PIECE = 256, PAUSE_NS = 20 * 1000000, PIPE_SIZE = 1 << 16 };

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

	CHECK(n >= 0, "read: %s", strerror(errno));
	CHECK(n ? done + (size_t)n <= SIZE : done == SIZE, "there are %zu bytes", done + (size_t)n);
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
	/* Slowly, so that the pipe is full all the time. */
	while (!workload_go()) {
		nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
		done += read_some(found, done);
		CHECK(done < SIZE - 2 * PIPE_SIZE, "there was no go file: nothing was tested");
	}
	for (size_t n = 1; n; done += n)
		n = read_some(found, done);
	workload_check_fill(found, SIZE, 81, "the stream");
	pthread_join(writer, NULL);
	workload_pass();
}
