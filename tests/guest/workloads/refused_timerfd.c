// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a timerfd is refused, by number and kind
 * @expect: refused fd 40; timerfd
 */
#include "workload.h"

#include <sys/timerfd.h>

int main(int argc, char **argv)
{
	struct itimerspec now, when = {.it_value = {1000, 0}, .it_interval = {7, 0}};
	int fd;

	workload_start(argc, argv, NULL);
	fd = timerfd_create(CLOCK_MONOTONIC, 0);
	CHECK_CALL(fd >= 0 && dup2(fd, 40) == 40 && !close(fd));
	CHECK_CALL(!timerfd_settime(40, 0, &when, NULL));
	workload_ready();
	workload_wait();
	CHECK_CALL(!timerfd_gettime(40, &now));
	CHECK(now.it_interval.tv_sec == 7 && now.it_value.tv_sec > 0, "the timer was lost");
	workload_pass();
}
