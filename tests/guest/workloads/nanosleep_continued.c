// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a sleep that was stopped and continued once (restart_syscall) keeps its end
 * @timed
 */
#include "workload.h"

#include <sys/syscall.h>

/* Stop and continue the parent; as its child is no longer there when it may be dumped. */
static void interrupt(pid_t parent)
{
	nanosleep(&(struct timespec){.tv_nsec = 300 * 1000000}, NULL);
	kill(parent, SIGSTOP);
	nanosleep(&(struct timespec){.tv_nsec = 100 * 1000000}, NULL);
	kill(parent, SIGCONT);
	_exit(0);
}

static void *announce(void *leader)
{
	workload_until_in_call(*(pid_t *)leader, SYS_restart_syscall);
	workload_ready();
	return NULL;
}

int main(int argc, char **argv)
{
	pid_t self = 0;

	workload_start(argc, argv, NULL);
	self = getpid();
	signal(SIGCHLD, SIG_IGN);
	if (!fork())
		interrupt(self);

	pthread_t announcer = workload_thread(announce, &self);
	struct timespec left, request = workload_timespec(workload_timeout());
	int64_t deadline = workload_now() + workload_timeout();

	while (nanosleep(&request, &left)) {
		CHECK(errno == EINTR, "nanosleep: %s", strerror(errno));
		request = left;
	}
	workload_check_deadline(deadline);
	pthread_join(announcer, NULL);
	workload_pass();
}
