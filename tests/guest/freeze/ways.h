/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ways to wait for a token that another thread passes on.
 *
 * A call that waits is interrupted by being stopped and continued only where signal(7) says so:
 * epoll_wait, sigtimedwait, semop, and sockets with a time-out.
 */
#ifndef OVM_TESTS_FREEZE_WAYS_H
#define OVM_TESTS_FREEZE_WAYS_H

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "load.h"

enum {
	/* Time-outs that never end. */
	LONG_S = 600,
};

struct member {
	const struct way *way;
	struct slot *slot;
	struct member *next;
	pthread_t thread;
	/* How the token comes: by a descriptor or id of the way, or here, with a sign that it is.
	 */
	int in, out, extra;
	uint32_t there;
	uint64_t token;
	struct sockaddr_un address;
	socklen_t address_length;
};

/* A way to wait for a token, and to pass it to somebody who waits so. */
struct way {
	const char *name;
	void (*init)(struct member *m);
	uint64_t (*wait)(struct member *m);
	void (*give)(struct member *m, uint64_t token);
	void (*deinit)(struct member *m);
};

enum { MEMORY_WAYS = 8, DESCRIPTOR_WAYS = 9 };

extern const struct way memory_ways[MEMORY_WAYS], descriptor_ways[DESCRIPTOR_WAYS];

#define CALL(m, condition, what) \
	CHECK(condition, "%s: %s: %s", (m)->slot->name, what, strerror(errno))

/* Whether a call is to be made again; it may only fail with EINTR. */
bool way_was_interrupted(struct member *m, ssize_t result, const char *what);

/* A token that lies in the member itself. */
void way_put(struct member *m, uint64_t token);
uint64_t way_take(struct member *m);

#endif /* OVM_TESTS_FREEZE_WAYS_H */
