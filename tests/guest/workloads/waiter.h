/* SPDX-License-Identifier: GPL-2.0-only */
/* A thread that waits in a system call for a signal: what pause, sigsuspend and ppoll tests share.
 */
#ifndef OVM_WORKLOADS_WAITER_H
#define OVM_WORKLOADS_WAITER_H

#include "workload.h"

struct waiter {
	/* Waits once; returns what the call returned, with its errno. */
	int (*wait)(void);
	/* The system call that it waits in. */
	long call;
	pid_t tid;
	bool returned;
	pthread_t thread;
};

/* In the order of their handling. */
static volatile sig_atomic_t waiter_signal[4], waiter_signals;

static inline void waiter_handler(int sig)
{
	if (waiter_signals < 4)
		waiter_signal[waiter_signals++] = sig;
}

static inline bool waiter_blocks(int sig)
{
	sigset_t mask;

	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	return sigismember(&mask, sig);
}

static inline void *waiter_run(void *arg)
{
	struct waiter *waiter = arg;
	sigset_t block;

	/* The call lets in what is blocked outside of it, and blocks what isn't. */
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &block, NULL);
	__atomic_store_n(&waiter->tid, gettid(), __ATOMIC_SEQ_CST);

	int result = waiter->wait();
	int error = errno;

	__atomic_store_n(&waiter->returned, true, __ATOMIC_SEQ_CST);
	CHECK(result == -1 && error == EINTR, "the wait returned %d: %s", result, strerror(error));
	/* SIGUSR2 follows as soon as the mask of before is back, at the handler's end. */
	CHECK(waiter_signals && waiter_signal[0] == SIGUSR1, "the wait ended by signal %d, not %d",
	      (int)waiter_signal[0], SIGUSR1);
	CHECK(waiter_blocks(SIGUSR1), "the mask from before the wait lost SIGUSR1");
	CHECK(!waiter_blocks(SIGUSR2), "the mask of the wait stayed: SIGUSR2 is blocked");
	return NULL;
}

/* Let the thread wait; announce; after go see that it still waits, and wake it with SIGUSR1. */
static inline void waiter_test(struct waiter *waiter)
{
	struct sigaction action = {.sa_handler = waiter_handler};

	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGUSR2, &action, NULL);
	waiter->thread = workload_thread(waiter_run, waiter);
	while (!__atomic_load_n(&waiter->tid, __ATOMIC_SEQ_CST))
		sched_yield();
	workload_until_in_call(waiter->tid, waiter->call);
	workload_ready();
	workload_wait();
	CHECK(!__atomic_load_n(&waiter->returned, __ATOMIC_SEQ_CST), "the wait ended by itself");
	workload_until_in_call(waiter->tid, waiter->call);
	/* The wait's own mask keeps this one out. */
	pthread_kill(waiter->thread, SIGUSR2);
	nanosleep(&(struct timespec){.tv_nsec = 200 * 1000000}, NULL);
	CHECK(!waiter_signals, "SIGUSR2 came through the mask of the wait");
	pthread_kill(waiter->thread, SIGUSR1);
	pthread_join(waiter->thread, NULL);
	CHECK(waiter_signals == 2 && waiter_signal[1] == SIGUSR2,
	      "SIGUSR2 wasn't delivered when the old mask was back");
	workload_pass();
}

#endif /* OVM_WORKLOADS_WAITER_H */
