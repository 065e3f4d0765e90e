// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: signals that pend for one thread stay with that thread, with their values
 */
#include "workload.h"

enum { THREADS = 3, QUEUED = 4 };

static sigset_t set;

static void check_taken(const siginfo_t *info, int number, int i)
{
	CHECK(info->si_signo == SIGRTMIN + 6, "thread %d got signal %d", number, info->si_signo);
	CHECK(info->si_code == SI_QUEUE && info->si_pid == getpid(),
	      "thread %d got code %d of process %d", number, info->si_code, info->si_pid);
	CHECK(info->si_value.sival_int == 100 * number + i, "thread %d got value %d, not %d",
	      number, info->si_value.sival_int, 100 * number + i);
}

static void *run(void *arg)
{
	static const struct timespec none;
	int number = (int)(intptr_t)arg;
	siginfo_t info;

	workload_wait();
	CHECK(sigtimedwait(&set, &info, &none) == SIGUSR2, "thread %d lost its SIGUSR2", number);
	/* The C library makes SI_USER of SI_TKILL. */
	CHECK(info.si_code == SI_USER && info.si_pid == getpid(),
	      "SIGUSR2 of thread %d came with code %d", number, info.si_code);
	for (int i = 0; i < QUEUED; i++) {
		CHECK(sigtimedwait(&set, &info, &none) > 0, "thread %d lost a signal", number);
		check_taken(&info, number, i);
	}
	CHECK(sigtimedwait(&set, NULL, &none) == -1, "thread %d got one too many", number);
	return NULL;
}

int main(int argc, char **argv)
{
	static const struct timespec none;
	pthread_t threads[THREADS];

	workload_start(argc, argv, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 6);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	for (int n = 0; n < THREADS; n++) {
		threads[n] = workload_thread(run, (void *)(intptr_t)(n + 1));
		for (int i = 0; i < QUEUED; i++)
			pthread_sigqueue(threads[n], SIGRTMIN + 6,
					 (union sigval){.sival_int = 100 * (n + 1) + i});
		pthread_kill(threads[n], SIGUSR2);
	}
	workload_ready();
	workload_wait();
	CHECK(sigtimedwait(&set, NULL, &none) == -1, "the leader got a thread's signal");
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	workload_pass();
}
