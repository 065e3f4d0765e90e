// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a computation that a timer's signals interrupt all the time goes on undisturbed
 * @busy
 */
#include "workload.h"

#include <sys/time.h>

/* What was computed in @steps, and in the handler for each signal. */
static volatile uint64_t steps, sum, signals, signal_sum;
static uint32_t stop;

static void handler(int sig)
{
	double inexact = (double)signals / 3;

	(void)sig;
	signal_sum += workload_word(2, signals);
	signals++;
	asm volatile("" : : "x"(inexact));
}

static void compute(void)
{
	double root = 0;

	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
		for (int i = 0; i < 1000; i++) {
			sum += workload_word(1, steps);
			steps++;
			root = root / 2 + 1;
		}
		CHECK(root > 1.99 && root <= 2.0, "a computed number changed to %f", root);
	}
}

static void *watch(void *arg)
{
	workload_ready();
	workload_wait();

	uint64_t before = signals;
	int64_t patience = workload_now() + 20 * WORKLOAD_NS_PER_S;

	while (signals < before + 20 && workload_now() < patience)
		nanosleep(&(struct timespec){.tv_nsec = 20 * 1000000}, NULL);
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	CHECK(signals >= before + 20, "the signals stopped after %llu", (long long)signals);
	return arg;
}

int main(int argc, char **argv)
{
	struct itimerval timer = {.it_value = {0, 20000}, .it_interval = {0, 20000}};
	uint64_t expected = 0;
	sigset_t alarm;

	workload_start(argc, argv, NULL);
	sigaction(SIGALRM, &(struct sigaction){.sa_handler = handler}, NULL);
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	/* The other thread is not disturbed. */
	pthread_sigmask(SIG_BLOCK, &alarm, NULL);

	pthread_t watcher = workload_thread(watch, NULL);

	pthread_sigmask(SIG_UNBLOCK, &alarm, NULL);
	CHECK_CALL(!setitimer(ITIMER_REAL, &timer, NULL));
	compute();
	pthread_sigmask(SIG_BLOCK, &alarm, NULL);
	pthread_join(watcher, NULL);
	for (uint64_t i = 0; i < steps; i++)
		expected += workload_word(1, i);
	CHECK(sum == expected, "the sum is wrong after %llu steps", (long long)steps);
	expected = 0;
	for (uint64_t i = 0; i < signals; i++)
		expected += workload_word(2, i);
	CHECK(signal_sum == expected, "the handler's sum is wrong after %llu signals",
	      (long long)signals);
	workload_pass();
}
