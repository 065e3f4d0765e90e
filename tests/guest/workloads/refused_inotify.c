// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: inotify instances with unread events, or that watch what is deleted, are refused
 * @expect: refused fd 40: inotify instance; were not read; fd 41: inotify instance; deleted
 */
#include "workload.h"

#include <fcntl.h>
#include <sys/inotify.h>

static void prepare(void)
{
	workload_make_file("file", 100, 1);
}

static void opened(int number)
{
	int fd = inotify_init1(IN_NONBLOCK);

	CHECK_CALL(fd >= 0 && dup2(fd, number) == number && !close(fd));
}

int main(int argc, char **argv)
{
	int fd;

	workload_start(argc, argv, prepare);
	opened(40);
	CHECK_CALL(inotify_add_watch(40, workload_path("file"), IN_OPEN) >= 0);
	fd = open(workload_path("deleted"), O_CREAT | O_RDWR, 0600);
	CHECK_CALL(fd >= 0 && open(workload_path("file"), O_RDONLY) >= 0);
	opened(41);
	CHECK_CALL(inotify_add_watch(41, workload_path("deleted"), IN_MODIFY) >= 0);
	CHECK_CALL(!unlink(workload_path("deleted")));
	workload_ready();
	workload_wait();
	workload_pass();
}
