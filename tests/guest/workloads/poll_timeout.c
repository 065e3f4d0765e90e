// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: poll with a time-out is interrupted or ends in time
 * @timed
 */
#include "workload.h"

#include <poll.h>

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);

	int64_t deadline = workload_now() + workload_timeout();
	int n;

	workload_ready();
	do {
		int64_t left = deadline - workload_now();

		n = poll(NULL, 0, left > 0 ? (int)(left / 1000000) + 1 : 0);
		CHECK(n == 0 || errno == EINTR, "poll: %s", strerror(errno));
	} while (n);
	workload_check_deadline(deadline);
	workload_pass();
}
