// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a ring of asynchronous I/O is its owner's, though a child has inherited the mapping
 */
#include "aio.h"
#include "family.h"

#include <fcntl.h>

enum { NR = 10, PART = 64 };

static aio_context_t context;
static int fd;

static void prepare(void)
{
	workload_make_file("data", NR * PART, 3);
}

static void child(const struct family *family, int i)
{
	uint8_t buffer[PART];

	family_step(family, i);

	/* This one is made after the restore, and works. */
	aio_context_t own = aio_setup(NR);
	struct io_event event;

	aio_submit(own, IOCB_CMD_PREAD, fd, buffer, PART, 0, 77);
	CHECK(aio_take(own, 1, &event) == 1 && event.data == 77 && event.res == PART,
	      "a read of the child's isn't completed");
}

int main(int argc, char **argv)
{
	static uint8_t buffers[NR][PART];
	struct io_event events[NR];
	struct family family;

	workload_start(argc, argv, prepare);
	fd = open(workload_path("data"), O_RDONLY);
	CHECK_CALL(fd >= 0);
	context = aio_setup(NR);
	family_start(&family, 2, child);
	for (int i = 0; i < NR; i++)
		aio_submit(context, IOCB_CMD_PREAD, fd, buffers[i], PART, (int64_t)i * PART, i);
	workload_ready();
	workload_wait();
	CHECK(aio_take(context, NR, events) == NR, "the parent's events are lost");
	for (int i = 0; i < NR; i++)
		CHECK(events[i].data == (uint64_t)i && events[i].res == PART,
		      "event %d is that of request %llu", i, (unsigned long long)events[i].data);
	for (int i = 0; i < 2; i++)
		family_next(&family, i);
	family_end(&family);
	CHECK_CALL(!syscall(SYS_io_destroy, context));
	workload_pass();
}
