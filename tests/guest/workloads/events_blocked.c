// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: threads that wait to read from a pipe, an eventfd and a timerfd wait on
 * @timed
 */
#include "workload.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

struct wait {
	int fd, to_read, expected;
	_Atomic pid_t tid;
	uint64_t value;
	pthread_t thread;
};

static void *wait_to_read(void *arg)
{
	struct wait *wait = arg;

	wait->tid = (pid_t)syscall(SYS_gettid);

	ssize_t n = read(wait->fd, &wait->value, wait->to_read);

	CHECK(n == wait->expected, "a waiting read(2) ended with %zd: %s", n, strerror(errno));
	return NULL;
}

static void *wait_in_poll(void *arg)
{
	struct wait *wait = arg;
	struct pollfd fd = {wait->fd, POLLIN, 0};

	wait->tid = (pid_t)syscall(SYS_gettid);
	CHECK(poll(&fd, 1, -1) == 1 && fd.revents == POLLIN, "a waiting poll(2) ended with %x: %s",
	      fd.revents, strerror(errno));
	return NULL;
}

static void start(struct wait *wait, void *(*run)(void *), long call)
{
	wait->thread = workload_thread(run, wait);
	while (!wait->tid)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	workload_until_in_call(wait->tid, call);
}

int main(int argc, char **argv)
{
	int pipe_ends[2], polled[2];

	workload_start(argc, argv, NULL);

	int event = eventfd(0, 0), timer = timerfd_create(CLOCK_MONOTONIC, 0);
	int64_t deadline = workload_now() + workload_timeout();
	struct itimerspec when = {.it_value = workload_timespec(deadline)};

	CHECK_CALL(!pipe(pipe_ends) && !pipe(polled) && event >= 0 && timer >= 0);
	CHECK_CALL(!timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL));

	struct wait waits[] = {
		{.fd = pipe_ends[0], .to_read = 8, .expected = 5},
		{.fd = event, .to_read = 8, .expected = 8},
		{.fd = timer, .to_read = 8, .expected = 8},
		{.fd = polled[0]},
	};

	for (int i = 0; i < 3; i++)
		start(&waits[i], wait_to_read, SYS_read);
	start(&waits[3], wait_in_poll, SYS_poll);
	workload_ready();
	workload_wait();
	for (int i = 0; i < 4; i++)
		workload_until_in_call(waits[i].tid, i < 3 ? SYS_read : SYS_poll);
	CHECK_CALL(write(pipe_ends[1], "hello", 5) == 5 && !eventfd_write(event, 77));
	CHECK_CALL(write(polled[1], "x", 1) == 1);
	for (int i = 0; i < 4; i++)
		pthread_join(waits[i].thread, NULL);
	CHECK(!memcmp(&waits[0].value, "hello", 5), "the pipe gave other bytes");
	CHECK(waits[1].value == 77, "the eventfd gave %llu", (unsigned long long)waits[1].value);
	CHECK(waits[2].value == 1, "the timer gave %llu", (unsigned long long)waits[2].value);
	workload_check_deadline(deadline);
	workload_pass();
}
