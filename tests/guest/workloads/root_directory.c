// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a process that has called chroot is in its root, and no further, with its directory
 */
#include "workload.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

static void prepare(void)
{
	mkdir(workload_path("directory"), 0755);
}

int main(int argc, char **argv)
{
	struct stat root, above;
	char path[PATH_MAX], directory[PATH_MAX];

	workload_start(argc, argv, prepare);
	if (geteuid())
		workload_skip("not root");
	strcpy(directory, workload_path("directory"));
	workload_chroot();
	CHECK_CALL(!chdir(workload_path("directory")));
	workload_ready();
	workload_wait();
	CHECK_CALL(!stat("/", &root) && !stat("/..", &above));
	CHECK(root.st_ino == above.st_ino && root.st_dev == above.st_dev, "/.. isn't /");
	CHECK(access(directory, F_OK) == -1, "the root is that of all others");
	CHECK(!access("/go", F_OK), "the root is neither that one nor its own");
	CHECK_CALL(getcwd(path, sizeof(path)));
	CHECK(!strcmp(path, workload_path("directory")), "the directory is %s, was %s", path,
	      workload_path("directory"));
	CHECK(!chdir("..") && !access("go", F_OK), "above its directory isn't the root");
	workload_pass();
}
