// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a slave whose master was closed stays hung up
 * @pty
 */
#include "terminal.h"

int main(int argc, char **argv)
{
	char c;

	workload_start(argc, argv, NULL);

	struct terminal t = terminal_open(10, "/dev/ptmx", O_RDWR);

	CHECK_CALL(dup2(t.slave, 0) == 0 && !close(t.master));
	workload_ready();
	workload_wait();

	CHECK(read(0, &c, 1) == 0, "the end of file is gone");
	CHECK(write(t.slave, "x", 1) == -1 && errno == EIO, "it can be written to");
	CHECK(!isatty(t.slave), "it is a terminal");
	CHECK_CALL(!fcntl(0, F_SETFL, O_RDWR | O_NONBLOCK));
	CHECK(fcntl(t.slave, F_GETFL) & O_NONBLOCK, "the descriptors have parted");
	workload_pass();
}
