// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: epoll instances, one within another, wait for what they waited for, in the same way
 */
#include "workload.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

enum { LEVEL, EDGE, ONCE, SPENT, ALONE, OUT, INNER, NR };

static const uint64_t word = 0xfedcba9876543210;
static int outer, inner, empty, counters[NR];

static int counter(unsigned int count)
{
	int fd = eventfd(count, EFD_NONBLOCK);

	CHECK_CALL(fd >= 0);
	return fd;
}

static void control(int epoll, int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = {.events = events, .data.u64 = data};

	CHECK(!epoll_ctl(epoll, op, fd, &event), "fd %d: %s", fd, strerror(errno));
}

/* The entries that @epoll tells events of, one bit each; fails if those are not @events. */
static unsigned int told(int epoll, const uint32_t events[NR])
{
	struct epoll_event found[2 * NR];
	unsigned int entries = 0;
	int nr = epoll_wait(epoll, found, 2 * NR, 0);

	CHECK_CALL(nr >= 0);
	for (int i = 0; i < nr; i++) {
		uint64_t entry = found[i].data.u64 - word;

		CHECK(entry < NR, "data 0x%llx", (unsigned long long)found[i].data.u64);
		CHECK(found[i].events == events[entry], "entry %d tells 0x%x", (int)entry,
		      found[i].events);
		entries |= 1u << entry;
	}
	return entries;
}

static void set_up(void)
{
	outer = epoll_create1(0);
	inner = epoll_create1(EPOLL_CLOEXEC);
	empty = epoll_create1(0);
	CHECK_CALL(outer >= 0 && inner >= 0 && empty >= 0);
	for (int i = 0; i < NR; i++)
		counters[i] = counter(0);
	CHECK_CALL(!eventfd_write(counters[SPENT], 1));
	/* The outer one has a higher number than what it waits for, and a lower one. */
	CHECK_CALL(dup2(outer, 40) == 40);
	control(outer, EPOLL_CTL_ADD, counters[LEVEL], EPOLLIN, word + LEVEL);
	control(outer, EPOLL_CTL_ADD, counters[EDGE], EPOLLIN | EPOLLET, word + EDGE);
	control(outer, EPOLL_CTL_ADD, counters[ONCE], EPOLLIN | EPOLLONESHOT, word + ONCE);
	control(outer, EPOLL_CTL_ADD, counters[SPENT], EPOLLIN | EPOLLONESHOT, word + SPENT);
	control(outer, EPOLL_CTL_ADD, counters[ALONE], EPOLLIN | EPOLLEXCLUSIVE, word + ALONE);
	control(outer, EPOLL_CTL_ADD, inner, EPOLLIN | EPOLLPRI, word + INNER);
	control(inner, EPOLL_CTL_ADD, counters[INNER], EPOLLIN, word + INNER);
	control(inner, EPOLL_CTL_ADD, counters[OUT], EPOLLIN | EPOLLOUT, word + OUT);
	control(inner, EPOLL_CTL_DEL, counters[OUT], 0, 0);
}

int main(int argc, char **argv)
{
	uint32_t in[NR];

	workload_start(argc, argv, NULL);
	set_up();
	for (int i = 0; i < NR; i++)
		in[i] = EPOLLIN;
	CHECK(told(outer, in) == 1 << SPENT, "the spent entry tells nothing");
	workload_ready();
	workload_wait();

	struct epoll_event event = {.events = EPOLLIN};

	CHECK(!told(outer, in) && !told(inner, in) && !told(empty, in), "an event is new");
	for (int i = 0; i < NR; i++)
		CHECK_CALL(!eventfd_write(counters[i], 1));
	unsigned int all = 1 << LEVEL | 1 << EDGE | 1 << ONCE | 1 << ALONE | 1 << INNER;
	unsigned int found = told(40, in);

	CHECK(found == all, "entries 0x%x, not 0x%x", found, all);
	found = told(outer, in);
	all &= ~(1u << EDGE | 1u << ONCE);
	CHECK(found == all, "entries 0x%x the second time, not 0x%x", found, all);
	CHECK(told(inner, in) == 1 << INNER, "the inner one has other entries");
	CHECK(!told(empty, in), "the empty one isn't empty");
	CHECK(epoll_ctl(outer, EPOLL_CTL_ADD, counters[EDGE], &event) == -1 && errno == EEXIST,
	      "an entry has another number");
	control(outer, EPOLL_CTL_MOD, counters[SPENT], EPOLLIN | EPOLLONESHOT, word + SPENT);
	CHECK(told(outer, in) == (all | 1 << SPENT), "the spent entry is not used again");
	control(outer, EPOLL_CTL_DEL, inner, 0, 0);
	CHECK(fcntl(inner, F_GETFD) == FD_CLOEXEC && !fcntl(outer, F_GETFD), "flags are lost");
	workload_pass();
}
