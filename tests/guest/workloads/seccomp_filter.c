// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: seccomp filters are installed again, each as it was, in the same order
 */
#include "seccomp.h"

#include <sys/wait.h>

enum { NR = 3, OLDER = 70, NEWER = 71, OTHER = 72 };

static void check(void)
{
	seccomp_check_number(getpid(), NR);
	/* Of filters that say the same kind of thing, the last one is heard. */
	seccomp_expect("stacked", SECCOMP_CALL_A, NEWER);
	seccomp_expect("single", SECCOMP_CALL_B, OTHER);
	seccomp_expect("free", SECCOMP_CALL_C, 0);
}

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);
	CHECK_CALL(!seccomp_install(0, SECCOMP_CALL_A, OLDER));
	CHECK_CALL(!seccomp_install(SECCOMP_FILTER_FLAG_LOG, SECCOMP_CALL_A, NEWER));
	CHECK_CALL(!seccomp_install(0, SECCOMP_CALL_B, OTHER));
	check();
	workload_ready();
	workload_wait();
	check();
	/* Children have them too. */
	pid_t child = fork();
	int status = 0;

	CHECK_CALL(child >= 0);
	if (!child) {
		seccomp_expect("child", SECCOMP_CALL_A, NEWER);
		_exit(0);
	}
	CHECK_CALL(waitpid(child, &status, 0) == child);
	CHECK(status == 0, "the child has other filters");
	workload_pass();
}
