// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a file that the process has locked is refused, by number
 * @expect: refused fd 40; locked
 */
#include "workload.h"

#include <fcntl.h>
#include <sys/file.h>

static void prepare(void)
{
	workload_make_file("data", 1000, 91);
}

int main(int argc, char **argv)
{
	workload_start(argc, argv, prepare);

	int fd = open(workload_path("data"), O_RDWR);
	int other = open(workload_path("data"), O_RDWR);

	CHECK_CALL(fd >= 0 && other >= 0 && dup2(fd, 40) == 40 && !close(fd));
	CHECK_CALL(!flock(40, LOCK_EX));
	workload_ready();
	workload_wait();
	CHECK(flock(other, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK, "the lock was lost");
	workload_pass();
}
