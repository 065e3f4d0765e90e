// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a process that has switched transparent huge pages off has them off
 * @criu: no the image has it, but restore sets it for lazy pages only
 */
#include "workload.h"

#include <sys/prctl.h>

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);
	if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0))
		workload_skip("the kernel has no transparent huge pages");
	workload_ready();
	workload_wait();
	CHECK(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1, "huge pages are allowed again");
	workload_pass();
}
