// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: each thread has its own seccomp filters again, or none
 */
#include "seccomp.h"

enum { NR = 4 };

static struct {
	pid_t tid;
	/* What the calls A, B and C fail with, in the order of installation; 0: not filtered. */
	int first, second;
} threads[NR] = {{0, 0, 0}, {0, 81, 0}, {0, 82, 83}, {0, 81, 0}};

static pthread_barrier_t barrier;

static void expect(int i)
{
	char who[32];
	int nr = (threads[i].first != 0) + (threads[i].second != 0);

	snprintf(who, sizeof(who), "thread %d", i);
	if (nr)
		seccomp_check_number(threads[i].tid, nr);
	else
		CHECK(!seccomp_status(threads[i].tid, "Seccomp"), "%s is filtered", who);
	seccomp_expect(who, SECCOMP_CALL_A, threads[i].first);
	seccomp_expect(who, SECCOMP_CALL_B, threads[i].second);
	seccomp_expect(who, SECCOMP_CALL_C, 0);
}

static void *run(void *arg)
{
	int i = (int)(intptr_t)arg;

	threads[i].tid = (pid_t)syscall(SYS_gettid);
	if (threads[i].first)
		CHECK_CALL(!seccomp_install(0, SECCOMP_CALL_A, threads[i].first));
	if (threads[i].second)
		CHECK_CALL(!seccomp_install(0, SECCOMP_CALL_B, threads[i].second));
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	expect(i);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t ids[NR];

	workload_start(argc, argv, NULL);
	threads[0].tid = getpid();
	CHECK_CALL(!pthread_barrier_init(&barrier, NULL, NR));
	for (int i = 1; i < NR; i++)
		ids[i] = workload_thread(run, (void *)(intptr_t)i);
	pthread_barrier_wait(&barrier);
	workload_ready();
	workload_wait();
	pthread_barrier_wait(&barrier);
	expect(0);
	for (int i = 1; i < NR; i++)
		CHECK_CALL(!pthread_join(ids[i], NULL));
	workload_pass();
}
