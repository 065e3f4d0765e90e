// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: each thread keeps its scheduling policy, real-time priority and nice value
 */
#include "workload.h"

#include <sched.h>
#include <sys/resource.h>

struct setting {
	int policy, priority, nice;
	bool set_up;
};

static void set(const struct setting *wanted)
{
	struct sched_param param = {.sched_priority = wanted->priority};

	CHECK_CALL(!setpriority(PRIO_PROCESS, gettid(), wanted->nice));
	if (sched_setscheduler(0, wanted->policy, &param))
		workload_skip("policy %d can't be had: %s", wanted->policy, strerror(errno));
}

static void check(const struct setting *wanted)
{
	struct sched_param param;
	int policy = sched_getscheduler(0);

	CHECK_CALL(!sched_getparam(0, &param));
	CHECK(policy == wanted->policy, "the policy is %d, was %d", policy, wanted->policy);
	CHECK(param.sched_priority == wanted->priority, "policy %d: the priority is %d, was %d",
	      policy, param.sched_priority, wanted->priority);
	/* A real-time thread has no use for it. */
	if (policy == SCHED_FIFO || policy == SCHED_RR)
		return;

	int nice = getpriority(PRIO_PROCESS, gettid());

	CHECK(nice == wanted->nice, "policy %d: nice is %d, was %d", policy, nice, wanted->nice);
}

static void *run(void *arg)
{
	struct setting *wanted = arg;

	set(wanted);
	__atomic_store_n(&wanted->set_up, true, __ATOMIC_SEQ_CST);
	workload_wait();
	check(wanted);
	return NULL;
}

int main(int argc, char **argv)
{
	static struct setting own = {SCHED_OTHER, 0, 3, false};
	static struct setting others[] = {
		{SCHED_FIFO, 10, 0, false}, {SCHED_RR, 20, 0, false},	 {SCHED_BATCH, 0, 7, false},
		{SCHED_IDLE, 0, 0, false},  {SCHED_OTHER, 0, -6, false},
	};
	enum { THREADS = sizeof(others) / sizeof(*others) };
	pthread_t threads[THREADS];

	workload_start(argc, argv, NULL);
	set(&own);
	for (int i = 0; i < THREADS; i++) {
		threads[i] = workload_thread(run, &others[i]);
		while (!__atomic_load_n(&others[i].set_up, __ATOMIC_SEQ_CST))
			sched_yield();
	}
	workload_ready();
	workload_wait();
	check(&own);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	workload_pass();
}
