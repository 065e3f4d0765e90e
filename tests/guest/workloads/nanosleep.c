// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a thread in nanosleep sleeps for the time that was left, and is told it if interrupted
 * @timed
 */
#include "workload.h"

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);

	struct timespec left, request = workload_timespec(workload_timeout());
	int64_t deadline = workload_now() + workload_timeout();

	workload_ready();
	for (;;) {
		left = (struct timespec){-1, -1};
		if (!nanosleep(&request, &left))
			break;
		CHECK(errno == EINTR, "nanosleep: %s", strerror(errno));

		int64_t expected = deadline - workload_now();

		CHECK(left.tv_nsec >= 0, "interrupted, and the time left wasn't told");
		CHECK(workload_ns(left) >= expected - WORKLOAD_EARLY &&
			      workload_ns(left) <= expected + WORKLOAD_LATE,
		      "told that %lld ms are left, when it is %lld",
		      (long long)workload_ns(left) / 1000000, (long long)expected / 1000000);
		request = left;
	}
	workload_check_deadline(deadline);
	workload_pass();
}
