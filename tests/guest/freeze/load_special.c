// SPDX-License-Identifier: GPL-2.0-only
/* Processes in states that are out of the ordinary, each beside a thread that goes on as ever. */
#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "load.h"

static void *count(void *arg)
{
	struct slot *slot = arg;

	slot->tid = gettid();
	while (!load_stopping()) {
		load_sleep_us(2000);
		load_turn(slot);
	}
	return NULL;
}

static int count_in_child(void *arg)
{
	count(arg);
	return 0;
}

/* Count until the end, and see meanwhile that nothing is told of the child. */
static void count_beside(pid_t pid)
{
	struct slot *slot = load_slot("parent");

	slot->tid = gettid();
	area->ready = 1;
	while (!load_stopping()) {
		int status = 0;
		pid_t got = waitpid(pid, &status, WNOHANG | WUNTRACED | WCONTINUED | __WALL);

		CHECK(!got, "%s was told 0x%x of its child", slot->name, status);
		load_sleep_us(2000);
		load_turn(slot);
	}
}

/* ---- a parent that waits, uninterruptibly but for kills -------------------------------------- */

static void *wait_for_vfork(void *arg)
{
	struct slot *slot = arg;

	slot->tid = gettid();
	load_turn(slot);
	if (!vfork())
		for (;;)
			pause();
	load_fail("vfork returned");
}

void load_vfork(void)
{
	struct slot *waiting = load_slot("-vfork");
	struct slot *counting = load_slot("count");

	load_thread(wait_for_vfork, waiting);
	while (!__atomic_load_n(&waiting->turns, __ATOMIC_SEQ_CST))
		load_sleep_us(1000);
	/* There is no telling from here when it sleeps. */
	load_sleep_us(100000);
	area->ready = 1;
	count(counting);
}

/* ---- traced ---------------------------------------------------------------------------------- */

static pid_t seize(int (*run)(void *arg), void *arg)
{
	pid_t pid = load_fork(run, arg);

	CHECK(!ptrace(PTRACE_SEIZE, pid, NULL, NULL), "PTRACE_SEIZE: %s", strerror(errno));
	return pid;
}

void load_traced(void)
{
	pid_t pid = seize(count_in_child, load_slot("traced"));

	count_beside(pid);
	load_reap(pid, 0);
}

static int sleep_for_ever(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return 0;
}

void load_ptrace(void)
{
	struct slot *slot = load_slot("-tracee");
	pid_t pid = seize(sleep_for_ever, NULL);
	int status = 0;

	slot->tid = pid;
	CHECK(!ptrace(PTRACE_INTERRUPT, pid, NULL, NULL), "PTRACE_INTERRUPT: %s", strerror(errno));
	CHECK(waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status),
	      "the tracee's status: 0x%x", status);
	count_beside(pid);
	CHECK(!ptrace(PTRACE_CONT, pid, NULL, NULL), "PTRACE_CONT: %s", strerror(errno));
	kill(pid, SIGKILL);
	load_reap(pid, SIGKILL);
}

/* ---- strict seccomp -------------------------------------------------------------------------- */

struct strict {
	int in[2], out[2];
	struct slot *slot;
};

/* read, write and exit are all that it may call. */
static int be_strict(void *arg)
{
	struct strict *strict = arg;
	uint64_t token;

	close(strict->in[1]);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT))
		load_fail("seccomp: %s", strerror(errno));
	while (read(strict->in[0], &token, sizeof(token)) == sizeof(token)) {
		for (volatile int i = 0; i < 100000; i++)
			;
		token++;
		if (write(strict->out[1], &token, sizeof(token)) != sizeof(token))
			break;
		load_turn(strict->slot);
	}
	syscall(SYS_exit, 6);
	return 0;
}

void load_seccomp(void)
{
	struct strict strict = {.slot = load_slot("strict")};
	struct slot *slot = load_slot("asking");

	CHECK(!pipe(strict.in) && !pipe(strict.out), "pipe: %s", strerror(errno));
	pid_t pid = load_fork(be_strict, &strict);

	slot->tid = gettid();
	area->ready = 1;
	for (uint64_t token = 0; !load_stopping(); token++) {
		uint64_t answer = 0;

		CHECK(write(strict.in[1], &token, sizeof(token)) == sizeof(token) &&
			      read(strict.out[0], &answer, sizeof(answer)) == sizeof(answer),
		      "asking: %s", strerror(errno));
		CHECK(answer == token + 1, "the answer to %llu is %llu", (unsigned long long)token,
		      (unsigned long long)answer);
		load_turn(slot);
		load_sleep_us(1000);
	}
	close(strict.in[1]);
	load_reap(pid, 6 << 8);
}

/* ---- stopped --------------------------------------------------------------------------------- */

static int stop_once(void *arg)
{
	struct slot *slot = arg;

	slot->tid = gettid();
	raise(SIGSTOP);
	/* The parent continues it when it is told to come to an end. */
	CHECK(load_stopping(), "a stopped process went on");
	return 9;
}

void load_stopped(void)
{
	pid_t pid = load_fork(stop_once, load_slot("-stopped"));
	int status = 0;

	CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status),
	      "the status of a stopped process is 0x%x", status);
	count_beside(pid);
	kill(pid, SIGCONT);
	/* It may have ended before one could see it continued. */
	CHECK(waitpid(pid, &status, WCONTINUED) == pid &&
		      (WIFCONTINUED(status) || status == 9 << 8),
	      "the status of a continued process is 0x%x", status);
	if (WIFCONTINUED(status))
		load_reap(pid, 9 << 8);
}
