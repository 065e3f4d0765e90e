// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: pthread_cond_timedwait ends at its point in time, with the mutex held again
 * @timed
 */
#include "workload.h"

int main(int argc, char **argv)
{
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	pthread_condattr_t attributes;
	pthread_cond_t condition;

	workload_start(argc, argv, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&condition, &attributes);

	int64_t deadline = workload_now() + workload_timeout();
	struct timespec until = workload_timespec(deadline);
	int error;

	pthread_mutex_lock(&mutex);
	workload_ready();
	while (!(error = pthread_cond_timedwait(&condition, &mutex, &until)))
		CHECK(workload_now() < deadline, "woken for nothing, again and again");
	CHECK(error == ETIMEDOUT, "pthread_cond_timedwait: %s", strerror(error));
	workload_check_deadline(deadline);
	CHECK(pthread_mutex_trylock(&mutex) == EBUSY, "the mutex isn't held");
	workload_pass();
}
