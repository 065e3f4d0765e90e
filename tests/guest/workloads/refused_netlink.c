// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: netlink sockets with unread messages or high groups, packet sockets with rings are
 * refused
 * @expect: refused fd 40: netlink; were not read; fd 41: netlink; beyond the first 32; fd 42:
 * packet; ring
 */
#include "workload.h"

#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

static void opened(int number, int family, int protocol)
{
	int fd = socket(family, SOCK_RAW, protocol);

	CHECK_CALL(fd >= 0 && dup2(fd, number) == number && !close(fd));
}

int main(int argc, char **argv)
{
	struct {
		struct nlmsghdr header;
		struct rtgenmsg message;
	} request = {
		.header = {.nlmsg_len = sizeof(request),
			   .nlmsg_type = RTM_GETLINK,
			   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
	};
	struct tpacket_req ring = {4096, 1, 2048, 2};

	workload_start(argc, argv, NULL);
	opened(40, AF_NETLINK, NETLINK_ROUTE);
	CHECK_CALL(send(40, &request, sizeof(request), 0) == sizeof(request));
	opened(41, AF_NETLINK, NETLINK_ROUTE);
	CHECK_CALL(!setsockopt(41, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &(int){33}, sizeof(int)));
	opened(42, AF_PACKET, 0);
	CHECK_CALL(!setsockopt(42, SOL_PACKET, PACKET_RX_RING, &ring, sizeof(ring)));
	workload_ready();
	workload_wait();
	workload_pass();
}
