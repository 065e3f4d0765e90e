// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: an empty pipe in packet mode (O_DIRECT) stays in it
 * @criu_dump: no it refuses pipes in packet mode
 */
#include "workload.h"

#include <fcntl.h>

int main(int argc, char **argv)
{
	char text[16];
	int ends[2];

	workload_start(argc, argv, NULL);
	CHECK_CALL(!pipe2(ends, O_DIRECT));
	workload_ready();
	workload_wait();
	CHECK(fcntl(ends[1], F_GETFL) & O_DIRECT, "the pipe isn't in packet mode any more");
	CHECK_CALL(write(ends[1], "one", 3) == 3 && write(ends[1], "other", 5) == 5);
	CHECK(read(ends[0], text, sizeof(text)) == 3 && !memcmp(text, "one", 3),
	      "two packets were read as one");
	CHECK(read(ends[0], text, 2) == 2 && !memcmp(text, "ot", 2), "the second packet is lost");
	CHECK_CALL(write(ends[1], "last", 4) == 4);
	CHECK(read(ends[0], text, sizeof(text)) == 4 && !memcmp(text, "last", 4),
	      "the rest of a packet wasn't dropped");
	workload_pass();
}
