// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: netlink sockets keep protocol, port and groups, and go on to work
 */
#include "workload.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

enum { PORT = 0x700001, EVENT_PORT = 0x700002, EVENT_GROUPS = 5 };

static int opened(int protocol, int flags)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | flags, protocol);

	CHECK_CALL(fd >= 0);
	return fd;
}

static void bind_to(int fd, uint32_t port, uint32_t groups)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_pid = port, .nl_groups = groups};

	CHECK_CALL(!bind(fd, (struct sockaddr *)&address, sizeof(address)));
}

static void check_name(int fd, uint32_t port, uint32_t groups, const char *what)
{
	struct sockaddr_nl address;
	socklen_t size = sizeof(address);

	CHECK_CALL(!getsockname(fd, (struct sockaddr *)&address, &size));
	CHECK(address.nl_pid == port && address.nl_groups == groups,
	      "%s: port %#x, groups %#x, not %#x, %#x", what, address.nl_pid, address.nl_groups,
	      port, groups);
}

static void check_option(int fd, int option, int wanted, const char *what)
{
	int value = -1;
	socklen_t size = sizeof(value);

	CHECK_CALL(!getsockopt(fd, SOL_SOCKET, option, &value, &size));
	CHECK(value == wanted, "%s: %d, not %d", what, value, wanted);
}

/* Ask for all devices; the first answer has to be one. */
static void check_request(int fd, const char *what)
{
	struct {
		struct nlmsghdr header;
		struct rtgenmsg message;
	} request = {
		.header = {.nlmsg_len = sizeof(request),
			   .nlmsg_type = RTM_GETLINK,
			   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
			   .nlmsg_seq = 77},
	};
	char answer[32768];
	struct nlmsghdr *header = (struct nlmsghdr *)answer;

	CHECK_CALL(send(fd, &request, sizeof(request), 0) == sizeof(request));
	CHECK(recv(fd, answer, sizeof(answer), 0) > (ssize_t)sizeof(*header), "%s: no answer: %s",
	      what, strerror(errno));
	CHECK(header->nlmsg_type == RTM_NEWLINK && header->nlmsg_seq == 77, "%s: answer %u, to %u",
	      what, header->nlmsg_type, header->nlmsg_seq);
}

/* What another socket sends to a group. */
static void check_event(int fd)
{
	const struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_groups = 4};
	char event[16];
	int sender = opened(NETLINK_USERSOCK, 0);

	CHECK(recv(fd, event, sizeof(event), 0) < 0 && errno == EAGAIN, "events: there are some");
	/* Nobody has the port 0, to which it goes as well. */
	CHECK_CALL(sendto(sender, "told", 4, 0, (const struct sockaddr *)&to, sizeof(to)) == 4 ||
		   errno == ECONNREFUSED);
	CHECK(recv(fd, event, sizeof(event), 0) == 4 && !memcmp(event, "told", 4),
	      "events: none: %s", strerror(errno));
}

int main(int argc, char **argv)
{
	struct sockaddr_nl peer = {.nl_family = AF_NETLINK, .nl_groups = 2};
	socklen_t size = sizeof(peer);
	int plain, events, uevents, connected;

	workload_start(argc, argv, NULL);
	plain = opened(NETLINK_ROUTE, 0);
	events = opened(NETLINK_USERSOCK, SOCK_NONBLOCK | SOCK_CLOEXEC);
	bind_to(events, EVENT_PORT, EVENT_GROUPS);
	CHECK_CALL(!setsockopt(events, SOL_SOCKET, SO_RCVBUF, &(int){50000}, sizeof(int)));
	uevents = opened(NETLINK_KOBJECT_UEVENT, 0);
	bind_to(uevents, PORT, 0x80000000);
	connected = opened(NETLINK_ROUTE, 0);
	CHECK_CALL(!connect(connected, (struct sockaddr *)&peer, sizeof(peer)));
	workload_ready();
	workload_wait();
	check_request(plain, "plain");
	check_name(events, EVENT_PORT, EVENT_GROUPS, "events");
	CHECK(fcntl(events, F_GETFL) & O_NONBLOCK, "events: O_NONBLOCK lost");
	check_option(events, SO_RCVBUF, 100000, "events: SO_RCVBUF");
	check_event(events);
	check_name(uevents, PORT, 0x80000000, "uevents");
	check_option(uevents, SO_PROTOCOL, NETLINK_KOBJECT_UEVENT, "uevents: protocol");
	CHECK_CALL(!getpeername(connected, (struct sockaddr *)&peer, &size));
	CHECK(peer.nl_pid == 0 && peer.nl_groups == 2, "connected to port %u, groups %#x",
	      peer.nl_pid, peer.nl_groups);
	workload_pass();
}
