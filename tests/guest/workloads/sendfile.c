// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: of a file sent into a pipe that is slowly read, nothing is lost or doubled
 * @busy
 */
#include "workload.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/sendfile.h>

/* It takes over a minute to read all of it. */
enum { SIZE = 1 << 20, PIECE = 256, PAUSE_NS = 20 * 1000000, PIPE_SIZE = 1 << 16, SEED = 83 };

static int ends[2], file;

static void prepare(void)
{
	workload_make_file("source", SIZE, SEED);
}

/* The file's own position is what says how far it has got. */
static void *send_all(void *arg)
{
	off_t position;
	ssize_t n;

	(void)arg;
	do {
		n = sendfile(ends[1], file, NULL, SIZE);
		CHECK(n >= 0 || errno == EINTR, "sendfile: %s", strerror(errno));
	} while (n);
	position = lseek(file, 0, SEEK_CUR);
	CHECK(position == SIZE, "the file's position is %lld", (long long)position);
	close(ends[1]);
	return NULL;
}

static size_t read_some(uint8_t *bytes, size_t done)
{
	ssize_t n = read(ends[0], bytes + done, PIECE);

	CHECK(n >= 0, "read: %s", strerror(errno));
	CHECK(n ? done + (size_t)n <= SIZE : done == SIZE, "there are %zu bytes", done + (size_t)n);
	return (size_t)n;
}

int main(int argc, char **argv)
{
	workload_start(argc, argv, prepare);

	uint8_t *found = malloc(SIZE + PIECE);
	size_t done = 0;

	CHECK_CALL(found && !pipe(ends));
	file = open(workload_path("source"), O_RDONLY);
	CHECK_CALL(file >= 0);

	pthread_t sender = workload_thread(send_all, NULL);

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
	workload_check_fill(found, SIZE, SEED, "the stream");
	pthread_join(sender, NULL);
	workload_pass();
}
