// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: packets in a pipe and eventfds that are semaphores are refused: CRIU has no place for
 * @expect: refused holds packets; is a semaphore; beyond the 32 bits; clock that CRIU does not know
 */
#include "workload.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

int main(int argc, char **argv)
{
	eventfd_t value = 0;
	char text[16];
	int ends[2];

	workload_start(argc, argv, NULL);
	CHECK_CALL(!pipe2(ends, O_DIRECT) && write(ends[1], "one", 3) == 3);

	int semaphore = eventfd(7, EFD_SEMAPHORE), big = eventfd(0, 0);
	int alarm = timerfd_create(CLOCK_BOOTTIME_ALARM, 0);

	CHECK_CALL(semaphore >= 0 && big >= 0 && alarm >= 0 && !eventfd_write(big, 1LL << 32));
	workload_ready();
	workload_wait();
	CHECK_CALL(read(ends[0], text, sizeof(text)) == 3);
	CHECK_CALL(!eventfd_read(semaphore, &value) && value == 1);
	workload_pass();
}
