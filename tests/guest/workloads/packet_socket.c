// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: packet sockets keep device, protocol, options, addresses and group, and go on to work
 */
#include "workload.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum { GROUP = 77, PORT = 7777 };

static int control(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	CHECK_CALL(fd >= 0);
	return fd;
}

static void bring_up(void)
{
	struct ifreq request = {.ifr_name = "lo"};
	int fd = control();

	CHECK_CALL(!ioctl(fd, SIOCGIFFLAGS, &request));
	request.ifr_flags |= IFF_UP;
	CHECK_CALL(!ioctl(fd, SIOCSIFFLAGS, &request) && !close(fd));
}

/* The device is there and up in every VM. */
static void prepare(void)
{
	bring_up();
}

static int bound(int type, int protocol)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons((uint16_t)protocol),
		.sll_ifindex = (int)if_nametoindex("lo"),
	};
	int fd = socket(AF_PACKET, type | SOCK_NONBLOCK, 0);

	CHECK_CALL(fd >= 0 && !bind(fd, (struct sockaddr *)&address, sizeof(address)));
	return fd;
}

static void set(int fd, int option, int value)
{
	CHECK_CALL(!setsockopt(fd, SOL_PACKET, option, &value, sizeof(value)));
}

static void check(int fd, int option, int wanted, const char *what)
{
	int value = -1;
	socklen_t size = sizeof(value);

	CHECK_CALL(!getsockopt(fd, SOL_PACKET, option, &value, &size));
	CHECK(value == wanted, "%s: %#x, not %#x", what, value, wanted);
}

static struct packet_mreq membership(unsigned short type)
{
	struct packet_mreq m = {
		.mr_ifindex = (int)if_nametoindex("lo"),
		.mr_type = type,
		.mr_alen = type == PACKET_MR_MULTICAST ? 6 : 0,
		.mr_address = {1, 0, 0x5e, 1, 2, 3},
	};

	return m;
}

static void join(int fd, unsigned short type)
{
	struct packet_mreq m = membership(type);

	CHECK_CALL(!setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &m, sizeof(m)));
}

static bool find_in(const char *path, const char *text)
{
	char content[4096] = "";
	int fd = open(path, O_RDONLY);

	CHECK_CALL(fd >= 0 && read(fd, content, sizeof(content) - 1) >= 0 && !close(fd));
	return strstr(content, text);
}

static void drop(int fd, unsigned short type)
{
	struct packet_mreq m = membership(type);

	CHECK_CALL(!setsockopt(fd, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &m, sizeof(m)));
}

static const char *device_flags(void)
{
	static char text[16];
	int fd = open("/sys/class/net/lo/flags", O_RDONLY);

	CHECK_CALL(fd >= 0 && read(fd, text, sizeof(text) - 1) > 2 && !close(fd));
	return text;
}

/* The device tells; nobody else has joined these. */
static void check_joined(int fd)
{
	const unsigned long both = IFF_PROMISC | IFF_ALLMULTI;

	CHECK(find_in("/proc/net/dev_mcast", "01005e010203"), "the address is gone");
	CHECK((strtoul(device_flags(), NULL, 16) & both) == both, "the device has flags %s",
	      device_flags());
	drop(fd, PACKET_MR_MULTICAST);
	drop(fd, PACKET_MR_PROMISC);
	drop(fd, PACKET_MR_ALLMULTI);
	CHECK(!find_in("/proc/net/dev_mcast", "01005e010203"), "the address was joined twice");
	CHECK(!(strtoul(device_flags(), NULL, 16) & both), "the device still has flags %s",
	      device_flags());
}

static void check_name(int fd, int protocol, const char *what)
{
	struct sockaddr_ll address;
	socklen_t size = sizeof(address);

	CHECK_CALL(!getsockname(fd, (struct sockaddr *)&address, &size));
	CHECK(address.sll_protocol == htons((uint16_t)protocol) &&
		      address.sll_ifindex == (int)if_nametoindex("lo"),
	      "%s: bound to protocol %#x, device %d", what, ntohs(address.sll_protocol),
	      address.sll_ifindex);
}

static void check_receives(int fd, const char *what)
{
	const struct sockaddr_in to = {.sin_family = AF_INET,
				       .sin_port = htons(PORT),
				       .sin_addr = {htonl(INADDR_LOOPBACK)}};
	char packet[2048];
	ssize_t length;
	int sender = control();
	int64_t end = workload_now() + WORKLOAD_LATE;

	while (recv(fd, packet, sizeof(packet), 0) > 0)
		;
	CHECK_CALL(sendto(sender, "payload of mine", 15, 0, (const struct sockaddr *)&to,
			  sizeof(to)) == 15);
	while ((length = recv(fd, packet, sizeof(packet), 0)) < 15)
		CHECK(workload_now() < end, "%s: nothing comes: %s", what, strerror(errno));
	CHECK(!memcmp(packet + length - 15, "payload of mine", 15), "%s: another packet", what);
}

int main(int argc, char **argv)
{
	int raw, cooked, deaf, unbound;

	workload_start(argc, argv, prepare);
	bring_up();
	raw = bound(SOCK_RAW, ETH_P_IP);
	set(raw, PACKET_AUXDATA, 1);
	set(raw, PACKET_ORIGDEV, 1);
	set(raw, PACKET_VERSION, TPACKET_V2);
	set(raw, PACKET_RESERVE, 64);
	set(raw, PACKET_LOSS, 1);
	set(raw, PACKET_TIMESTAMP, 64);
	set(raw, PACKET_FANOUT, GROUP | PACKET_FANOUT_LB << 16 | PACKET_FANOUT_FLAG_ROLLOVER << 16);
	cooked = bound(SOCK_DGRAM, ETH_P_ALL);
	join(cooked, PACKET_MR_MULTICAST);
	join(cooked, PACKET_MR_PROMISC);
	join(cooked, PACKET_MR_ALLMULTI);
	deaf = bound(SOCK_RAW, 0);
	set(deaf, PACKET_VNET_HDR, 1);
	unbound = socket(AF_PACKET, SOCK_RAW, 0);
	CHECK_CALL(unbound >= 0);
	workload_ready();
	workload_wait();
	check_name(raw, ETH_P_IP, "raw");
	check(raw, PACKET_AUXDATA, 1, "PACKET_AUXDATA");
	check(raw, PACKET_ORIGDEV, 1, "PACKET_ORIGDEV");
	check(raw, PACKET_VERSION, TPACKET_V2, "PACKET_VERSION");
	check(raw, PACKET_RESERVE, 64, "PACKET_RESERVE");
	check(raw, PACKET_LOSS, 1, "PACKET_LOSS");
	check(raw, PACKET_TIMESTAMP, 64, "PACKET_TIMESTAMP");
	check(raw, PACKET_FANOUT,
	      (int)(GROUP | PACKET_FANOUT_LB << 16 | PACKET_FANOUT_FLAG_ROLLOVER << 16),
	      "PACKET_FANOUT");
	check_receives(raw, "raw");
	check_name(cooked, ETH_P_ALL, "cooked");
	check(cooked, PACKET_AUXDATA, 0, "PACKET_AUXDATA of another");
	check_receives(cooked, "cooked");
	check_joined(cooked);
	check_name(deaf, 0, "deaf");
	check(deaf, PACKET_VNET_HDR, 1, "PACKET_VNET_HDR");
	check(unbound, PACKET_VERSION, TPACKET_V1, "PACKET_VERSION of another");
	workload_pass();
}
