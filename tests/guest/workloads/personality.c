// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: the personality is kept
 * @criu: no the image has it, but restore doesn't set it
 */
#include "workload.h"

#include <sys/personality.h>

int main(int argc, char **argv)
{
	unsigned int wanted = ADDR_NO_RANDOMIZE | ADDR_COMPAT_LAYOUT | STICKY_TIMEOUTS;

	workload_start(argc, argv, NULL);
	CHECK_CALL(personality(wanted) != -1);
	workload_ready();
	workload_wait();

	unsigned int now = personality(0xffffffff);

	CHECK(now == wanted, "the personality is %x, was %x", now, wanted);
	workload_pass();
}
