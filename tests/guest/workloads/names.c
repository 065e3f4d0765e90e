// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: each thread keeps its name
 */
#include "workload.h"

#include <sys/prctl.h>

enum { LENGTH = 16 };

static int set_up;

static const char *const names[] = {"a", "fifteen letters", "(odd) %s\t\x01\xff", ""};

static void *run(void *arg)
{
	const char *wanted = arg;
	char now[LENGTH];

	prctl(PR_SET_NAME, wanted);
	__atomic_fetch_add(&set_up, 1, __ATOMIC_SEQ_CST);
	workload_wait();
	prctl(PR_GET_NAME, now);
	CHECK(!strcmp(now, wanted), "the thread \"%s\" became \"%s\"", wanted, now);
	return NULL;
}

int main(int argc, char **argv)
{
	enum { THREADS = sizeof(names) / sizeof(*names) };
	pthread_t threads[THREADS];
	char now[LENGTH];

	workload_start(argc, argv, NULL);
	prctl(PR_SET_NAME, "the leader");
	for (int i = 0; i < THREADS; i++)
		threads[i] = workload_thread(run, (void *)names[i]);
	while (__atomic_load_n(&set_up, __ATOMIC_SEQ_CST) < THREADS)
		sched_yield();
	workload_ready();
	workload_wait();
	prctl(PR_GET_NAME, now);
	CHECK(!strcmp(now, "the leader"), "the leader became \"%s\"", now);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	workload_pass();
}
