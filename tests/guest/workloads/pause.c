// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a thread in pause waits on until a signal is handled
 */
#include "workload.h"

#include <sys/syscall.h>

static volatile sig_atomic_t handled;
static pid_t tid;
static bool returned;

static void handler(int sig)
{
	handled = sig;
}

static void *run(void *arg)
{
	(void)arg;
	__atomic_store_n(&tid, gettid(), __ATOMIC_SEQ_CST);

	int result = syscall(SYS_pause);
	int error = errno;

	__atomic_store_n(&returned, true, __ATOMIC_SEQ_CST);
	CHECK(result == -1 && error == EINTR, "pause returned %d: %s", result, strerror(error));
	CHECK(handled == SIGUSR1, "pause returned, and no signal was handled");
	return NULL;
}

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);
	sigaction(SIGUSR1, &(struct sigaction){.sa_handler = handler}, NULL);

	pthread_t thread = workload_thread(run, NULL);

	while (!__atomic_load_n(&tid, __ATOMIC_SEQ_CST))
		sched_yield();
	workload_until_in_call(tid, SYS_pause);
	workload_ready();
	workload_wait();
	CHECK(!__atomic_load_n(&returned, __ATOMIC_SEQ_CST), "pause returned by itself");
	workload_until_in_call(tid, SYS_pause);
	pthread_kill(thread, SIGUSR1);
	pthread_join(thread, NULL);
	workload_pass();
}
