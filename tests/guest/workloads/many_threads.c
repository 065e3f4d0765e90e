// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: all of 64 threads come back, with the same ids, stacks and variables
 */
#include "workload.h"

enum { THREADS = 64 };

static pid_t tids[THREADS];
static __thread int own;
static int set_up;

static void *run(void *arg)
{
	int number = (int)(intptr_t)arg;
	char on_stack[3000];

	workload_fill(on_stack, sizeof(on_stack), number);
	own = number;
	tids[number] = gettid();
	__atomic_fetch_add(&set_up, 1, __ATOMIC_SEQ_CST);
	workload_wait();
	CHECK(gettid() == tids[number], "thread %d has id %d, had %d", number, gettid(),
	      tids[number]);
	CHECK(own == number, "thread %d has the variable of %d", number, own);
	workload_check_fill(on_stack, sizeof(on_stack), number, "stack");
	return &tids[number];
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];

	workload_start(argc, argv, NULL);
	for (int i = 0; i < THREADS; i++)
		threads[i] = workload_thread(run, (void *)(intptr_t)i);
	while (__atomic_load_n(&set_up, __ATOMIC_SEQ_CST) < THREADS)
		sched_yield();
	workload_ready();
	workload_wait();
	for (int i = 0; i < THREADS; i++) {
		void *result;

		pthread_join(threads[i], &result);
		CHECK(result == &tids[i], "thread %d returned something else", i);
	}
	workload_pass();
}
