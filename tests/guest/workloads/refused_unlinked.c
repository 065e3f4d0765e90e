// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: an open file whose name is gone is refused, by number
 * @expect: refused fd 40; deleted
 */
#include "workload.h"

#include <fcntl.h>

int main(int argc, char **argv)
{
	char text[6] = "";
	int fd;

	workload_start(argc, argv, NULL);
	fd = open(workload_path("data"), O_CREAT | O_TRUNC | O_RDWR, 0600);
	CHECK_CALL(fd >= 0 && dup2(fd, 40) == 40 && !close(fd));
	CHECK_CALL(write(40, "bytes", 5) == 5 && !unlink(workload_path("data")));
	workload_ready();
	workload_wait();
	CHECK(pread(40, text, 5, 0) == 5 && !strcmp(text, "bytes"), "the file held \"%s\"", text);
	workload_pass();
}
