// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a futex wait with a relative time-out is interrupted or ends in time
 * @timed
 */
#include "workload.h"

#include <linux/futex.h>
#include <sys/syscall.h>

int main(int argc, char **argv)
{
	static uint32_t word;

	workload_start(argc, argv, NULL);

	int64_t deadline = workload_now() + workload_timeout();

	workload_ready();
	for (;;) {
		int64_t left = deadline - workload_now();
		struct timespec timeout = workload_timespec(left > 0 ? left : 0);

		CHECK(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &timeout, NULL, 0) == -1,
		      "the futex wait ended as if woken");
		if (errno == ETIMEDOUT)
			break;
		CHECK(errno == EINTR, "futex wait: %s", strerror(errno));
	}
	workload_check_deadline(deadline);
	workload_pass();
}
