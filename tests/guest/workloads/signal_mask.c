// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: each thread keeps the signals that it blocks
 */
#include "workload.h"

enum { THREADS = 4 };

struct blocker {
	int number;
	bool set_up;
};

/* A different choice for each thread, of ordinary and real-time signals. */
static bool chosen(int number, int sig)
{
	if (sig == SIGKILL || sig == SIGSTOP || sig == 32 || sig == 33)
		return false;
	return workload_word(1000 + number, sig) & 1;
}

static void choose(int number)
{
	sigset_t mask;

	sigemptyset(&mask);
	for (int sig = 1; sig <= 64; sig++)
		if (chosen(number, sig))
			sigaddset(&mask, sig);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

static void check(int number)
{
	sigset_t mask;

	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	for (int sig = 1; sig <= 64; sig++)
		CHECK((sigismember(&mask, sig) == 1) == chosen(number, sig),
		      "thread %d: signal %d is%s blocked", number, sig,
		      chosen(number, sig) ? " not" : "");
}

static void *run(void *arg)
{
	struct blocker *blocker = arg;

	choose(blocker->number);
	__atomic_store_n(&blocker->set_up, true, __ATOMIC_SEQ_CST);
	workload_wait();
	check(blocker->number);
	return NULL;
}

int main(int argc, char **argv)
{
	static struct blocker blockers[THREADS];
	pthread_t threads[THREADS];

	workload_start(argc, argv, NULL);
	for (int i = 0; i < THREADS; i++) {
		blockers[i].number = i + 1;
		threads[i] = workload_thread(run, &blockers[i]);
		while (!__atomic_load_n(&blockers[i].set_up, __ATOMIC_SEQ_CST))
			sched_yield();
	}
	choose(0);
	workload_ready();
	workload_wait();
	check(0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	workload_pass();
}
