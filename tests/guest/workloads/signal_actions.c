// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: what is to be done on each signal is kept: handler, flags and mask
 */
#include "workload.h"

static volatile sig_atomic_t handled;

static void plain(int sig)
{
	handled = sig;
}

static void with_info(int sig, siginfo_t *info, void *context)
{
	(void)context;
	handled = info->si_signo == sig ? 100 + sig : -1;
}

/* Something different for each signal; SA_RESETHAND and SA_NODEFER must not be lost either. */
static struct sigaction wanted(int sig)
{
	static const int flags[] = {0, SA_RESTART, SA_NODEFER | SA_RESETHAND, SA_ONSTACK};
	struct sigaction action = {.sa_flags = flags[sig % 4]};

	sigemptyset(&action.sa_mask);
	for (int other = 1; other <= 64; other++)
		if (workload_word(sig, other) & 1 && other != SIGKILL && other != SIGSTOP &&
		    other != 32 && other != 33)
			sigaddset(&action.sa_mask, other);
	/* The kernel forgets that SIGTRAP is ignored when a tracer makes use of it. */
	switch (sig == SIGTRAP ? 3 : sig % 5) {
	case 0:
		action.sa_handler = SIG_IGN;
		break;
	case 1:
		action.sa_handler = SIG_DFL;
		break;
	case 2:
		action.sa_sigaction = with_info;
		action.sa_flags |= SA_SIGINFO;
		break;
	default:
		action.sa_handler = plain;
	}
	return action;
}

/* 32 and 33 are the C library's. */
static bool ours(int sig)
{
	return sig != SIGKILL && sig != SIGSTOP && sig != 32 && sig != 33;
}

static void check(int sig)
{
	struct sigaction expected = wanted(sig), now;

	CHECK_CALL(!sigaction(sig, NULL, &now));
	CHECK(now.sa_handler == expected.sa_handler, "signal %d: the handler is %p, was %p", sig,
	      (void *)now.sa_handler, (void *)expected.sa_handler);
	CHECK((now.sa_flags & ~0x04000000 /* SA_RESTORER */) == expected.sa_flags,
	      "signal %d: the flags are %x, were %x", sig, now.sa_flags, expected.sa_flags);
	for (int other = 1; other <= 64; other++)
		CHECK(sigismember(&now.sa_mask, other) == sigismember(&expected.sa_mask, other),
		      "signal %d: %d in the mask changed", sig, other);
}

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);
	for (int sig = 1; sig <= 64; sig++) {
		struct sigaction action = wanted(sig);

		if (ours(sig))
			CHECK_CALL(!sigaction(sig, &action, NULL));
	}
	workload_ready();
	workload_wait();
	for (int sig = 1; sig <= 64; sig++)
		if (ours(sig))
			check(sig);
	raise(37);
	CHECK(handled == 137, "with_info() didn't handle signal 37: %d", (int)handled);
	raise(48);
	CHECK(handled == 48, "plain() didn't handle signal 48: %d", (int)handled);
	workload_pass();
}
