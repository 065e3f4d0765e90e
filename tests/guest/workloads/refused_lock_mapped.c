// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a POSIX lock on a file that is mapped too is refused, by number
 * @expect: refused fd 40; has a POSIX lock; mapped
 */
#include "workload.h"

#include <fcntl.h>
#include <sys/mman.h>

static void prepare(void)
{
	workload_make_file("data", 10000, 92);
}

int main(int argc, char **argv)
{
	workload_start(argc, argv, prepare);

	int fd = open(workload_path("data"), O_RDWR);
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 5};

	CHECK_CALL(fd >= 0 && dup2(fd, 40) == 40 && !close(fd));
	CHECK_CALL(mmap(NULL, 4096, PROT_READ, MAP_SHARED, 40, 0) != MAP_FAILED);
	CHECK_CALL(!fcntl(40, F_SETLK, &lock));
	workload_ready();
	workload_wait();
	workload_pass();
}
