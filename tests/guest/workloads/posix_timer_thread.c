// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a POSIX timer of one thread (SIGEV_THREAD_ID) sends its signal to that thread
 * @timed
 */
#include "workload.h"

#include <sys/syscall.h>

static volatile pid_t target, handled_by;
static volatile int value;
static volatile int64_t handled_at;
static bool stop;

static void handler(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	value = info->si_value.sival_int;
	handled_by = gettid();
	handled_at = workload_now();
}

static void *run(void *arg)
{
	(void)arg;
	__atomic_store_n(&target, gettid(), __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST))
		nanosleep(&(struct timespec){.tv_nsec = 50 * 1000000}, NULL);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 9};
	struct itimerspec when = {.it_value = workload_timespec(workload_timeout())};
	int timer;

	workload_start(argc, argv, NULL);
	sigaction(SIGRTMIN + 9, &action, NULL);

	pthread_t threads[3];

	for (int i = 0; i < 3; i++) {
		target = 0;
		threads[i] = workload_thread(run, NULL);
		while (!target)
			sched_yield();
	}
	event.sigev_value.sival_int = 31337;
	event._sigev_un._tid = target;
	CHECK_CALL(!syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer));

	int64_t deadline = workload_now() + workload_timeout();

	CHECK_CALL(!syscall(SYS_timer_settime, timer, 0, &when, NULL));
	workload_ready();
	workload_wait();
	CHECK(!handled_at, "it expired before there was a go file: nothing was tested");
	while (!handled_at) {
		CHECK(workload_now() < deadline + WORKLOAD_LATE, "the timer's signal didn't come");
		nanosleep(&(struct timespec){.tv_nsec = 50 * 1000000}, NULL);
	}
	CHECK(handled_at >= deadline - WORKLOAD_EARLY, "it expired too early");
	CHECK(handled_by == target, "thread %d got the signal of thread %d", handled_by, target);
	CHECK(value == 31337, "the value is %d", value);
	__atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	workload_pass();
}
