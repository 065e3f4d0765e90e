// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: dumpable, child subreaper and oom_score_adj are kept
 */
#include "workload.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/prctl.h>

static void set_oom_score_adj(const char *value)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY);

	CHECK_CALL(fd >= 0 && write(fd, value, strlen(value)) > 0);
	close(fd);
}

int main(int argc, char **argv)
{
	char score[32];
	int reaper = 0;

	workload_start(argc, argv, NULL);
	set_oom_score_adj("321");
	CHECK_CALL(!prctl(PR_SET_CHILD_SUBREAPER, 1));
	CHECK_CALL(!prctl(PR_SET_DUMPABLE, 0));
	workload_ready();
	workload_wait();
	CHECK(prctl(PR_GET_DUMPABLE) == 0, "dumpable is %d, was 0", prctl(PR_GET_DUMPABLE));
	CHECK_CALL(!prctl(PR_GET_CHILD_SUBREAPER, &reaper));
	CHECK(reaper == 1, "it is no child subreaper any more");
	workload_proc("oom_score_adj", score, sizeof(score));
	CHECK(atoi(score) == 321, "oom_score_adj is %d, was 321", atoi(score));
	workload_pass();
}
