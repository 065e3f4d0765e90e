// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: all resource limits are kept, soft and hard, finite and infinite
 */
#include "workload.h"

#include <sys/resource.h>

static const struct limit {
	int which;
	rlim_t soft, hard;
} limits[] = {
	{RLIMIT_CPU, 100000, 200000},
	{RLIMIT_FSIZE, 1ull << 40, RLIM_INFINITY},
	{RLIMIT_DATA, 1ull << 36, 1ull << 37},
	{RLIMIT_STACK, 5 << 20, 77 << 20},
	{RLIMIT_CORE, 0, 12345},
	{RLIMIT_RSS, 1ull << 33, RLIM_INFINITY},
	{RLIMIT_NPROC, 3000, 3001},
	{RLIMIT_NOFILE, 511, 999},
	{RLIMIT_MEMLOCK, 3 << 20, 4 << 20},
	{RLIMIT_AS, RLIM_INFINITY, RLIM_INFINITY},
	{RLIMIT_LOCKS, 17, 18},
	{RLIMIT_SIGPENDING, 700, 800},
	{RLIMIT_MSGQUEUE, 4000, 5000},
	{RLIMIT_NICE, 25, 30},
	{RLIMIT_RTPRIO, 40, 50},
	{RLIMIT_RTTIME, 1ull << 33, RLIM_INFINITY},
};

enum { LIMITS = sizeof(limits) / sizeof(*limits) };

int main(int argc, char **argv)
{
	struct rlimit now;

	_Static_assert(LIMITS == (int)RLIMIT_NLIMITS, "one is missing");
	workload_start(argc, argv, NULL);
	for (int i = 0; i < LIMITS; i++) {
		now = (struct rlimit){limits[i].soft, limits[i].hard};
		if (setrlimit(limits[i].which, &now))
			workload_skip("limit %d can't be set: %s", limits[i].which,
				      strerror(errno));
	}
	workload_ready();
	workload_wait();
	for (int i = 0; i < LIMITS; i++) {
		CHECK_CALL(!getrlimit(limits[i].which, &now));
		CHECK(now.rlim_cur == limits[i].soft && now.rlim_max == limits[i].hard,
		      "limit %d is %llu of %llu, was %llu of %llu", limits[i].which,
		      (unsigned long long)now.rlim_cur, (unsigned long long)now.rlim_max,
		      (unsigned long long)limits[i].soft, (unsigned long long)limits[i].hard);
	}
	workload_pass();
}
