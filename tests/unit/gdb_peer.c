// SPDX-License-Identifier: GPL-2.0-only
/*
 * gdb's remote protocol as QEMU's stub speaks it: "$payload#checksum", which is acknowledged by
 * "+"; the stub's own packets are acknowledged by whatever comes next.
 */
#include "gdb_peer.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Half a packet is what a slow stub has sent. */
static void say(struct gdb_peer *peer, const char *payload)
{
	char packet[64];
	uint8_t sum = 0;

	for (const char *p = payload; *p; p++)
		sum = (uint8_t)(sum + (uint8_t)*p);
	size_t len = (size_t)snprintf(packet, sizeof(packet), "$%s#%02x", payload, sum);

	send(peer->theirs, packet, len / 2, MSG_NOSIGNAL);
	send(peer->theirs, packet + len / 2, len - len / 2, MSG_NOSIGNAL);
}

void gdb_peer_report(struct gdb_peer *peer)
{
	say(peer, "T02thread:01;");
}

/* False at the end. */
static bool answer(struct gdb_peer *peer, const char *payload, bool good)
{
	if (!strcmp(payload, "qC")) {
		send(peer->theirs, "+", 1, MSG_NOSIGNAL);
		say(peer, "QC01");
		return true;
	}
	pthread_mutex_lock(&peer->lock);
	size_t nr = peer->nr + 1;

	snprintf(peer->packets[peer->nr % GDB_PEER_PACKETS], GDB_PEER_BYTES, "%s", payload);
	peer->nr = nr;
	peer->nr_bad += !good;
	pthread_mutex_unlock(&peer->lock);
	if (nr == peer->close_at)
		return false;
	send(peer->theirs, "+", 1, MSG_NOSIGNAL);
	if (peer->reports)
		gdb_peer_report(peer);
	say(peer, nr == peer->fail_at ? "E01" : "OK");
	if (peer->reports)
		gdb_peer_report(peer);
	return true;
}

static bool take(struct gdb_peer *peer, char *c)
{
	return recv(peer->theirs, c, 1, 0) == 1;
}

/* False at the end. */
static bool take_packet(struct gdb_peer *peer)
{
	char payload[GDB_PEER_BYTES] = "", digits[3] = "", c;
	uint8_t sum = 0;
	size_t len = 0;

	do {
		if (!take(peer, &c))
			return false;
	} while (c != '$');
	while (take(peer, &c) && c != '#') {
		sum = (uint8_t)(sum + (uint8_t)c);
		if (len + 1 < sizeof(payload))
			payload[len++] = c;
	}
	if (c != '#' || !take(peer, &digits[0]) || !take(peer, &digits[1]))
		return false;
	return answer(peer, payload, strtoul(digits, NULL, 16) == sum);
}

static void *serve(void *arg)
{
	struct gdb_peer *peer = arg;

	while (take_packet(peer))
		;
	shutdown(peer->theirs, SHUT_RDWR);
	return NULL;
}

bool gdb_peer_start(struct gdb_peer *peer)
{
	int pair[2];

	memset(peer, 0, sizeof(*peer));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return false;
	peer->fd = pair[0];
	peer->theirs = pair[1];
	pthread_mutex_init(&peer->lock, NULL);
	if (!pthread_create(&peer->thread, NULL, serve, peer))
		return true;
	close(pair[0]);
	close(pair[1]);
	return false;
}

void gdb_peer_stop(struct gdb_peer *peer)
{
	shutdown(peer->fd, SHUT_RDWR);
	pthread_join(peer->thread, NULL);
	close(peer->fd);
	close(peer->theirs);
	pthread_mutex_destroy(&peer->lock);
}

size_t gdb_peer_nr(struct gdb_peer *peer)
{
	pthread_mutex_lock(&peer->lock);
	size_t nr = peer->nr;

	pthread_mutex_unlock(&peer->lock);
	return nr;
}
