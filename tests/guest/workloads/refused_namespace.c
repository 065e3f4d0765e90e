// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a process in a namespace of its own is refused, and the namespace is named
 * @expect: refused UTS namespace
 */
#include "workload.h"

#include <sched.h>

int main(int argc, char **argv)
{
	char name[64] = "";

	workload_start(argc, argv, NULL);
	if (unshare(CLONE_NEWUTS))
		workload_skip("no namespace can be had: %s", strerror(errno));
	CHECK_CALL(!sethostname("of-its-own", strlen("of-its-own")));
	workload_ready();
	workload_wait();
	CHECK(!gethostname(name, sizeof(name)) && !strcmp(name, "of-its-own"), "the name is %s",
	      name);
	workload_pass();
}
