// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: threads that count without a pause miss no step and repeat none
 * @busy
 */
#include "workload.h"

enum { THREADS = 3 };

struct counter {
	/* The sum of the first @count words of a pattern: a step lost or repeated spoils it. */
	volatile uint64_t count, sum;
	uint64_t at_go;
	char padding[104];
};

static struct counter counters[THREADS];
static uint32_t stop;

static void *run(void *arg)
{
	struct counter *counter = arg;
	uint64_t seed = counter - counters;

	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
		counter->sum += workload_word(seed, counter->count);
		counter->count++;
	}
	return NULL;
}

static void check(const struct counter *counter)
{
	uint64_t sum = 0, seed = counter - counters;

	CHECK(counter->count > counter->at_go, "counter %d stands still", (int)seed);
	for (uint64_t i = 0; i < counter->count; i++)
		sum += workload_word(seed, i);
	CHECK(sum == counter->sum, "the sum of counter %d is wrong after %llu steps", (int)seed,
	      (unsigned long long)counter->count);
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];

	workload_start(argc, argv, NULL);
	for (int i = 0; i < THREADS; i++)
		threads[i] = workload_thread(run, &counters[i]);
	workload_ready();
	workload_wait();
	for (int i = 0; i < THREADS; i++)
		counters[i].at_go = counters[i].count;
	sleep(1);
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		check(&counters[i]);
	}
	workload_pass();
}
