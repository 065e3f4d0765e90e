// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: an inotify descriptor is refused, by number and kind
 * @expect: refused fd 40; inotify
 */
#include "workload.h"

#include <sys/inotify.h>

int main(int argc, char **argv)
{
	int fd;

	workload_start(argc, argv, NULL);
	fd = inotify_init1(IN_NONBLOCK);
	CHECK_CALL(fd >= 0 && dup2(fd, 40) == 40 && !close(fd));
	CHECK_CALL(inotify_add_watch(40, "/dev", IN_DELETE_SELF) >= 0);
	workload_ready();
	workload_wait();
	CHECK(!inotify_rm_watch(40, 1), "the watch was lost: %s", strerror(errno));
	workload_pass();
}
