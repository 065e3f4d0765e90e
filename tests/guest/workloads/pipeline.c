// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a pipeline of processes, its pipes full and its writers blocked, loses and doubles
 * nothing
 */
#include "workload.h"

#include <sys/wait.h>

enum {
	NR_STAGES = 4,
	TOTAL = 3 << 20,
	CHUNK = 10000,
};

static int ends[NR_STAGES + 1][2];

static void close_but(int in, int out)
{
	for (int i = 0; i <= NR_STAGES; i++) {
		if (ends[i][0] != in)
			close(ends[i][0]);
		if (ends[i][1] != out)
			close(ends[i][1]);
	}
}

static void put(int fd, const unsigned char *bytes, size_t len)
{
	while (len) {
		ssize_t done = write(fd, bytes, len);

		CHECK_CALL(done > 0);
		bytes += done;
		len -= (size_t)done;
	}
}

/* What the first one sends: a pattern of words that doesn't repeat. */
static void source(int out)
{
	static unsigned char bytes[TOTAL];

	workload_fill(bytes, TOTAL, 77);
	put(out, bytes, TOTAL);
	_exit(0);
}

/* Adds one to each byte. */
static void stage(int in, int out)
{
	static unsigned char bytes[CHUNK];
	ssize_t nr;

	while ((nr = read(in, bytes, sizeof(bytes))) > 0) {
		for (ssize_t i = 0; i < nr; i++)
			bytes[i]++;
		put(out, bytes, (size_t)nr);
	}
	CHECK_CALL(!nr);
	_exit(0);
}

static void drain(int in)
{
	static unsigned char bytes[TOTAL];
	size_t len = 0;
	ssize_t nr;

	while (len < TOTAL && (nr = read(in, bytes + len, TOTAL - len)) > 0)
		len += (size_t)nr;
	CHECK(len == TOTAL, "%zu bytes arrive instead of %d", len, TOTAL);
	for (size_t i = 0; i < TOTAL; i++)
		bytes[i] = (unsigned char)(bytes[i] - (NR_STAGES - 1));
	workload_check_fill(bytes, TOTAL, 77, "what arrives");
	CHECK(read(in, bytes, 1) == 0, "more arrives");
}

int main(int argc, char **argv)
{
	int status;

	workload_start(argc, argv, NULL);
	for (int i = 0; i <= NR_STAGES; i++)
		CHECK_CALL(!pipe(ends[i]));
	for (int i = 0; i < NR_STAGES; i++) {
		const int in = i ? ends[i][0] : -1, out = ends[i + 1][1];
		pid_t pid = fork();

		CHECK_CALL(pid >= 0);
		if (pid)
			continue;
		close_but(in, out);
		if (i)
			stage(in, out);
		source(out);
	}
	close_but(ends[NR_STAGES][0], -1);
	/* All pipes fill up, and nobody reads the last one. */
	usleep(500000);
	workload_ready();
	workload_wait();
	drain(ends[NR_STAGES][0]);
	for (int i = 0; i < NR_STAGES; i++) {
		CHECK_CALL(wait(&status) > 0);
		CHECK(WIFEXITED(status) && !WEXITSTATUS(status), "a stage ended with 0x%x", status);
	}
	workload_pass();
}
