// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a robust mutex of several processes is kept: held, waited for, and its owner's death
 */
#include "family.h"

#include <sys/mman.h>
#include <sys/syscall.h>

enum { OWNER = 0, WAITER = 1, NR = 2 };

struct shared {
	pthread_mutex_t mutex;
	pid_t waiter;
	bool got_it;
};

static struct shared *shared;

/* Dies with the mutex. */
static void owner(const struct family *family)
{
	CHECK(!pthread_mutex_lock(&shared->mutex), "the mutex can't be locked");
	family_step(family, OWNER);
	CHECK(!__atomic_load_n(&shared->got_it, __ATOMIC_SEQ_CST), "the waiter has the mutex");
}

static void *lock(void *arg)
{
	(void)arg;
	__atomic_store_n(&shared->waiter, gettid(), __ATOMIC_SEQ_CST);
	int error = pthread_mutex_lock(&shared->mutex);

	CHECK(error == EOWNERDEAD, "locking after the owner's death: %s", strerror(error));
	__atomic_store_n(&shared->got_it, true, __ATOMIC_SEQ_CST);
	CHECK(!pthread_mutex_consistent(&shared->mutex) && !pthread_mutex_unlock(&shared->mutex),
	      "the mutex can't be made consistent again");
	return NULL;
}

static void waiter(const struct family *family)
{
	/* Until the owner has it. */
	while (pthread_mutex_trylock(&shared->mutex) == 0) {
		pthread_mutex_unlock(&shared->mutex);
		usleep(1000);
	}
	pthread_t thread = workload_thread(lock, NULL);

	while (!__atomic_load_n(&shared->waiter, __ATOMIC_SEQ_CST))
		usleep(1000);
	workload_until_in_call(shared->waiter, SYS_futex);
	family_step(family, WAITER);
	pthread_join(thread, NULL);
}

static void child(const struct family *family, int i)
{
	if (i == OWNER)
		owner(family);
	else
		waiter(family);
}

int main(int argc, char **argv)
{
	pthread_mutexattr_t attributes;
	struct family family;

	workload_start(argc, argv, NULL);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	CHECK_CALL(shared != MAP_FAILED);
	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	CHECK(!pthread_mutex_init(&shared->mutex, &attributes), "there are no such mutexes");
	family_start(&family, NR, child);
	workload_ready();
	workload_wait();
	CHECK(pthread_mutex_trylock(&shared->mutex) == EBUSY, "the mutex isn't held");
	family_next(&family, OWNER);
	family_next(&family, WAITER);
	family_end(&family);
	CHECK(!pthread_mutex_trylock(&shared->mutex), "the mutex isn't free");
	workload_pass();
}
