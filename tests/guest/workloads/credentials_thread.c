// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: threads keep credentials that differ from each other's
 */
#include "workload.h"

#include <linux/capability.h>
#include <sys/syscall.h>

enum { THREADS = 3 };

static int set_up;

/* The kernel's calls change the calling thread only; the C library's all of them. */
static void *run(void *arg)
{
	int number = (int)(intptr_t)arg;
	uid_t id = 2000 + 10 * number, real, effective, saved;
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	CHECK_CALL(!syscall(SYS_setresgid, id + 5, id + 6, id + 7));
	CHECK_CALL(!syscall(SYS_setresuid, id, id + 1, id + 2));
	__atomic_fetch_add(&set_up, 1, __ATOMIC_SEQ_CST);
	workload_wait();
	CHECK_CALL(!getresuid(&real, &effective, &saved));
	CHECK(real == id && effective == id + 1 && saved == id + 2,
	      "thread %d: user ids are %d %d %d", number, real, effective, saved);
	CHECK_CALL(!getresgid(&real, &effective, &saved));
	CHECK(real == id + 5 && effective == id + 6 && saved == id + 7,
	      "thread %d: group ids are %d %d %d", number, real, effective, saved);
	CHECK_CALL(!syscall(SYS_capget, &header, data));
	CHECK(!data[0].permitted && !data[0].effective, "thread %d has got capabilities", number);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];

	workload_start(argc, argv, NULL);
	if (geteuid())
		workload_skip("not root");
	for (int i = 0; i < THREADS; i++)
		threads[i] = workload_thread(run, (void *)(intptr_t)i);
	while (__atomic_load_n(&set_up, __ATOMIC_SEQ_CST) < THREADS)
		sched_yield();
	workload_ready();
	workload_wait();
	CHECK(!getuid() && !geteuid() && !getgid(), "the leader has other ids: user %d", geteuid());
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	workload_pass();
}
