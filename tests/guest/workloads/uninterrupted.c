// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: waits for a time end when they should, and none is seen to be interrupted
 * @timed
 * @frozen
 */
#include "workload.h"

#include <linux/futex.h>
#include <poll.h>
#include <sys/syscall.h>

/* One wait; what it returns, with its errno. */
struct wait {
	const char *name;
	int (*run)(int64_t timeout);
	int64_t deadline;
	pthread_t thread;
};

static int sleep_only(int64_t timeout)
{
	struct timespec request = workload_timespec(timeout);
	int result = (int)syscall(SYS_nanosleep, &request, NULL);

	CHECK(workload_ns(request) == timeout, "a request of nanosleep was overwritten");
	return result;
}

static int sleep_with_rest(int64_t timeout)
{
	struct timespec request = workload_timespec(timeout), rest;
	int result = (int)syscall(SYS_nanosleep, &request, &rest);

	CHECK(workload_ns(request) == timeout, "a request of nanosleep was overwritten");
	return result;
}

/* As sleep(3) does it. */
static int sleep_in_place(int64_t timeout)
{
	struct timespec request = workload_timespec(timeout);

	return (int)syscall(SYS_nanosleep, &request, &request);
}

static int sleep_on_clock(int64_t timeout)
{
	static struct timespec request;

	request = workload_timespec(timeout);
	int result = (int)syscall(SYS_clock_nanosleep, CLOCK_BOOTTIME, 0, &request, NULL);

	CHECK(workload_ns(request) == timeout, "a request of clock_nanosleep was overwritten");
	return result;
}

static int wait_on_futex(int64_t timeout)
{
	static uint32_t word;
	const struct timespec request = workload_timespec(timeout);
	int result = (int)syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &request, NULL, 0);

	CHECK(workload_ns(request) == timeout, "a time-out of futex was overwritten");
	return result == -1 && errno == ETIMEDOUT ? 0 : -1;
}

static int wait_in_poll(int64_t timeout)
{
	return poll(NULL, 0, (int)(timeout / 1000000));
}

/* For how long the process did not run: the largest step that its clock made, in ns. */
static int64_t largest_step;

static void *watch_clock(void *arg)
{
	int64_t last = workload_now();

	for (;;) {
		nanosleep(&(struct timespec){.tv_nsec = 20 * 1000000}, NULL);

		int64_t now = workload_now();

		if (now - last > __atomic_load_n(&largest_step, __ATOMIC_RELAXED))
			__atomic_store_n(&largest_step, now - last, __ATOMIC_RELAXED);
		last = now;
	}
	return arg;
}

/*
 * A wait that is begun again with the time left at the dump doesn't count the time from then until
 * the process runs again. Its clock does, from some moment in the restore on.
 */
static void check_end(const struct wait *wait)
{
	int64_t late = workload_now() - wait->deadline;
	int64_t stood = __atomic_load_n(&largest_step, __ATOMIC_RELAXED);

	CHECK(late >= -WORKLOAD_EARLY, "%s ended %lld ms too early", wait->name,
	      (long long)-late / 1000000);
	CHECK(late <= WORKLOAD_LATE + stood,
	      "%s ended %lld ms too late; the process stood for %lld", wait->name,
	      (long long)late / 1000000, (long long)stood / 1000000);
	CHECK(workload_go(), "ended before there was a go file: nothing was tested");
}

static void *run(void *arg)
{
	struct wait *wait = arg;
	int result = wait->run(workload_timeout());

	CHECK(!result, "%s: %s", wait->name, strerror(errno));
	check_end(wait);
	return NULL;
}

/* Without a time-out; this one is never restarted by the kernel. */
static void *wait_for_signal(void *arg)
{
	sigset_t set;
	int signo;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	signo = sigwaitinfo(&set, NULL);
	CHECK(signo == SIGUSR1, "sigwaitinfo returned %d: %s", signo, strerror(errno));
	return arg;
}

int main(int argc, char **argv)
{
	struct wait waits[] = {
		{.name = "nanosleep", .run = sleep_only},
		{.name = "nanosleep with a rest", .run = sleep_with_rest},
		{.name = "nanosleep in place", .run = sleep_in_place},
		{.name = "clock_nanosleep", .run = sleep_on_clock},
		{.name = "futex", .run = wait_on_futex},
		{.name = "poll", .run = wait_in_poll},
	};
	const int nr = sizeof(waits) / sizeof(*waits);
	sigset_t block;

	workload_start(argc, argv, NULL);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &block, NULL);

	pthread_t waiter = workload_thread(wait_for_signal, NULL);

	workload_thread(watch_clock, NULL);

	for (int i = 0; i < nr; i++) {
		waits[i].deadline = workload_now() + workload_timeout();
		waits[i].thread = workload_thread(run, &waits[i]);
	}
	/* Each is in its call by then. */
	nanosleep(&(struct timespec){.tv_nsec = 200 * 1000000}, NULL);
	workload_ready();
	workload_wait();
	for (int i = 0; i < nr; i++)
		pthread_join(waits[i].thread, NULL);
	pthread_kill(waiter, SIGUSR1);
	pthread_join(waiter, NULL);
	workload_pass();
}
