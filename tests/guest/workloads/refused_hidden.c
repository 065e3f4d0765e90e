// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: files and directories over which something else was mounted are refused, by number
 * @expect: refused fd 40; fd 41; another one hides
 */
#include "workload.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

static void open_at(const char *what, int flags, int fd)
{
	int found = open(workload_path(what), flags, 0600);

	CHECK_CALL(found >= 0 && dup2(found, fd) == fd && !close(found));
}

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);
	if (geteuid())
		workload_skip("not root");
	CHECK_CALL(!mkdir(workload_path("directory"), 0700));
	open_at("directory/file", O_CREAT | O_RDWR, 40);
	open_at("directory", O_RDONLY | O_DIRECTORY, 41);
	CHECK_CALL(!mount("tmpfs", workload_path("directory"), "tmpfs", 0, NULL));
	/* What is on top is there. */
	open_at("directory/file", O_CREAT | O_RDWR, 42);
	workload_ready();
	workload_wait();
	workload_pass();
}
