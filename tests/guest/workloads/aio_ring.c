// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: completed asynchronous I/O is there to be told after a restore, once and in order
 */
#include "aio.h"

#include <fcntl.h>

enum { SIZE = 64 << 10, PART = 512, NR = 40, TAKEN = 25, SEED = 7 };

static uint8_t buffers[NR][PART];

static void prepare(void)
{
	workload_make_file("data", SIZE, SEED);
}

static void read_all(aio_context_t context, int fd, uint64_t first)
{
	for (int i = 0; i < NR; i++)
		aio_submit(context, IOCB_CMD_PREAD, fd, buffers[i], PART, (int64_t)i * PART,
			   first + i);
}

static void check_events(aio_context_t context, uint64_t first, long nr)
{
	struct io_event events[NR];
	long got = aio_take(context, NR, events);

	CHECK(got == nr, "there are %ld events, not %ld", got, nr);
	for (long i = 0; i < nr; i++)
		CHECK(events[i].data == first + (uint64_t)i && events[i].res == PART,
		      "event %ld is that of request %llu with the result %lld", i,
		      (unsigned long long)events[i].data, (long long)events[i].res);
}

/* Read and take so much that the ring has been gone round, and is split over its end. */
static void go_round(aio_context_t context, int fd, long events)
{
	struct io_event event;

	for (long i = 0; i < events; i++) {
		aio_submit(context, IOCB_CMD_PREAD, fd, buffers[0], PART, 0, 0);
		CHECK(aio_take(context, 1, &event) == 1, "a read isn't completed");
	}
}

int main(int argc, char **argv)
{
	struct io_event events[TAKEN];
	uint8_t whole[NR * PART];

	workload_start(argc, argv, prepare);

	int fd = open(workload_path("data"), O_RDONLY);
	aio_context_t first = aio_setup(64), wrapped = aio_setup(100), empty = aio_setup(1);

	CHECK_CALL(fd >= 0);
	read_all(first, fd, 1000);
	CHECK(aio_take(first, TAKEN, events) == TAKEN, "less than %d reads are completed", TAKEN);
	/* Of 255 events. */
	go_round(wrapped, fd, 240);
	read_all(wrapped, fd, 2000);
	memset(buffers, 0, sizeof(buffers));
	workload_ready();
	workload_wait();
	check_events(first, 1000 + TAKEN, NR - TAKEN);
	check_events(wrapped, 2000, NR);
	check_events(empty, 0, 0);
	read_all(first, fd, 3000);
	check_events(first, 3000, NR);
	read_all(empty, fd, 4000);
	check_events(empty, 4000, NR);
	CHECK_CALL(pread(fd, whole, sizeof(whole), 0) == (ssize_t)sizeof(whole));
	CHECK(!memcmp(whole, buffers, sizeof(whole)), "what is read isn't what is in the file");
	for (int i = 0; i < 20; i++) {
		go_round(wrapped, fd, 100);
		read_all(wrapped, fd, 5000);
		check_events(wrapped, 5000, NR);
	}
	CHECK_CALL(!syscall(SYS_io_destroy, first));
	CHECK_CALL(!syscall(SYS_io_destroy, wrapped));
	workload_pass();
}
