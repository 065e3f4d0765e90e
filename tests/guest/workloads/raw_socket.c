// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: raw sockets keep protocol, filter and header options
 */
#include "inet.h"

#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

#ifndef ICMP_FILTER
#define ICMP_FILTER 1
#endif

static uint16_t checksum(const void *data, size_t len)
{
	uint32_t sum = 0;
	uint16_t word;

	for (size_t i = 0; i < len; i += sizeof(word)) {
		memcpy(&word, (const char *)data + i, sizeof(word));
		sum += word;
	}
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~(sum + (sum >> 16));
}

int main(int argc, char **argv)
{
	uint32_t filter = 1u << ICMP_ECHO, found = 0;
	struct icmp6_filter filter6, found6;
	socklen_t size = sizeof(found);
	union inet_address address;

	workload_start(argc, argv, NULL);

	int icmp = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	int icmp6 = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
	int own = socket(AF_INET, SOCK_RAW, 253);

	if (icmp < 0 && errno == EPERM)
		workload_skip("raw sockets");
	CHECK_CALL(icmp >= 0 && icmp6 >= 0 && own >= 0);
	CHECK_CALL(!setsockopt(icmp, SOL_RAW, ICMP_FILTER, &filter, sizeof(filter)));
	ICMP6_FILTER_SETBLOCKALL(&filter6);
	ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter6);
	CHECK_CALL(!setsockopt(icmp6, SOL_ICMPV6, ICMP6_FILTER, &filter6, sizeof(filter6)));
	inet_set(own, SOL_IP, IP_HDRINCL, 1);
	workload_ready();
	workload_wait();
	CHECK_CALL(!getsockopt(icmp, SOL_RAW, ICMP_FILTER, &found, &size));
	CHECK(found == filter, "the filter is %#x, not %#x", found, filter);
	size = sizeof(found6);
	CHECK_CALL(!getsockopt(icmp6, SOL_ICMPV6, ICMP6_FILTER, &found6, &size));
	CHECK(!memcmp(&filter6, &found6, sizeof(found6)), "the filter of ICMPv6 is another");
	inet_check_option(own, SOL_IP, IP_HDRINCL, 1);
	inet_check_option(icmp, SOL_IP, IP_HDRINCL, 0);
	inet_check_option(own, SOL_SOCKET, SO_PROTOCOL, 253);

	struct icmphdr echo = {.type = ICMP_ECHO, .un.echo.id = htons(77)};
	uint8_t answer[256];

	echo.checksum = checksum(&echo, sizeof(echo));
	size = inet_make(&address, "127.0.0.1", 0);
	CHECK_CALL(sendto(icmp, &echo, sizeof(echo), 0, &address.any, size) == sizeof(echo));
	/* Others' messages come, too; what it sent itself is filtered out. */
	do {
		ssize_t got = recv(icmp, answer, sizeof(answer), 0);

		CHECK(got >= 28 && answer[20] != ICMP_ECHO, "a message of type %u came",
		      answer[20]);
	} while (answer[20] != ICMP_ECHOREPLY);
	workload_pass();
}
