// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: the signal on the parent's death is kept
 */
#include "workload.h"

#include <sys/prctl.h>

int main(int argc, char **argv)
{
	int sig = 0;

	workload_start(argc, argv, NULL);
	/* The starter may end at any time. */
	signal(SIGWINCH, SIG_IGN);
	CHECK_CALL(!prctl(PR_SET_PDEATHSIG, SIGWINCH));
	workload_ready();
	workload_wait();
	CHECK_CALL(!prctl(PR_GET_PDEATHSIG, &sig));
	CHECK(sig == SIGWINCH, "it is signal %d, was %d", sig, SIGWINCH);
	workload_pass();
}
