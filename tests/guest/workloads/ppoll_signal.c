// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a thread in ppoll without time-out waits on with the call's signal mask
 */
#include "waiter.h"

#include <poll.h>
#include <sys/syscall.h>

static int wait_once(void)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	return ppoll(NULL, 0, NULL, &mask);
}

int main(int argc, char **argv)
{
	struct waiter waiter = {.wait = wait_once, .call = SYS_ppoll};

	workload_start(argc, argv, NULL);
	waiter_test(&waiter);
}
