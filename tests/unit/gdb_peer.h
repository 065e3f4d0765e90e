/* SPDX-License-Identifier: GPL-2.0-only */
/* The other end of a connection with a gdb stub, which takes every packet down. */
#ifndef OVM_TESTS_UNIT_GDB_PEER_H
#define OVM_TESTS_UNIT_GDB_PEER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

enum {
	GDB_PEER_PACKETS = 8192,
	GDB_PEER_BYTES = 32,
};

struct gdb_peer {
	/** The end of whoever is tested. */
	int fd;
	/** Number of the packet that is answered with an error, or at which it hangs up; 0: none.
	 */
	size_t fail_at, close_at;
	/** Report a stop in front of each answer, and behind it. */
	bool reports;
	/** Packets so far, without "$" and checksum; those whose checksum is wrong. */
	char packets[GDB_PEER_PACKETS][GDB_PEER_BYTES];
	size_t nr, nr_bad;
	int theirs;
	pthread_t thread;
	pthread_mutex_t lock;
};

/** False when there are no sockets, or threads. */
bool gdb_peer_start(struct gdb_peer *peer);

void gdb_peer_stop(struct gdb_peer *peer);

/** How many packets have come. */
size_t gdb_peer_nr(struct gdb_peer *peer);

/** Say something that nobody asked for. */
void gdb_peer_report(struct gdb_peer *peer);

#endif /* OVM_TESTS_UNIT_GDB_PEER_H */
