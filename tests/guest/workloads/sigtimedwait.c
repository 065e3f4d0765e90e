// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: sigwaitinfo goes on and gets its signal and value, sigtimedwait ends in time
 * @timed
 */
#include "workload.h"

enum { WANTED = 4711 };

static void *wait_signal(void *arg)
{
	siginfo_t info;
	int sig;

	while ((sig = sigwaitinfo(arg, &info)) == -1)
		CHECK(errno == EINTR, "sigwaitinfo: %s", strerror(errno));
	CHECK(sig == SIGRTMIN + 3, "sigwaitinfo returned signal %d", sig);
	CHECK(info.si_value.sival_int == WANTED, "the signal came with %d",
	      info.si_value.sival_int);
	return NULL;
}

static void *wait_time(void *arg)
{
	int64_t deadline = workload_now() + workload_timeout();

	for (;;) {
		int64_t left = deadline - workload_now();
		struct timespec timeout = workload_timespec(left > 0 ? left : 0);
		int sig = sigtimedwait(arg, NULL, &timeout);

		CHECK(sig == -1, "sigtimedwait returned signal %d", sig);
		if (errno == EAGAIN)
			break;
		CHECK(errno == EINTR, "sigtimedwait: %s", strerror(errno));
	}
	workload_check_deadline(deadline);
	return NULL;
}

int main(int argc, char **argv)
{
	sigset_t to_come, never;

	workload_start(argc, argv, NULL);
	sigemptyset(&to_come);
	sigaddset(&to_come, SIGRTMIN + 3);
	sigemptyset(&never);
	sigaddset(&never, SIGRTMIN + 4);
	sigprocmask(SIG_BLOCK, &to_come, NULL);
	sigprocmask(SIG_BLOCK, &never, NULL);

	pthread_t signal_waiter = workload_thread(wait_signal, &to_come);
	pthread_t time_waiter = workload_thread(wait_time, &never);

	workload_ready();
	workload_wait();
	CHECK_CALL(!sigqueue(getpid(), SIGRTMIN + 3, (union sigval){.sival_int = WANTED}));
	pthread_join(signal_waiter, NULL);
	pthread_join(time_waiter, NULL);
	workload_pass();
}
