// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: an open directory whose name is gone is refused, by number
 * @expect: refused fd 40; deleted
 */
#include "workload.h"

#include <fcntl.h>
#include <sys/stat.h>

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);
	CHECK_CALL(!mkdir(workload_path("directory"), 0700));

	int fd = open(workload_path("directory"), O_RDONLY | O_DIRECTORY);

	CHECK_CALL(fd >= 0 && dup2(fd, 40) == 40 && !close(fd));
	CHECK_CALL(!rmdir(workload_path("directory")));
	workload_ready();
	workload_wait();
	workload_pass();
}
