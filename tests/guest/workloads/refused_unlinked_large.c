// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a file without a name that is larger than the limit is refused by number
 * @expect: refused fd 40; is deleted and larger than; --ghost-limit
 */
#include "workload.h"

#include <fcntl.h>

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);

	int fd = open(workload_path("large"), O_CREAT | O_TRUNC | O_RDWR, 0600);

	CHECK_CALL(fd >= 0 && dup2(fd, 40) == 40 && !close(fd));
	CHECK_CALL(!ftruncate(40, (1 << 20) + 1) && !unlink(workload_path("large")));
	workload_ready();
	workload_wait();
	workload_pass();
}
