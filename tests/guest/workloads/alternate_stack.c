// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: each thread keeps its alternate signal stack, and handlers run on it
 */
#include "workload.h"

enum { SIZE = 32768 };

static char stacks[2][SIZE];
static __thread char *ran_at;

static void handler(int sig)
{
	char here;

	(void)sig;
	ran_at = __builtin_frame_address(0);
	asm volatile("" : : "r"(&here) : "memory");
}

static void set(int i)
{
	stack_t stack = {.ss_sp = stacks[i], .ss_size = SIZE - 4096 * i};

	CHECK_CALL(!sigaltstack(&stack, NULL));
}

static void check(int i)
{
	stack_t stack;

	CHECK_CALL(!sigaltstack(NULL, &stack));
	CHECK(stack.ss_sp == stacks[i] && stack.ss_size == (size_t)SIZE - 4096 * i &&
		      !stack.ss_flags,
	      "thread %d: the stack is %p, %zu bytes, flags %x", i, stack.ss_sp, stack.ss_size,
	      stack.ss_flags);
	pthread_kill(pthread_self(), SIGUSR1);
	CHECK(ran_at > stacks[i] && ran_at < stacks[i] + SIZE,
	      "thread %d: the handler ran at %p, not on the stack %p", i, ran_at, stacks[i]);
}

static void check_none(void)
{
	stack_t stack;

	CHECK_CALL(!sigaltstack(NULL, &stack));
	CHECK(stack.ss_flags & SS_DISABLE, "a thread without such a stack has got one at %p",
	      stack.ss_sp);
}

static void *run(void *arg)
{
	if (arg)
		set(1);
	workload_wait();
	if (arg)
		check(1);
	else
		check_none();
	return NULL;
}

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);
	sigaction(SIGUSR1, &(struct sigaction){.sa_handler = handler, .sa_flags = SA_ONSTACK},
		  NULL);
	set(0);

	pthread_t with = workload_thread(run, stacks), without = workload_thread(run, NULL);

	nanosleep(&(struct timespec){.tv_nsec = 200 * 1000000}, NULL);
	workload_ready();
	workload_wait();
	check(0);
	pthread_join(with, NULL);
	pthread_join(without, NULL);
	workload_pass();
}
