// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: timerfds go on with the time they have left, their intervals and unread expirations
 * @timed
 */
#include "workload.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/timerfd.h>

/* Coarse enough for a busy machine, in ms. */
enum { INTERVAL = 250, FIRST = 10, FAST = 20 };

static struct timespec ms(int64_t time)
{
	return workload_timespec(time * 1000000);
}

static int timer(clockid_t clock, int flags, struct timespec value, int64_t interval)
{
	struct itimerspec when = {.it_value = value, .it_interval = ms(interval)};
	int fd = timerfd_create(clock, TFD_NONBLOCK | TFD_CLOEXEC);

	CHECK_CALL(fd >= 0 && !timerfd_settime(fd, flags, &when, NULL));
	return fd;
}

/* Expirations; 0 if there was none since it was read. */
static uint64_t ticks(int fd)
{
	uint64_t count = 0;

	CHECK(read(fd, &count, sizeof(count)) == sizeof(count) || errno == EAGAIN,
	      "reading a timer: %s", strerror(errno));
	return count;
}

static void wait_for(int fd)
{
	struct pollfd poll_fd = {fd, POLLIN, 0};

	while (poll(&poll_fd, 1, -1) != 1)
		CHECK_CALL(errno == EINTR);
}

static void check_off(int fd, int64_t interval)
{
	struct itimerspec now;

	CHECK_CALL(!timerfd_gettime(fd, &now));
	CHECK(!workload_ns(now.it_value) && workload_ns(now.it_interval) == interval * 1000000,
	      "a timer that was off is on");
	CHECK(!ticks(fd), "a timer that was off has expired");
}

static void check_left(int fd, int64_t seconds, const char *what)
{
	struct itimerspec now;

	CHECK_CALL(!timerfd_gettime(fd, &now));
	CHECK(now.it_value.tv_sec > seconds - 600 && now.it_value.tv_sec <= seconds &&
		      !workload_ns(now.it_interval),
	      "%s has %lld s left, had %lld", what, (long long)now.it_value.tv_sec,
	      (long long)seconds);
}

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);

	int64_t start = workload_now(), deadline = start + workload_timeout();
	struct timespec later = workload_timespec(workload_clock(CLOCK_REALTIME));

	later.tv_sec += 5000;

	int once = timer(CLOCK_MONOTONIC, 0, workload_timespec(deadline - start), 0);
	int absolute = timer(CLOCK_MONOTONIC, TFD_TIMER_ABSTIME, workload_timespec(deadline), 0);
	int boot = timer(CLOCK_BOOTTIME, 0, workload_timespec(1000 * WORKLOAD_NS_PER_S), 0);
	int wall = timer(CLOCK_REALTIME, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, later, 0);
	int periodic = timer(CLOCK_MONOTONIC, 0, ms(FIRST), INTERVAL);
	int expired = timer(CLOCK_MONOTONIC, 0, ms(FIRST), 0);
	int done = timer(CLOCK_MONOTONIC, 0, ms(FIRST), 0);
	int off = timer(CLOCK_REALTIME, TFD_TIMER_ABSTIME, ms(0), INTERVAL);
	int read_in_time = timer(CLOCK_REALTIME, 0, ms(FAST), FAST);

	wait_for(done);
	CHECK(ticks(done) == 1, "a timer didn't expire once");
	wait_for(expired);
	wait_for(read_in_time);
	CHECK(ticks(read_in_time), "a timer didn't expire");
	workload_ready();
	workload_wait();
	check_left(boot, 1000, "the timer on CLOCK_BOOTTIME");
	check_left(wall, 5000, "the timer on CLOCK_REALTIME");
	check_off(off, INTERVAL);
	check_off(done, 0);
	CHECK(ticks(expired) == 1, "an unread expiration is lost");

	/* It has gone on all the time, but for that between dump and restore. */
	uint64_t most = (uint64_t)((workload_now() - start) / 1000000 / INTERVAL) + 1;
	uint64_t found = ticks(periodic);

	CHECK(found > 0 && found <= most, "%llu expirations were not read, of %llu at most",
	      (unsigned long long)found, (unsigned long long)most);
	for (int i = 0; i < 3; i++) {
		wait_for(periodic);
		CHECK(ticks(periodic), "a periodic timer has stopped");
		wait_for(read_in_time);
		CHECK(ticks(read_in_time), "another periodic timer has stopped");
	}
	wait_for(once);
	CHECK(ticks(once) == 1, "the one-shot timer expired more than once");
	workload_check_deadline(deadline);
	wait_for(absolute);
	workload_check_deadline(deadline);
	workload_pass();
}
