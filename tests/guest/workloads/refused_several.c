// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: of several descriptors that can't be saved each is named, and the others aren't
 * @expect: refused fd 41: pipe; fd 43: pipe; fd 45: eventfd
 */
#include "workload.h"

#include <fcntl.h>
#include <sys/eventfd.h>

static void move(int fd, int wanted)
{
	CHECK_CALL(fd >= 0 && dup2(fd, wanted) == wanted && !close(fd));
}

int main(int argc, char **argv)
{
	int ends[2];

	workload_start(argc, argv, NULL);
	CHECK_CALL(!pipe2(ends, O_DIRECT) && write(ends[1], "packet", 6) == 6);
	move(ends[0], 41);
	move(open("/dev/zero", O_RDONLY), 42);
	move(ends[1], 43);
	move(open("/dev", O_RDONLY | O_DIRECTORY), 44);
	move(eventfd(0, EFD_SEMAPHORE), 45);
	workload_ready();
	workload_wait();
	CHECK(write(43, "x", 1) == 1, "the pipe was lost");
	workload_pass();
}
