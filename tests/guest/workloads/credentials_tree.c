// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: each process has its own user, groups, capabilities, secure bits and limits again
 */
#include "workload.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { NR = 4 };

/* The bounding set as it was. */
static int bounding[NR];

/* Of process @i; that of the parent is 0. */
static uint32_t capabilities(int i)
{
	return i == 0 ? 1u << CAP_KILL | 1u << CAP_SETUID : i == 1 ? 0 : 1u << (CAP_KILL + i);
}

static int bits(int i)
{
	return i == 2 ? SECBIT_NOROOT : i == 3 ? SECBIT_KEEP_CAPS : 0;
}

static void become(int i)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{capabilities(i), capabilities(i), 0}};
	gid_t groups[] = {4000u + i, 5000u + i};
	struct rlimit limit = {100u + i, 200u + i};

	CHECK_CALL(!setrlimit(RLIMIT_NOFILE, &limit));
	CHECK_CALL(!setgroups((size_t)(i % 2) + 1, groups));
	CHECK_CALL(!prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT + i));
	CHECK_CALL(!prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP | bits(i)));
	CHECK_CALL(!setresgid(1100 + i, 1100 + i, 1100 + i));
	CHECK_CALL(!setresuid(1200 + i, 1200 + i, 1200 + i));
	CHECK_CALL(!syscall(SYS_capset, &header, data));
}

static void check(int i)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	struct rlimit limit;
	uid_t u[3];
	gid_t g[3], groups[8];

	CHECK_CALL(!getresuid(&u[0], &u[1], &u[2]) && !getresgid(&g[0], &g[1], &g[2]));
	for (int j = 0; j < 3; j++)
		CHECK(u[j] == 1200u + i && g[j] == 1100u + i, "process %d has ids %u and %u", i,
		      u[j], g[j]);
	CHECK(getgroups(8, groups) == i % 2 + 1 && groups[0] == 4000u + i,
	      "process %d has other groups", i);
	CHECK_CALL(!syscall(SYS_capget, &header, data));
	CHECK(data[0].permitted == capabilities(i) && data[0].effective == capabilities(i) &&
		      !data[1].permitted && !data[0].inheritable,
	      "process %d has capabilities %x", i, data[0].permitted);
	for (int j = 0; j < NR; j++)
		CHECK(prctl(PR_CAPBSET_READ, CAP_SYS_BOOT + j) == (j > i ? bounding[j] : 0),
		      "process %d: bounding set, capability %d", i, CAP_SYS_BOOT + j);
	CHECK(prctl(PR_GET_SECUREBITS) == (SECBIT_NO_SETUID_FIXUP | bits(i)),
	      "process %d has secure bits %x", i, prctl(PR_GET_SECUREBITS));
	CHECK_CALL(!getrlimit(RLIMIT_NOFILE, &limit));
	CHECK(limit.rlim_cur == 100u + i && limit.rlim_max == 200u + i,
	      "process %d may open %lu files", i, (unsigned long)limit.rlim_cur);
}

int main(int argc, char **argv)
{
	pid_t pids[NR];
	int status;

	workload_start(argc, argv, NULL);
	if (geteuid())
		workload_skip("not root");
	for (int i = 0; i < NR; i++)
		bounding[i] = prctl(PR_CAPBSET_READ, CAP_SYS_BOOT + i);
	for (int i = NR - 1; i > 0; i--) {
		pids[i] = fork();
		CHECK_CALL(pids[i] >= 0);
		if (!pids[i]) {
			for (int j = 0; j < i; j++)
				CHECK_CALL(!prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT + j));
			become(i);
			workload_wait();
			check(i);
			_exit(0);
		}
	}
	become(0);
	usleep(300000);
	workload_ready();
	workload_wait();
	check(0);
	for (int i = 1; i < NR; i++) {
		CHECK_CALL(waitpid(pids[i], &status, 0) == pids[i]);
		CHECK(!status, "process %d ended with status 0x%x", i, status);
	}
	workload_pass();
}
