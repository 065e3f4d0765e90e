// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rings of threads, each waiting in another way for the token that the one before passes on. A
 * wake-up that is lost stops a ring for good; a token that is lost or doubled is told by its
 * number.
 */
#include <unistd.h>

#include "ways.h"

/* No token has this number; it ends a ring. */
static const uint64_t last_token = UINT64_MAX;

enum { WAYS = MEMORY_WAYS + DESCRIPTOR_WAYS, RINGS = LOAD_THREADS / WAYS + 1 };

static struct member members[RINGS][WAYS];

static void *run_member(void *arg)
{
	struct member *m = arg;
	bool first = m->way == memory_ways;
	uint64_t expected = 1;

	m->slot->tid = gettid();
	for (;;) {
		uint64_t token = m->way->wait(m);

		if (token == last_token) {
			if (!first)
				m->next->way->give(m->next, token);
			return NULL;
		}
		CHECK(token == expected, "%s: token %llu came in the place of %llu", m->slot->name,
		      (unsigned long long)token, (unsigned long long)expected);
		expected++;
		load_turn(m->slot);
		if (first)
			token = load_stopping() ? last_token : token + 1;
		m->next->way->give(m->next, token);
	}
}

static void init_member(struct member *m, const struct way *way)
{
	m->way = way;
	m->slot = load_slot(way->name);
	m->in = m->out = m->extra = -1;
	if (way->init)
		way->init(m);
}

/* The first of a ring ends each round of the token and begins the next one. */
static void start_ring(struct member *ring)
{
	for (int i = 0; i < WAYS; i++) {
		init_member(&ring[i],
			    i < MEMORY_WAYS ? &memory_ways[i] : &descriptor_ways[i - MEMORY_WAYS]);
		ring[i].next = &ring[(i + 1) % WAYS];
	}
	for (int i = 0; i < WAYS; i++)
		ring[i].thread = load_thread(run_member, &ring[i]);
	ring->next->way->give(ring->next, 1);
}

static void end_ring(struct member *ring)
{
	for (int i = 0; i < WAYS; i++)
		load_join(ring[i].thread);
	for (int i = 0; i < WAYS; i++)
		if (ring[i].way->deinit)
			ring[i].way->deinit(&ring[i]);
}

void load_sleepers(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < RINGS; i++)
		start_ring(members[i]);
	area->ready = 1;
	for (int i = 0; i < RINGS; i++)
		end_ring(members[i]);
}
