// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guests that lie: whatever their memory holds, everything that a dump does comes to an end in
 * time, with images or with an error, without taking more than a process can justify.
 *
 * $OVM_HOSTILE_ROUNDS and $OVM_HOSTILE_SEED change how many rounds there are, and which.
 */
#include "hostile.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "host/ovm-gpu.h"
#include "snapshot.h"
#include "test.h"

enum {
	ROUNDS = 1500,
	/* Of so many rounds, one looks for the kernel anew. */
	ATTACH_EVERY = 50,
	MAX_LIES = 8,
	SHOW_SLOW_MS = 1000,
};

static uint64_t next_random(uint64_t *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random;
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

/* Some rounds have one lie, some several of a kind, which together may pass where one doesn't. */
static size_t make_lies(uint64_t *random, struct hostile_lie *lies)
{
	static const uint8_t sets[] = {HOSTILE_PROCESS, HOSTILE_PROCESS, HOSTILE_PROCESS,
				       HOSTILE_LIST,	HOSTILE_TABLES,	 HOSTILE_TABLES,
				       HOSTILE_PAGES,	HOSTILE_KERNEL};
	size_t nr = 1 + next_random(random) % MAX_LIES;
	uint8_t set = sets[next_random(random) % sizeof(sets)];
	uint8_t how = (uint8_t)next_random(random);
	bool alike = next_random(random) & 1;

	for (size_t i = 0; i < nr; i++) {
		lies[i] = (struct hostile_lie){
			.set = set,
			.how = alike ? how : (uint8_t)next_random(random),
			.word = (uint16_t)next_random(random),
			.low = (uint32_t)next_random(random),
			.high = (uint32_t)next_random(random),
		};
	}
	return nr;
}

static void check_result(const struct hostile *hostile, const struct hostile_result *result,
			 uint64_t seed)
{
	if (result->milliseconds > SHOW_SLOW_MS)
		printf("seed 0x%llx takes %llu ms\n", (unsigned long long)seed,
		       (unsigned long long)result->milliseconds);
	if (result->milliseconds > HOSTILE_MAX_MS)
		OVM_FAIL("seed 0x%llx takes %llu ms", (unsigned long long)seed,
			 (unsigned long long)result->milliseconds);
	if (result->output / HOSTILE_MAX_OUTPUT > hostile_ram_size(hostile))
		OVM_FAIL("seed 0x%llx writes %llu bytes", (unsigned long long)seed,
			 (unsigned long long)result->output);
	if (result->bad_text[0])
		OVM_FAIL("seed 0x%llx leads to a message that is no text: %s",
			 (unsigned long long)seed, result->bad_text);
}

static void attack(const char *name, uint64_t rounds)
{
	static const char *const stages[] = {"listed",	"looked at", "checked", "filled",
					     "planned", "savable",   "written"};
	unsigned int reached[sizeof(stages) / sizeof(stages[0])] = {0};
	uint64_t random = number_from("OVM_HOSTILE_SEED", 0x9e3779b97f4a7c15), slowest = 0;
	struct hostile_result result;
	struct hostile *hostile;
	struct rusage usage;
	char reason[640];

	if (!hostile_open(name, &hostile, reason, sizeof(reason)))
		OVM_FAIL("%s: %s", name, reason);
	hostile_round(hostile, NULL, 0, &result);
	ASSERT_EQ_U64(result.stages, (2 << (sizeof(stages) / sizeof(stages[0]) - 1)) - 1);
	for (uint64_t i = 0; i < rounds && !ovm_test_failed(); i++) {
		struct hostile_lie lies[MAX_LIES];
		uint64_t seed = random;
		size_t nr = make_lies(&random, lies);

		if (next_random(&random) % ATTACH_EVERY == 0)
			hostile_attach(hostile, lies, nr, &result);
		else
			hostile_round(hostile, lies, nr, &result);
		check_result(hostile, &result, seed);
		for (size_t j = 0; j < sizeof(stages) / sizeof(stages[0]); j++)
			reached[j] += result.stages >> j & 1;
		if (result.milliseconds > slowest)
			slowest = result.milliseconds;
	}
	getrusage(RUSAGE_SELF, &usage);
	printf("%s: %llu rounds (words: %zu %zu %zu %zu %zu), slowest %llu ms, %ld MiB;", name,
	       (unsigned long long)rounds, hostile_words(hostile, 0), hostile_words(hostile, 1),
	       hostile_words(hostile, 2), hostile_words(hostile, 3), hostile_words(hostile, 4),
	       (unsigned long long)slowest, usage.ru_maxrss >> 10);
	for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]); i++)
		printf(" %s %u", stages[i], reached[i]);
	printf("\n");
	hostile_close(hostile);
}

OVM_TEST(hostile, a_guest_that_lies_harms_nothing_but_its_own_dump)
{
	char names[TEST_SNAPSHOTS][64];
	size_t nr = test_snapshot_names(names);
	uint64_t rounds = number_from("OVM_HOSTILE_ROUNDS", ROUNDS);

	if (!nr)
		OVM_SKIP("no snapshots: run tests/guest/snapshot");
	for (size_t i = 0; i < nr && !ovm_test_failed(); i++)
		if (!strcmp(names[i], "6.1") || !strcmp(names[i], "6.12") || nr == 1)
			attack(names[i], rounds);
}
