// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a socket of another family is refused, by number and kind
 * @expect: refused fd 40; socket; netlink
 */
#include "workload.h"

#include <linux/netlink.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	struct sockaddr_nl address;
	socklen_t size = sizeof(address);

	workload_start(argc, argv, NULL);

	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

	CHECK_CALL(fd >= 0 && dup2(fd, 40) == 40 && !close(fd));
	workload_ready();
	workload_wait();
	CHECK_CALL(!getsockname(40, (struct sockaddr *)&address, &size));
	workload_pass();
}
