// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: CLOCK_MONOTONIC and CLOCK_BOOTTIME go on from where they were, by vDSO and by call
 */
#include "workload.h"

#include <sys/syscall.h>

enum { SAMPLES = 3 };

/* Long enough for a pause of the VM and a restore on a busy machine, shorter than an uptime. */
static const int64_t largest_step = 10 * WORKLOAD_NS_PER_S;

static int64_t by_call(clockid_t clock)
{
	struct timespec ts;

	CHECK_CALL(!syscall(SYS_clock_gettime, clock, &ts));
	return workload_ns(ts);
}

static void sample(int64_t *samples)
{
	samples[0] = workload_clock(CLOCK_MONOTONIC);
	samples[1] = by_call(CLOCK_MONOTONIC);
	samples[2] = workload_clock(CLOCK_BOOTTIME);
}

int main(int argc, char **argv)
{
	static const char *const names[] = {"CLOCK_MONOTONIC", "CLOCK_MONOTONIC by call",
					    "CLOCK_BOOTTIME"};
	int64_t before[SAMPLES], now[SAMPLES];
	bool go;

	workload_start(argc, argv, NULL);
	sample(before);
	workload_ready();
	/* One look more when go is there: it may be before the process is. */
	do {
		go = workload_go();
		nanosleep(&(struct timespec){.tv_nsec = 50 * 1000000}, NULL);
		sample(now);
		for (int i = 0; i < SAMPLES; i++) {
			CHECK(now[i] > before[i], "%s went back by %lld ms", names[i],
			      (long long)(before[i] - now[i]) / 1000000);
			CHECK(now[i] < before[i] + largest_step, "%s jumped by %lld ms", names[i],
			      (long long)(now[i] - before[i]) / 1000000);
			before[i] = now[i];
		}
		CHECK(now[1] - now[0] < WORKLOAD_NS_PER_S, "vDSO and call disagree by %lld ms",
		      (long long)(now[1] - now[0]) / 1000000);
	} while (!go);
	workload_pass();
}
