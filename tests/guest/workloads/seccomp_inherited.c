// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: processes have the seccomp filters again that they inherited, and those of their own
 */
#include "seccomp.h"

#include <sys/wait.h>

enum { NR = 3, FIRST = 61, SECOND = 62 };

/* The first child is older than the filter; the last one has another on top. */
static void child(int i)
{
	if (i == 2)
		CHECK_CALL(!seccomp_install(0, SECCOMP_CALL_B, SECOND));
	workload_wait();
	if (i)
		seccomp_check_number(getpid(), i);
	else
		CHECK(!seccomp_status(getpid(), "Seccomp"), "the older child is filtered");
	seccomp_expect("child", SECCOMP_CALL_A, i ? FIRST : 0);
	seccomp_expect("child", SECCOMP_CALL_B, i == 2 ? SECOND : 0);
	_exit(0);
}

int main(int argc, char **argv)
{
	pid_t pids[NR];
	int status;

	workload_start(argc, argv, NULL);
	for (int i = 0; i < NR; i++) {
		if (i == 1)
			CHECK_CALL(!seccomp_install(0, SECCOMP_CALL_A, FIRST));
		pids[i] = fork();
		CHECK_CALL(pids[i] >= 0);
		if (!pids[i])
			child(i);
	}
	usleep(300000);
	workload_ready();
	workload_wait();
	seccomp_check_number(getpid(), 1);
	seccomp_expect("parent", SECCOMP_CALL_A, FIRST);
	seccomp_expect("parent", SECCOMP_CALL_B, 0);
	for (int i = 0; i < NR; i++) {
		CHECK_CALL(waitpid(pids[i], &status, 0) == pids[i]);
		CHECK(!status, "child %d ended with status 0x%x", i, status);
	}
	workload_pass();
}
