// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a thread inside a signal handler, on its alternate stack, returns to where it was
 */
#include "workload.h"

enum { SIZE = 65536 };

static char alternate[SIZE];
static int handled;

static void handler(int sig, siginfo_t *info, void *context)
{
	char here[2000];
	stack_t stack;

	(void)context;
	workload_fill(here, sizeof(here), 9);
	workload_ready();
	workload_wait();
	CHECK((char *)__builtin_frame_address(0) > alternate &&
		      (char *)__builtin_frame_address(0) < alternate + SIZE,
	      "the handler isn't on the alternate stack");
	workload_check_fill(here, sizeof(here), 9, "the handler's frame");
	sigaltstack(NULL, &stack);
	CHECK(stack.ss_flags & SS_ONSTACK, "the kernel doesn't know that the stack is in use");
	CHECK(sig == SIGRTMIN + 1 && info->si_value.sival_int == 99,
	      "the handler's siginfo changed");
	handled++;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_ONSTACK | SA_SIGINFO};
	stack_t stack = {.ss_sp = alternate, .ss_size = SIZE};
	volatile double outside = 2.5;
	sigset_t mask;

	workload_start(argc, argv, NULL);
	sigaltstack(&stack, NULL);
	sigaddset(&action.sa_mask, SIGUSR2);
	sigaction(SIGRTMIN + 1, &action, NULL);
	CHECK_CALL(!sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 99}));
	CHECK(handled == 1, "the handler ran %d times", handled);
	CHECK(outside == 2.5, "a variable outside of the handler changed");
	sigprocmask(SIG_SETMASK, NULL, &mask);
	CHECK(!sigismember(&mask, SIGUSR2), "the handler's mask stayed");
	workload_pass();
}
