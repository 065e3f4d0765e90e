// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guests that lie: whatever their memory holds, everything that a dump does comes to an end in
 * time, with images or with an error, without taking more than a process can justify.
 *
 * $OVM_HOSTILE_ROUNDS and $OVM_HOSTILE_SEED change how many rounds there are, and which.
 */
#include "hostile_private.h"

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
				       HOSTILE_PAGES,	HOSTILE_KERNEL,	 HOSTILE_FREEZER,
				       HOSTILE_FREEZER};
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
	static const char *const stages[] = {"listed",	"looked at", "checked",
					     "filled",	"planned",   "savable",
					     "written", "frozen",    "all frozen"};
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
	printf("%s: %llu rounds (words: %zu %zu %zu %zu %zu %zu), slowest %llu ms, %ld MiB;", name,
	       (unsigned long long)rounds, hostile_words(hostile, 0), hostile_words(hostile, 1),
	       hostile_words(hostile, 2), hostile_words(hostile, 3), hostile_words(hostile, 4),
	       hostile_words(hostile, 5), (unsigned long long)slowest, usage.ru_maxrss >> 10);
	for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]); i++)
		printf(" %s %u", stages[i], reached[i]);
	printf("\n");
	hostile_close(hostile);
}

/* ---- freezing -------------------------------------------------------------------------------- */

/** One lie about a word that is found by names. */
struct planted {
	const char *what;
	/** A symbol, per CPU 0 if that is so, and the members that lead on from there. */
	const char *symbol;
	bool per_cpu;
	const char *members[4][2];
	uint32_t bytes;
	uint64_t value;
	/** The value is an offset from the word's own address. */
	bool relative;
};

static bool follow(struct hostile *hostile, const struct planted *planted, uint64_t *ret)
{
	struct ovm_kernel *kernel = hostile->ovm.kernel;
	struct ovm_error *err = NULL;
	uint64_t base = 0;

	if (!ovm_kernel_symbol(kernel, planted->symbol, ret) ||
	    (planted->per_cpu && !ovm_kernel_per_cpu_offset(kernel, 0, &base)))
		return false;
	*ret += base;
	for (size_t i = 0; !err && i < 4 && planted->members[i][0]; i++) {
		struct ovm_btf_member member;

		if (i)
			err = ovm_kernel_read(kernel, *ret, ret, sizeof(*ret));
		if (!err)
			err = ovm_btf_find_member(ovm_kernel_btf(kernel), planted->members[i][0],
						  planted->members[i][1], &member);
		if (!err)
			*ret += member.bit_offset / 8;
	}
	ovm_error_free(err);
	return !err;
}

static void plant(struct hostile *hostile, const struct planted *planted)
{
	struct hostile_result result;
	uint64_t address, gpa, value = planted->value, old = 0;

	ASSERT_TRUE(follow(hostile, planted, &address));
	ASSERT_OK(ovm_kernel_translate(hostile->ovm.kernel, address, &gpa));
	uint8_t *place = test_snapshot_at(&hostile->snapshot, gpa);

	value += planted->relative ? address : 0;
	memcpy(&old, place, planted->bytes);
	memcpy(place, &value, planted->bytes);
	hostile_freeze_only(hostile, &result);
	memcpy(place, &old, planted->bytes);
	printf("%s: %llu ms, %s, %s\n", planted->what, (unsigned long long)result.milliseconds,
	       result.stages & HOSTILE_FROZEN_ONE ? "frozen" : "refused",
	       result.stages & HOSTILE_FROZEN_ALL ? "all frozen" : "all refused");
	if (result.milliseconds > HOSTILE_MAX_MS)
		OVM_FAIL("%s: takes %llu ms", planted->what,
			 (unsigned long long)result.milliseconds);
	ASSERT_STREQ(result.bad_text, "");
}

OVM_TEST(hostile, freezing_comes_to_an_end_whatever_the_guest_says)
{
	static const struct planted lies[] = {
		{"65536 CPUs", "nr_cpu_ids", false, {{0}}, 4, 65536, false},
		{"all CPUs there can be", "nr_cpu_ids", false, {{0}}, 4, UINT32_MAX, false},
		{"64 CPUs online", "__cpu_online_mask", false, {{0}}, 8, UINT64_MAX, false},
		{"no CPU online", "__cpu_online_mask", false, {{0}}, 8, 0, false},
		{"a large APIC id", "x86_cpu_to_apicid", true, {{0}}, 2, 0xffff, false},
		{"a queue of itself", "call_single_queue", true, {{0}}, 8, 0, true},
		{"a queue into user memory", "call_single_queue", true, {{0}}, 8, 0x400000, false},
		{"an endless list of processes",
		 "init_task",
		 false,
		 {{"struct task_struct", "tasks.next"}, {"struct list_head", "next"}},
		 8,
		 0,
		 true},
		{"no process at all",
		 "init_task",
		 false,
		 {{"struct task_struct", "tasks.next"}},
		 8,
		 0,
		 true},
		{"a process at an odd address",
		 "init_task",
		 false,
		 {{"struct task_struct", "tasks.next"}},
		 8,
		 5,
		 true},
		{"processes at the end of all addresses",
		 "init_task",
		 false,
		 {{"struct task_struct", "tasks.next"}},
		 8,
		 UINT64_MAX - 7,
		 false},
		{"an idle stack in user memory",
		 "init_task",
		 false,
		 {{"struct task_struct", "stack"}},
		 8,
		 0x7fff00000000,
		 false},
		{"an idle stack at the end of all addresses",
		 "init_task",
		 false,
		 {{"struct task_struct", "stack"}},
		 8,
		 UINT64_MAX - 0x7ff,
		 false},
		{"an idle stack at an odd address",
		 "init_task",
		 false,
		 {{"struct task_struct", "stack"}},
		 8,
		 0x123,
		 true},
		{"an idle stack in the thread itself",
		 "init_task",
		 false,
		 {{"struct task_struct", "stack"}},
		 8,
		 -(uint64_t)2048,
		 true},
		{"frames behind the idle stack",
		 "init_task",
		 false,
		 {{"struct task_struct", "thread.sp"}},
		 8,
		 UINT64_MAX,
		 false},
		{"no frames on the idle stack",
		 "init_task",
		 false,
		 {{"struct task_struct", "thread.sp"}},
		 8,
		 0,
		 false},
	};
	char names[TEST_SNAPSHOTS][64], reason[640];
	struct hostile_result result;
	struct hostile *hostile;

	if (!test_snapshot_names(names))
		OVM_SKIP("no snapshots: run tests/guest/snapshot");
	if (!hostile_open(names[0], &hostile, reason, sizeof(reason)))
		OVM_FAIL("%s: %s", names[0], reason);
	for (size_t i = 0; i < sizeof(lies) / sizeof(*lies) && !ovm_test_failed(); i++)
		plant(hostile, &lies[i]);
	hostile_freeze_only(hostile, &result);
	ASSERT_EQ_U64(result.stages, HOSTILE_FROZEN_ONE | HOSTILE_FROZEN_ALL);
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
