// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a socket of another family is refused, by number and kind
 * @expect: refused fd 40; socket; XDP
 */
#include "workload.h"

#include <sys/socket.h>

int main(int argc, char **argv)
{
	int type;
	socklen_t size = sizeof(type);

	workload_start(argc, argv, NULL);

	int fd = socket(AF_XDP, SOCK_RAW, 0);

	CHECK_CALL(fd >= 0 && dup2(fd, 40) == 40 && !close(fd));
	workload_ready();
	workload_wait();
	CHECK_CALL(!getsockopt(40, SOL_SOCKET, SO_TYPE, &type, &size));
	workload_pass();
}
