// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: mutex, condition variable and barrier go on working between restored threads
 */
#include "workload.h"

enum { THREADS = 6, ROUNDS = 50 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static bool open_gate;
static int waiting, sum;

static void *run(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&mutex);
	waiting++;
	while (!open_gate)
		pthread_cond_wait(&condition, &mutex);
	pthread_mutex_unlock(&mutex);
	for (int round = 0; round < ROUNDS; round++) {
		pthread_barrier_wait(&barrier);
		pthread_mutex_lock(&mutex);
		sum++;
		pthread_mutex_unlock(&mutex);
		pthread_barrier_wait(&barrier);
		CHECK(sum >= (round + 1) * THREADS, "a thread passed the barrier alone");
	}
	return NULL;
}

static int how_many_wait(void)
{
	pthread_mutex_lock(&mutex);
	int count = waiting;

	pthread_mutex_unlock(&mutex);
	return count;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];

	workload_start(argc, argv, NULL);
	pthread_barrier_init(&barrier, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		threads[i] = workload_thread(run, NULL);
	while (how_many_wait() < THREADS)
		sched_yield();
	workload_ready();
	workload_wait();
	pthread_mutex_lock(&mutex);
	CHECK(!sum, "a thread went through the closed gate");
	open_gate = true;
	pthread_cond_broadcast(&condition);
	pthread_mutex_unlock(&mutex);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	CHECK(sum == THREADS * ROUNDS, "%d steps were made, not %d", sum, THREADS * ROUNDS);
	workload_pass();
}
