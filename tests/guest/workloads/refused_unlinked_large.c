// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: files without a name that are too large, or have another name, are refused by number
 * @expect: refused fd 40; is deleted and has more than; fd 41; an old version
 */
#include "workload.h"

#include <fcntl.h>

static int open_at(const char *what, int fd)
{
	int found = open(workload_path(what), O_CREAT | O_TRUNC | O_RDWR, 0600);

	CHECK_CALL(found >= 0 && dup2(found, fd) == fd && !close(found));
	return fd;
}

int main(int argc, char **argv)
{
	char other[256];

	workload_start(argc, argv, NULL);
	CHECK_CALL(!ftruncate(open_at("large", 40), (1 << 20) + 1));
	CHECK_CALL(!unlink(workload_path("large")));
	open_at("linked", 41);
	strcpy(other, workload_path("other"));
	unlink(other);
	CHECK_CALL(!link(workload_path("linked"), other) && !unlink(workload_path("linked")));
	workload_ready();
	workload_wait();
	workload_pass();
}
