// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: select goes on with the time that is left in its argument
 * @timed
 */
#include "workload.h"

#include <sys/select.h>
#include <sys/syscall.h>

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);

	int64_t deadline = workload_now() + workload_timeout();
	struct timeval left = {.tv_sec = workload_timeout() / WORKLOAD_NS_PER_S};
	long n;

	workload_ready();
	/* The kernel's own select: the C library makes pselect6 of it. */
	while ((n = syscall(SYS_select, 0, NULL, NULL, NULL, &left)) == -1) {
		CHECK(errno == EINTR, "select: %s", strerror(errno));
		CHECK(left.tv_sec <= (deadline - workload_now()) / WORKLOAD_NS_PER_S + 3,
		      "interrupted, and the time left wasn't told");
	}
	CHECK(!n, "select returned %ld", n);
	CHECK(!left.tv_sec && !left.tv_usec, "the time is over, and some is said to be left");
	workload_check_deadline(deadline);
	workload_pass();
}
