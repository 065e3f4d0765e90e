// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: clear_child_tid is kept: threads that end after the restore can be joined
 */
#include "workload.h"

enum { THREADS = 4 };

static void *run(void *arg)
{
	workload_wait();
	return (char *)arg + 1;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS], after;
	char bytes[THREADS + 1];

	workload_start(argc, argv, NULL);
	for (int i = 0; i < THREADS; i++)
		threads[i] = workload_thread(run, &bytes[i]);
	workload_ready();
	workload_wait();

	/* Only the kernel's clearing of the tid ends these waits. */
	int64_t patience = workload_clock(CLOCK_REALTIME) + 20 * WORKLOAD_NS_PER_S;
	struct timespec until = workload_timespec(patience);
	void *result;

	for (int i = 0; i < THREADS; i++) {
		int error = pthread_timedjoin_np(threads[i], &result, &until);

		CHECK(!error, "thread %d can't be joined: %s", i, strerror(error));
		CHECK(result == &bytes[i + 1], "thread %d returned %p", i, result);
	}
	after = workload_thread(run, bytes);
	CHECK(!pthread_join(after, &result) && result == &bytes[1],
	      "a thread made after the restore can't be joined");
	workload_pass();
}
