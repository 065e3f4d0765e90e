// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: threads that share their seccomp filters still do: another one can be given to all
 */
#include "seccomp.h"

enum { NR = 3, FIRST = 91, SECOND = 92, THIRD = 93 };

static pthread_barrier_t barrier;

static void *run(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	seccomp_check_number((pid_t)syscall(SYS_gettid), 3);
	seccomp_expect("thread", SECCOMP_CALL_A, FIRST);
	seccomp_expect("thread", SECCOMP_CALL_B, SECOND);
	seccomp_expect("thread", SECCOMP_CALL_C, THIRD);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t ids[NR];

	workload_start(argc, argv, NULL);
	CHECK_CALL(!pthread_barrier_init(&barrier, NULL, NR + 1));
	/* One that the threads inherit, one that they are given. */
	CHECK_CALL(!seccomp_install(0, SECCOMP_CALL_A, FIRST));
	for (int i = 0; i < NR; i++)
		ids[i] = workload_thread(run, NULL);
	pthread_barrier_wait(&barrier);
	CHECK_CALL(!seccomp_install(SECCOMP_FILTER_FLAG_TSYNC, SECCOMP_CALL_B, SECOND));
	workload_ready();
	workload_wait();
	long result = seccomp_install(SECCOMP_FILTER_FLAG_TSYNC, SECCOMP_CALL_C, THIRD);

	CHECK(!result, "threads don't share their filters any more (%ld)", result);
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < NR; i++)
		CHECK_CALL(!pthread_join(ids[i], NULL));
	seccomp_expect("main thread", SECCOMP_CALL_C, THIRD);
	workload_pass();
}
