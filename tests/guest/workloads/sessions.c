// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: sessions and process groups come back, also those whose leader is gone
 */
#include "workload.h"

#include <sys/prctl.h>
#include <sys/wait.h>

struct ids {
	pid_t pid, group, session;
};

static int turns[2], reports[2];

enum { NR = 8 };

/* Tells its ids before and after; the pipe keeps the order of one process' own. */
static void tell_twice(void)
{
	for (int i = 0; i < 2; i++) {
		const struct ids ids = {getpid(), getpgid(0), getsid(0)};

		CHECK_CALL(write(reports[1], &ids, sizeof(ids)) == sizeof(ids));
		if (!i)
			CHECK_CALL(read(turns[0], &(char){0}, 1) == 1);
	}
	_exit(0);
}

static void in_own_session(void)
{
	CHECK_CALL(setsid() > 0);
	if (!fork())
		tell_twice();
	tell_twice();
}

static void in_own_group(void)
{
	CHECK_CALL(!setpgid(0, 0));
	if (!fork())
		tell_twice();
	tell_twice();
}

/* The leader of the group ends; its child stays in the group. */
static void in_group_of_the_dead(void)
{
	const pid_t leader = getpid();

	CHECK_CALL(!setpgid(0, 0));
	if (!fork()) {
		while (getppid() == leader)
			usleep(1000);
		tell_twice();
	}
	_exit(0);
}

/* The leader of the session ends; the root, a subreaper, gets its child. */
static void in_session_of_the_dead(void)
{
	const pid_t leader = getpid();

	CHECK_CALL(setsid() > 0);
	if (!fork()) {
		while (getppid() == leader)
			usleep(1000);
		tell_twice();
	}
	_exit(0);
}

/* A child that was born before its parent began a session of its own. */
static void born_before(void)
{
	if (!fork()) {
		usleep(200000);
		tell_twice();
	}
	usleep(100000);
	CHECK_CALL(setsid() > 0);
	tell_twice();
}

static pid_t spawn(void (*run)(void))
{
	pid_t pid = fork();

	CHECK_CALL(pid >= 0);
	if (!pid)
		run();
	return pid;
}

static struct ids next_report(void)
{
	struct ids ids;

	CHECK_CALL(read(reports[0], &ids, sizeof(ids)) == sizeof(ids));
	return ids;
}

int main(int argc, char **argv)
{
	struct ids before[NR];
	pid_t gone[2];
	int status;

	workload_start(argc, argv, NULL);
	CHECK_CALL(!pipe(turns) && !pipe(reports) && !prctl(PR_SET_CHILD_SUBREAPER, 1));
	spawn(in_own_session);
	spawn(in_own_group);
	gone[0] = spawn(in_group_of_the_dead);
	gone[1] = spawn(in_session_of_the_dead);
	spawn(born_before);
	for (int i = 0; i < 2; i++)
		CHECK_CALL(waitpid(gone[i], &status, 0) == gone[i]);
	for (int i = 0; i < NR; i++)
		before[i] = next_report();
	usleep(100000);
	workload_ready();
	workload_wait();
	CHECK_CALL(write(turns[1], "12345678", NR) == NR);
	for (int i = 0; i < NR; i++) {
		const struct ids after = next_report();
		int j = 0;

		while (j < NR && before[j].pid != after.pid)
			j++;
		CHECK(j < NR, "process %d was not there", after.pid);
		CHECK(after.group == before[j].group, "process %d is in group %d, not %d",
		      after.pid, after.group, before[j].group);
		CHECK(after.session == before[j].session, "process %d is in session %d, not %d",
		      after.pid, after.session, before[j].session);
	}
	workload_pass();
}
