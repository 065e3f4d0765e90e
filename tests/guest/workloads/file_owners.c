// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: signals for files (O_ASYNC) go to the processes and groups that they went to
 */
#include "workload.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { SELF, CHILD, GROUP, NR_PROCESSES, NR_SIGNALS = 4, EACH = 3 };

/* Which process got which of the signals below how often. */
static volatile int (*got)[NR_SIGNALS];
static int number;
static int signals[NR_SIGNALS];

static void count(int signo)
{
	for (int i = 0; i < NR_SIGNALS; i++)
		if (signals[i] == signo)
			got[number][i]++;
}

static void handle_all(void)
{
	struct sigaction action = {.sa_handler = count, .sa_flags = SA_RESTART};

	signals[0] = SIGIO;
	for (int i = 0; i < NR_SIGNALS; i++) {
		signals[i] = i ? SIGRTMIN + i : SIGIO;
		CHECK_CALL(!sigaction(signals[i], &action, NULL));
	}
}

static pid_t start(int as, bool own_group)
{
	pid_t pid = fork();

	CHECK_CALL(pid >= 0);
	if (pid)
		return pid;
	number = as;
	if (own_group)
		CHECK_CALL(!setpgid(0, 0));
	for (;;)
		pause();
}

static void watch(int fd, int type, pid_t pid, int signal)
{
	struct f_owner_ex owner = {type, pid};

	CHECK_CALL(!fcntl(fd, F_SETOWN_EX, &owner));
	if (signal)
		CHECK_CALL(!fcntl(fd, F_SETSIG, signals[signal]));
	CHECK_CALL(!fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC));
}

/* @signal is that of @owner, and of nobody else. */
static void expect(const int ends[2], int owner, int signal, const char *what)
{
	int before = got[owner][signal];
	char byte;

	CHECK_CALL(write(ends[1], "x", 1) == 1);
	for (int i = 0; got[owner][signal] == before; i++) {
		CHECK(i < 5000, "%s: signal %d was not sent to process %d", what, signal, owner);
		usleep(1000);
	}
	for (int i = 0; i < NR_PROCESSES; i++)
		CHECK(i == owner || !got[i][signal], "%s: process %d got signal %d", what, i,
		      signal);
	/* Pipes signal that they aren't empty any more. */
	CHECK_CALL(read(ends[0], &byte, 1) == 1);
}

static void check_owner(int fd, int type, pid_t pid)
{
	struct f_owner_ex owner;

	CHECK_CALL(!fcntl(fd, F_GETOWN_EX, &owner));
	CHECK((int)owner.type == type && owner.pid == pid,
	      "fd %d has owner %d of kind %d, not %d of %d", fd, owner.pid, owner.type, pid, type);
}

int main(int argc, char **argv)
{
	int self[2], child[2], group[2], thread[2];
	pid_t pids[NR_PROCESSES];

	workload_start(argc, argv, NULL);
	got = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK_CALL((void *)got != MAP_FAILED);
	handle_all();
	pids[SELF] = getpid();
	pids[CHILD] = start(CHILD, false);
	pids[GROUP] = start(GROUP, true);
	while (getpgid(pids[GROUP]) != pids[GROUP])
		usleep(1000);
	CHECK_CALL(!socketpair(AF_UNIX, SOCK_STREAM, 0, self) && !pipe(child) && !pipe(group) &&
		   !pipe(thread));
	watch(self[0], F_OWNER_PID, pids[SELF], 0);
	watch(child[0], F_OWNER_PID, pids[CHILD], 1);
	watch(group[0], F_OWNER_PGRP, pids[GROUP], 2);
	watch(thread[0], F_OWNER_TID, pids[SELF], 3);
	expect(child, CHILD, 1, "before");
	usleep(300000);
	workload_ready();
	workload_wait();
	check_owner(self[0], F_OWNER_PID, pids[SELF]);
	check_owner(child[0], F_OWNER_PID, pids[CHILD]);
	check_owner(group[0], F_OWNER_PGRP, pids[GROUP]);
	check_owner(thread[0], F_OWNER_TID, pids[SELF]);
	for (int i = 0; i < EACH; i++) {
		expect(self, SELF, 0, "a socket");
		expect(child, CHILD, 1, "a pipe");
		expect(group, GROUP, 2, "a pipe for a group");
		expect(thread, SELF, 3, "a pipe for a thread");
	}
	CHECK_CALL(!kill(pids[CHILD], SIGKILL) && !kill(pids[GROUP], SIGKILL));
	workload_pass();
}
