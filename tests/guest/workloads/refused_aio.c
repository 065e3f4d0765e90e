// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: asynchronous I/O that waits for an event is refused
 * @expect: refused 2 requests are not completed; IOCB_CMD_POLL
 */
#include "aio.h"

#include <poll.h>

int main(int argc, char **argv)
{
	struct io_event events[2];
	int ends[2];

	workload_start(argc, argv, NULL);

	aio_context_t context = aio_setup(8);

	CHECK_CALL(!pipe(ends));
	for (int i = 0; i < 2; i++)
		aio_submit(context, IOCB_CMD_POLL, ends[0], (void *)(uintptr_t)POLLIN, 0, 0, i);
	/* What is to be waited for is where the buffer would be. */
	CHECK(!aio_take(context, 2, events), "nothing was to be seen yet");
	workload_ready();
	workload_wait();
	CHECK_CALL(write(ends[1], "x", 1) == 1);
	CHECK(aio_take(context, 2, events) == 2, "the events are lost");
	workload_pass();
}
