// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: threads in futex wait without time-out wait on, and are woken as many as asked for
 */
#include "workload.h"

#include <linux/futex.h>
#include <sys/syscall.h>

enum { THREADS = 4 };

static uint32_t word;
static int woken;

static long futex(int operation, uint32_t value)
{
	return syscall(SYS_futex, &word, operation, value, NULL, NULL, 0);
}

static void *run(void *arg)
{
	*(pid_t *)arg = gettid();
	CHECK(!futex(FUTEX_WAIT_PRIVATE, 0), "futex wait returned: %s", strerror(errno));
	__atomic_fetch_add(&woken, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void await_woken(int count)
{
	for (int tries = 0; tries < 1000; tries++) {
		if (__atomic_load_n(&woken, __ATOMIC_SEQ_CST) == count)
			return;
		nanosleep(&(struct timespec){.tv_nsec = 10 * 1000000}, NULL);
	}
	workload_fail("%d threads are awake, not %d", woken, count);
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	pid_t tids[THREADS] = {0};

	workload_start(argc, argv, NULL);
	for (int i = 0; i < THREADS; i++)
		threads[i] = workload_thread(run, &tids[i]);
	for (int i = 0; i < THREADS; i++) {
		while (!__atomic_load_n(&tids[i], __ATOMIC_SEQ_CST))
			sched_yield();
		workload_until_in_call(tids[i], SYS_futex);
	}
	workload_ready();
	workload_wait();
	CHECK(!__atomic_load_n(&woken, __ATOMIC_SEQ_CST), "%d threads woke by themselves", woken);
	/* Restored threads may have yet to reach the call. */
	for (int i = 0; i < THREADS; i++)
		workload_until_in_call(tids[i], SYS_futex);
	CHECK(futex(FUTEX_WAKE_PRIVATE, 1) == 1, "nobody was there to be woken");
	await_woken(1);
	CHECK(futex(FUTEX_WAKE_PRIVATE, 100) == THREADS - 1, "not all others were woken");
	await_woken(THREADS);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	workload_pass();
}
