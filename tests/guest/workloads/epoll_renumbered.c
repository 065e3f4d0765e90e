// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: an epoll instance waits for files whose descriptors were closed, or lead elsewhere now
 * @criu_dump: no it gives all entries of a file the same descriptor
 */
#include "workload.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

enum { CLOSED = 50, REPLACED = 51 };

static void add(int epoll, int fd, uint64_t data)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = data};

	CHECK_CALL(!epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
}

static void check_told(int epoll, unsigned int nr, uint64_t sum)
{
	struct epoll_event events[8];
	int found = epoll_wait(epoll, events, 8, 10000);
	uint64_t data = 0;

	for (int i = 0; i < found; i++)
		data += events[i].data.u64;
	CHECK(found == (int)nr && data == sum, "%d events whose data are %llu together", found,
	      (unsigned long long)data);
}

int main(int argc, char **argv)
{
	int ends[2], epoll, counter;

	workload_start(argc, argv, NULL);
	epoll = epoll_create1(0);
	counter = eventfd(0, 0);
	CHECK_CALL(epoll >= 0 && counter >= 0 && !pipe(ends));
	/* Three entries of one file, and as many descriptors left. */
	CHECK_CALL(dup2(ends[0], CLOSED) == CLOSED && dup2(ends[0], REPLACED) == REPLACED);
	CHECK_CALL(dup2(ends[0], 60) == 60 && dup2(ends[0], 61) == 61);
	add(epoll, CLOSED, 1);
	add(epoll, REPLACED, 10);
	add(epoll, ends[0], 100);
	CHECK_CALL(!close(CLOSED) && dup2(counter, REPLACED) == REPLACED);
	add(epoll, REPLACED, 1000);
	workload_ready();
	workload_wait();
	CHECK_CALL(write(ends[1], "x", 1) == 1);
	check_told(epoll, 3, 111);
	CHECK_CALL(!eventfd_write(counter, 1));
	check_told(epoll, 4, 1111);
	CHECK_CALL(!epoll_ctl(epoll, EPOLL_CTL_DEL, REPLACED, NULL));
	check_told(epoll, 3, 111);
	CHECK_CALL(!epoll_ctl(epoll, EPOLL_CTL_DEL, ends[0], NULL));
	check_told(epoll, 2, 11);
	workload_pass();
}
