// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: an eventfd is refused, by number and kind
 * @expect: refused fd 40; eventfd
 */
#include "workload.h"

#include <sys/eventfd.h>

int main(int argc, char **argv)
{
	eventfd_t value = 0;
	int fd;

	workload_start(argc, argv, NULL);
	fd = eventfd(1234, 0);
	CHECK_CALL(fd >= 0 && dup2(fd, 40) == 40 && !close(fd));
	workload_ready();
	workload_wait();
	CHECK(!eventfd_read(40, &value) && value == 1234, "it held %lld", (long long)value);
	workload_pass();
}
