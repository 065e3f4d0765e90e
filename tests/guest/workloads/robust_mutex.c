// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: robust lists are kept: the death of a restored owner is told to who locks next
 */
#include "workload.h"

#include <linux/futex.h>
#include <sys/syscall.h>

static pthread_mutex_t mutex;
static bool locked;

static void *run(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&mutex);
	__atomic_store_n(&locked, true, __ATOMIC_SEQ_CST);
	workload_wait();
	return NULL;
}

int main(int argc, char **argv)
{
	struct robust_list_head *before, *after;
	pthread_mutexattr_t attributes;
	size_t size;

	workload_start(argc, argv, NULL);
	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&mutex, &attributes);
	CHECK_CALL(!syscall(SYS_get_robust_list, 0, &before, &size));

	pthread_t thread = workload_thread(run, NULL);

	while (!__atomic_load_n(&locked, __ATOMIC_SEQ_CST))
		sched_yield();
	CHECK(pthread_mutex_trylock(&mutex) == EBUSY, "the mutex isn't locked");
	workload_ready();
	workload_wait();
	CHECK_CALL(!syscall(SYS_get_robust_list, 0, &after, &size));
	CHECK(after == before && size == sizeof(*after), "the leader's list is at %p, was at %p",
	      (void *)after, (void *)before);
	pthread_join(thread, NULL);

	struct timespec until =
		workload_timespec(workload_clock(CLOCK_REALTIME) + 20 * WORKLOAD_NS_PER_S);
	int error = pthread_mutex_timedlock(&mutex, &until);

	CHECK(error == EOWNERDEAD, "locking after the owner's death: %s", strerror(error));
	CHECK(!pthread_mutex_consistent(&mutex) && !pthread_mutex_unlock(&mutex),
	      "the mutex can't be made consistent again");
	workload_pass();
}
