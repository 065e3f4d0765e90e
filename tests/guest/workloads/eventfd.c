// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: an eventfd keeps its count and its flags
 */
#include "workload.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>

static void check(int fd, eventfd_t count)
{
	eventfd_t value = 0;

	CHECK(!eventfd_read(fd, &value) && value == count, "fd %d held %llu, not %llu", fd,
	      (unsigned long long)value, (unsigned long long)count);
}

int main(int argc, char **argv)
{
	eventfd_t value;

	workload_start(argc, argv, NULL);

	int counted = eventfd(1234, 0), empty = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	int most = eventfd(0, 0);

	CHECK_CALL(counted >= 0 && empty >= 0 && most >= 0 && dup2(counted, 40) == 40);
	CHECK_CALL(!eventfd_write(40, 4321) && !eventfd_write(most, UINT32_MAX));
	workload_ready();
	workload_wait();

	struct pollfd fds[] = {{counted, POLLIN | POLLOUT, 0}, {empty, POLLIN | POLLOUT, 0}};

	CHECK_CALL(poll(fds, 2, 0) == 2);
	CHECK(fds[0].revents == (POLLIN | POLLOUT) && fds[1].revents == POLLOUT,
	      "poll finds %x and %x", fds[0].revents, fds[1].revents);
	check(counted, 1234 + 4321);
	check(most, UINT32_MAX);
	CHECK(fcntl(empty, F_GETFL) & O_NONBLOCK && fcntl(empty, F_GETFD) == FD_CLOEXEC,
	      "the flags of an eventfd are lost");
	CHECK(eventfd_read(empty, &value) == -1 && errno == EAGAIN, "the empty one isn't empty");
	CHECK_CALL(!eventfd_write(40, 1));
	check(counted, 1);
	workload_pass();
}
