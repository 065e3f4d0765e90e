// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: an open pipe is refused, by number and kind
 * @expect: refused fd 40; pipe
 */
#include "workload.h"

#include <fcntl.h>

int main(int argc, char **argv)
{
	char text[6] = "";
	int ends[2];

	workload_start(argc, argv, NULL);
	CHECK_CALL(!pipe(ends) && dup2(ends[0], 40) == 40 && !close(ends[0]));
	CHECK_CALL(write(ends[1], "bytes", 5) == 5);
	workload_ready();
	workload_wait();
	CHECK(read(40, text, 5) == 5 && !strcmp(text, "bytes"), "the pipe held \"%s\"", text);
	workload_pass();
}
