// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a relative clock_nanosleep ends when it should, on CLOCK_MONOTONIC and CLOCK_BOOTTIME
 * @timed
 */
#include "workload.h"

struct sleeper {
	clockid_t clock;
	int64_t deadline;
	pthread_t thread;
};

/* Sleeps to the deadline. When interrupted it goes on with what it was told to be left. */
static void *run(void *arg)
{
	struct sleeper *sleeper = arg;
	struct timespec left, request = workload_timespec(workload_timeout());
	int error;

	while ((error = clock_nanosleep(sleeper->clock, 0, &request, &left)) == EINTR)
		request = left;
	CHECK(!error, "clock_nanosleep(%d): %s", sleeper->clock, strerror(error));
	workload_check_deadline(sleeper->deadline);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sleeper sleepers[] = {{.clock = CLOCK_MONOTONIC}, {.clock = CLOCK_BOOTTIME}};

	workload_start(argc, argv, NULL);
	for (int i = 0; i < 2; i++) {
		sleepers[i].deadline = workload_now() + workload_timeout();
		sleepers[i].thread = workload_thread(run, &sleepers[i]);
	}
	workload_ready();
	workload_wait();
	for (int i = 0; i < 2; i++)
		pthread_join(sleepers[i].thread, NULL);
	workload_pass();
}
