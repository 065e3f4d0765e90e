// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a process that refuses huge pages (PR_SET_THP_DISABLE) goes on doing so
 * @criu: no the image has it, but restore sets it in lazy-pages mode only
 */
#include "workload.h"

#include <sys/prctl.h>

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);
	CHECK_CALL(!prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	workload_ready();
	workload_wait();
	CHECK(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1, "huge pages are allowed again");
	workload_pass();
}
