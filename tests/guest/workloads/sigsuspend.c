// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a thread in sigsuspend waits on with the mask of the wait, and gets its own back
 */
#include "waiter.h"

#include <sys/syscall.h>

static int wait_once(void)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	return sigsuspend(&mask);
}

int main(int argc, char **argv)
{
	struct waiter waiter = {.wait = wait_once, .call = SYS_rt_sigsuspend};

	workload_start(argc, argv, NULL);
	waiter_test(&waiter);
}
