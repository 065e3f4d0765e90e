// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: deep stacks of the leader and of a thread come back, and grow on
 */
#include "workload.h"

enum { DEPTH = 1200, FRAME = 3000 };

static int __attribute__((noinline)) down(int depth, uint64_t seed, bool leader)
{
	volatile char frame[FRAME];
	int result;

	workload_fill((char *)frame, FRAME, seed + depth);
	if (depth) {
		result = down(depth - 1, seed, leader);
	} else {
		if (leader)
			workload_ready();
		workload_wait();
		result = 0;
	}
	workload_check_fill((char *)frame, FRAME, seed + depth, "a frame of the stack");
	return result + 1;
}

/* Deeper than before: into pages that the stack hasn't had yet. */
static int __attribute__((noinline)) deeper(int depth)
{
	volatile char frame[FRAME];

	frame[0] = (char)depth;
	return depth ? deeper(depth - 1) + (frame[0] == (char)depth) : 0;
}

static void *run(void *arg)
{
	(void)arg;
	CHECK(down(DEPTH, 7000, false) == DEPTH + 1, "the thread came back too early");
	return NULL;
}

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);

	pthread_t thread = workload_thread(run, NULL);

	CHECK(down(DEPTH, 1000, true) == DEPTH + 1, "the leader came back too early");
	pthread_join(thread, NULL);
	CHECK(deeper(DEPTH + 600) == DEPTH + 600, "the stack doesn't grow");
	CHECK(strstr(workload_vma(__builtin_frame_address(0)).flags, "gd "),
	      "the stack's mapping isn't one that grows");
	workload_pass();
}
