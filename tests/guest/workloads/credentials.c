// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a process that isn't root keeps its user and group ids, groups and capabilities
 */
#include "workload.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { GROUPS = 40 };

static const uint32_t permitted = 1 << CAP_NET_RAW | 1 << CAP_SETUID | 1 << CAP_KILL;
static const uint32_t effective = 1 << CAP_SETUID;
static const uint32_t inheritable = 1 << CAP_KILL;

static void set_up(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{effective, permitted, inheritable}};
	gid_t groups[GROUPS];

	for (int i = 0; i < GROUPS; i++)
		groups[i] = 3000 + 7 * i;
	CHECK_CALL(!setgroups(GROUPS, groups));
	CHECK_CALL(!prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT));
	CHECK_CALL(!prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS | SECBIT_NO_SETUID_FIXUP));
	CHECK_CALL(!setresgid(1100, 1101, 1102));
	CHECK_CALL(!setresuid(1200, 1201, 1202));
	setfsuid(1203);
	CHECK_CALL(!syscall(SYS_capset, &header, data));
}

static void check_ids(void)
{
	uid_t u[3];
	gid_t g[3], groups[GROUPS + 1];

	CHECK_CALL(!getresuid(&u[0], &u[1], &u[2]));
	CHECK(u[0] == 1200 && u[1] == 1201 && u[2] == 1202, "user ids are %d %d %d", u[0], u[1],
	      u[2]);
	CHECK_CALL(!getresgid(&g[0], &g[1], &g[2]));
	CHECK(g[0] == 1100 && g[1] == 1101 && g[2] == 1102, "group ids are %d %d %d", g[0], g[1],
	      g[2]);
	CHECK(setfsuid(-1) == 1203, "the file system user id is %d", setfsuid(-1));
	CHECK(setfsgid(-1) == 1101, "the file system group id is %d", setfsgid(-1));
	CHECK(getgroups(GROUPS + 1, groups) == GROUPS, "the number of groups changed");
	for (int i = 0; i < GROUPS; i++)
		CHECK(groups[i] == 3000u + 7 * i, "group %d is %d", i, groups[i]);
}

static void check_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	CHECK_CALL(!syscall(SYS_capget, &header, data));
	CHECK(data[0].permitted == permitted && !data[1].permitted,
	      "permitted capabilities are %x %x", data[1].permitted, data[0].permitted);
	CHECK(data[0].effective == effective && !data[1].effective,
	      "effective capabilities are %x %x", data[1].effective, data[0].effective);
	CHECK(data[0].inheritable == inheritable && !data[1].inheritable,
	      "inheritable capabilities are %x %x", data[1].inheritable, data[0].inheritable);
	CHECK(prctl(PR_CAPBSET_READ, CAP_SYS_BOOT) == 0, "the bounding set has got CAP_SYS_BOOT");
	CHECK(prctl(PR_CAPBSET_READ, CAP_SYS_NICE) == 1, "the bounding set lost CAP_SYS_NICE");
	CHECK(prctl(PR_GET_SECUREBITS) == (SECBIT_KEEP_CAPS | SECBIT_NO_SETUID_FIXUP),
	      "the secure bits are %x", prctl(PR_GET_SECUREBITS));
}

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);
	if (geteuid())
		workload_skip("not root");
	set_up();
	workload_ready();
	workload_wait();
	check_ids();
	check_capabilities();
	workload_pass();
}
