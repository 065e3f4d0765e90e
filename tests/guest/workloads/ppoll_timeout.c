// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: ppoll with a time-out and a mask of its own goes on with both
 * @timed
 */
#include "workload.h"

#include <poll.h>

static volatile sig_atomic_t handled;

static void handler(int sig)
{
	handled = sig;
}

int main(int argc, char **argv)
{
	sigset_t usr1, while_waiting, now;

	workload_start(argc, argv, NULL);
	sigaction(SIGUSR1, &(struct sigaction){.sa_handler = handler}, NULL);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	sigemptyset(&while_waiting);
	sigaddset(&while_waiting, SIGUSR1);
	sigaddset(&while_waiting, SIGUSR2);

	int64_t deadline = workload_now() + workload_timeout();
	int n;

	workload_ready();
	/* Blocked both before and in the call: a signal can't end it. */
	do {
		int64_t left = deadline - workload_now();
		struct timespec timeout = workload_timespec(left > 0 ? left : 0);

		n = ppoll(NULL, 0, &timeout, &while_waiting);
		CHECK(n == 0 || errno == EINTR, "ppoll: %s", strerror(errno));
	} while (n);
	workload_check_deadline(deadline);
	sigprocmask(SIG_SETMASK, NULL, &now);
	CHECK(sigismember(&now, SIGUSR1), "the mask from before ppoll lost SIGUSR1");
	CHECK(!sigismember(&now, SIGUSR2), "the mask of ppoll stayed: SIGUSR2 is blocked");
	raise(SIGUSR1);
	CHECK(!handled, "a blocked signal was delivered");
	sigprocmask(SIG_UNBLOCK, &usr1, NULL);
	CHECK(handled == SIGUSR1, "an unblocked signal wasn't delivered");
	workload_pass();
}
