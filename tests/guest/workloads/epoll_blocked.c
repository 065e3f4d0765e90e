// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a thread that sleeps in epoll_wait without a time-out goes on to sleep, and is woken
 */
#include "workload.h"

#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

static atomic_int tid;
static int epoll;

static void *wait_for_event(void *arg)
{
	struct epoll_event event = {0};

	(void)arg;
	atomic_store(&tid, (int)syscall(SYS_gettid));

	long nr = syscall(SYS_epoll_wait, epoll, &event, 1, -1);

	CHECK(nr == 1, "epoll_wait returned %ld: %s", nr, strerror(errno));
	CHECK(event.data.u64 == 1234 && event.events == EPOLLIN, "another event was told");
	return NULL;
}

int main(int argc, char **argv)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 1234};

	workload_start(argc, argv, NULL);

	int counter = eventfd(0, 0);

	epoll = epoll_create1(0);
	CHECK_CALL(counter >= 0 && epoll >= 0);
	CHECK_CALL(!epoll_ctl(epoll, EPOLL_CTL_ADD, counter, &event));

	pthread_t thread = workload_thread(wait_for_event, NULL);

	while (!atomic_load(&tid))
		usleep(1000);
	workload_until_in_call(atomic_load(&tid), SYS_epoll_wait);
	workload_ready();
	workload_wait();
	CHECK_CALL(!eventfd_write(counter, 1));
	CHECK(!pthread_join(thread, NULL), "the thread can't be joined");
	workload_pass();
}
