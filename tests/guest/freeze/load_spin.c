// SPDX-License-Identifier: GPL-2.0-only
/* Threads that compute, never call the kernel, and know the result. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "load.h"

enum { ITERATIONS = 20000 };

struct result {
	uint64_t integer;
	double sum;
	long double extended;
};

/* Integer, SSE and x87 registers are all in use between two stores. */
static struct result compute(uint64_t seed)
{
	struct result r = {seed, 1.0 + (double)seed, 2.0L + (long double)seed};

	for (unsigned int i = 0; i < ITERATIONS; i++) {
		r.integer = r.integer * UINT64_C(6364136223846793005) + 1442695040888963407;
		r.sum = r.sum * 0.999 + (double)(r.integer >> 40);
		r.extended = r.extended * 0.998L + (long double)(r.integer >> 44);
	}
	return r;
}

static void *spin(void *arg)
{
	struct slot *slot = arg;
	uint64_t seed = (uint64_t)(slot - area->slots);
	struct result first = compute(seed);

	slot->tid = gettid();
	while (!load_stopping()) {
		struct result r = compute(seed);

		CHECK(r.integer == first.integer, "%s: integer registers changed", slot->name);
		CHECK(r.sum == first.sum, "%s: SSE registers changed", slot->name);
		CHECK(r.extended == first.extended, "%s: x87 registers changed", slot->name);
		load_turn(slot);
	}
	return NULL;
}

void load_spin(void)
{
	pthread_t threads[LOAD_THREADS];

	for (int i = 0; i < LOAD_THREADS; i++)
		threads[i] = load_thread(spin, load_slot("spin"));
	area->ready = 1;
	for (int i = 0; i < LOAD_THREADS; i++)
		load_join(threads[i]);
}

static void *doze(void *arg)
{
	struct slot *slot = arg;

	slot->tid = gettid();
	while (!load_stopping()) {
		load_sleep_us(2000);
		load_turn(slot);
	}
	return NULL;
}

/* A process that any dump can take, of some size: its content is checked all the time. */
void load_plain(void)
{
	enum { SIZE = 48 << 20, STEP = 4096 / sizeof(uint64_t) };
	uint64_t *memory =
		mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct slot *slot = load_slot("memory");

	CHECK(memory != MAP_FAILED, "mmap: %s", strerror(errno));
	for (size_t i = 0; i < SIZE / sizeof(*memory); i += STEP)
		memory[i] = i;
	pthread_t spinner = load_thread(spin, load_slot("spin"));
	pthread_t sleepers[2] = {load_thread(doze, load_slot("doze")),
				 load_thread(doze, load_slot("doze"))};

	slot->tid = gettid();
	area->ready = 1;
	for (uint64_t turn = 0; !load_stopping(); turn++) {
		for (size_t i = 0; i < SIZE / sizeof(*memory); i += STEP) {
			CHECK(memory[i] == i + turn, "memory changed");
			memory[i]++;
		}
		load_turn(slot);
		load_sleep_us(3000);
	}
	load_join(spinner);
	load_join(sleepers[0]);
	load_join(sleepers[1]);
}
