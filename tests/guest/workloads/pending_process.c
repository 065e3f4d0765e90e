// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: signals that pend for the process keep order, number, sender and value
 */
#include "workload.h"

enum { QUEUED = 5 };

static siginfo_t take(const sigset_t *set)
{
	static const struct timespec none;
	siginfo_t info;

	CHECK(sigtimedwait(set, &info, &none) > 0, "a pending signal is lost");
	return info;
}

static void block(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGUSR1);
	sigaddset(set, SIGRTMIN + 2);
	sigaddset(set, SIGRTMIN + 5);
	sigprocmask(SIG_BLOCK, set, NULL);
}

static void check_queued(siginfo_t info, int sig, int value)
{
	CHECK(info.si_signo == sig, "signal %d pends where %d did", info.si_signo, sig);
	CHECK(info.si_code == SI_QUEUE, "its code is %d", info.si_code);
	CHECK(info.si_value.sival_int == value, "its value is %d, not %d", info.si_value.sival_int,
	      value);
	CHECK(info.si_pid == getpid() && info.si_uid == 0, "its sender is %d, user %d", info.si_pid,
	      info.si_uid);
}

static void *other(void *arg)
{
	(void)arg;
	workload_wait();
	return NULL;
}

int main(int argc, char **argv)
{
	static const struct timespec none;
	sigset_t set;

	workload_start(argc, argv, NULL);
	if (geteuid())
		workload_skip("not root");
	block(&set);

	pthread_t thread = workload_thread(other, NULL);

	kill(getpid(), SIGUSR1);
	for (int i = 0; i < QUEUED; i++) {
		sigqueue(getpid(), SIGRTMIN + 5, (union sigval){.sival_int = 50 + i});
		sigqueue(getpid(), SIGRTMIN + 2, (union sigval){.sival_int = 20 + i});
	}
	workload_ready();
	workload_wait();
	pthread_join(thread, NULL);

	siginfo_t info = take(&set);

	CHECK(info.si_signo == SIGUSR1 && info.si_code == SI_USER && info.si_pid == getpid(),
	      "SIGUSR1 became signal %d, code %d, from %d", info.si_signo, info.si_code,
	      info.si_pid);
	for (int i = 0; i < QUEUED; i++)
		check_queued(take(&set), SIGRTMIN + 2, 20 + i);
	for (int i = 0; i < QUEUED; i++)
		check_queued(take(&set), SIGRTMIN + 5, 50 + i);
	CHECK(sigtimedwait(&set, NULL, &none) == -1 && errno == EAGAIN, "one signal too many");
	workload_pass();
}
