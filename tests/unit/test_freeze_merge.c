// SPDX-License-Identifier: GPL-2.0-only
/* What a look at the guest found, taken into a plan; and the places for calls, which it tells too.
 */
#include <stdio.h>
#include <stdlib.h>

#include "test.h"
#include "vmi/freeze_plan.h"
#include "vmi/ipi.h"
#include "write_guest.h"

enum {
	TRAP = 1 << 23,
	MAX = 50000,
	/* Threads that lie this close share their bytes, which nobody minds here. */
	DISTANCE = 64,
	/* Of an idle thread, and where its frames are. */
	STACK_BYTES = 16384,
	/* What CPUs have there. */
	SLOTS_START = 1024,
	SLOT_BYTES = 64,
};

static struct write_guest guest;
static struct ovm_writer *writer;
static struct ovm_freeze_plan *plan;
static struct ovm_rec_freezable *recs;

static bool is_paused(void *arg)
{
	(void)arg;
	return true;
}

static void start(const struct write_guest_options *options, uint32_t max)
{
	ASSERT_TRUE(write_guest_start(&guest, options));
	const struct ovm_writer_options writer_options = {
		.size = sizeof(writer_options),
		.kernel = guest.kernel,
		.memory = guest.memory,
		.paused = is_paused,
	};

	ASSERT_OK(ovm_writer_create(&writer_options, &writer));
	plan = calloc(1, sizeof(*plan) + max * sizeof(plan->threads[0]));
	recs = calloc(max + 1, sizeof(*recs));
	ASSERT_TRUE(plan && recs);
	plan->max = max;
	ASSERT_OK(ovm_freeze_members_find(writer, &plan->members));
}

static void stop(void)
{
	free(plan);
	free(recs);
	ovm_writer_destroy(writer);
	write_guest_stop(&guest);
}

static const uint64_t tasks = WRITE_DIRECT + WRITE_FREE * WRITE_PAGE;
static const uint64_t handlers = WRITE_DIRECT + WRITE_HIGH;

static struct ovm_rec_bytes text(const char *s)
{
	return (struct ovm_rec_bytes){.data = (uint8_t *)s, .len = strlen(s)};
}

/* The first @nr of recs, as a list of threads that differ. */
static struct ovm_rec_freezer list(uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++)
		recs[i] = (struct ovm_rec_freezable){
			.next = i + 1 < nr ? &recs[i + 1] : NULL,
			.task = tasks + DISTANCE * (uint64_t)i,
			.sighand = handlers,
			.signal = handlers + 4 * WRITE_PAGE,
			.tid = (int32_t)(100 + i),
			.tgid = 100,
			.start_time = 1000 + i,
		};
	return (struct ovm_rec_freezer){.threads = recs, .nr_threads = nr};
}

static void assert_merged(const struct ovm_rec_freezer *rec, const char *cgroup, uint32_t nr,
			  bool is_new)
{
	bool found_new;

	ASSERT_OK(ovm_freeze_plan_merge(plan, writer, rec, cgroup, &found_new));
	ASSERT_EQ_U64(plan->nr, nr);
	ASSERT_EQ_U64(found_new, is_new);
}

/* ---- threads --------------------------------------------------------------------------------- */

OVM_TEST(freeze_merge, takes_thousands_of_threads_once)
{
	start(NULL, MAX);
	struct ovm_rec_freezer rec = list(MAX);

	for (uint32_t nr = 1; nr < MAX; nr = nr * 7 + 1) {
		recs[nr - 1].next = NULL;
		rec.nr_threads = nr;
		assert_merged(&rec, NULL, nr, true);
		assert_merged(&rec, NULL, nr, false);
		recs[nr - 1].next = &recs[nr];
	}
	rec.nr_threads = MAX;
	assert_merged(&rec, NULL, MAX, true);
	for (uint32_t i = 0; i < MAX; i++) {
		const struct ovm_freeze_thread *t = &plan->threads[i];

		ASSERT_TRUE(t->seen && !t->ours && !t->dropped);
		ASSERT_EQ_U64(t->task.address, tasks + DISTANCE * (uint64_t)i);
		ASSERT_EQ_U64(t->sighand.address, handlers);
	}
	stop();
}

OVM_TEST(freeze_merge, refuses_more_than_there_is_room_for)
{
	bool is_new;

	start(NULL, 100);
	struct ovm_rec_freezer rec = list(101);

	ASSERT_ERROR(ovm_freeze_plan_merge(plan, writer, &rec, NULL, &is_new), OVM_ERROR_BUDGET,
		     "more than 100 threads");
	ASSERT_EQ_U64(plan->nr, 100);
	recs[99].next = NULL;
	assert_merged(&rec, NULL, 100, false);
	stop();
}

OVM_TEST(freeze_merge, notes_what_has_vanished)
{
	start(NULL, 10);
	struct ovm_rec_freezer rec = list(10);

	assert_merged(&rec, NULL, 10, true);
	recs[3].next = &recs[7];
	assert_merged(&rec, NULL, 10, false);
	for (uint32_t i = 0; i < 10; i++)
		ASSERT_EQ_U64(plan->threads[i].seen, i < 4 || i > 6);
	recs[3].next = &recs[4];
	assert_merged(&rec, NULL, 10, false);
	ASSERT_TRUE(plan->threads[5].seen);
	rec.threads = NULL;
	assert_merged(&rec, NULL, 10, false);
	ASSERT_FALSE(plan->threads[0].seen);
	stop();
}

/* As when it executes a program, and takes the id of its leader; or when its memory is used anew.
 */
OVM_TEST(freeze_merge, another_id_is_another_thread)
{
	start(NULL, 10);
	struct ovm_rec_freezer rec = list(3);

	assert_merged(&rec, NULL, 3, true);
	recs[1].tid = 100;
	assert_merged(&rec, NULL, 4, true);
	ASSERT_FALSE(plan->threads[1].seen);
	ASSERT_EQ_U64((uint64_t)plan->threads[3].tid, 100);
	recs[2].start_time++;
	assert_merged(&rec, NULL, 5, true);
	assert_merged(&rec, NULL, 5, false);
	stop();
}

OVM_TEST(freeze_merge, the_dying_are_left_out)
{
	start(NULL, 10);
	struct ovm_rec_freezer rec = list(4);

	recs[0].sighand = 0;
	recs[2].exit_state = 0x20;
	assert_merged(&rec, NULL, 2, true);
	ASSERT_EQ_U64((uint64_t)plan->threads[0].tid, 101);
	ASSERT_EQ_U64((uint64_t)plan->threads[1].tid, 103);
	recs[1].sighand = 0;
	assert_merged(&rec, NULL, 2, false);
	ASSERT_FALSE(plan->threads[0].seen);
	stop();
}

OVM_TEST(freeze_merge, knows_whose_freezer_it_was)
{
	start(NULL, 10);
	struct ovm_rec_freezer rec = list(3);

	recs[0].jobctl = TRAP | 3;
	recs[1].jobctl = TRAP;
	recs[1].cgroup_frozen = 1;
	assert_merged(&rec, NULL, 3, true);
	ASSERT_TRUE(plan->threads[0].ours && !plan->threads[0].cgroup_frozen);
	ASSERT_TRUE(!plan->threads[1].ours && plan->threads[1].cgroup_frozen);
	ASSERT_TRUE(!plan->threads[2].ours && !plan->threads[2].cgroup_frozen);
	/* Only when it is found; later it is known better. */
	recs[2].jobctl = TRAP;
	recs[1].cgroup_frozen = 0;
	assert_merged(&rec, NULL, 3, false);
	ASSERT_FALSE(plan->threads[2].ours);
	ASSERT_FALSE(plan->threads[1].cgroup_frozen);
	stop();
}

OVM_TEST(freeze_merge, follows_exchanged_signal_handlers)
{
	start(NULL, 10);
	struct ovm_rec_freezer rec = list(1);

	assert_merged(&rec, NULL, 1, true);
	recs[0].sighand = handlers + 4096;
	assert_merged(&rec, NULL, 1, false);
	ASSERT_EQ_U64(plan->threads[0].sighand.address, handlers + 4096);
	*write_guest_at(&guest, WRITE_HIGH + 4096 + SIGHAND_SIGLOCK) = 1;
	ASSERT_EQ_U64(ovm_object_load(&plan->threads[0].sighand, &plan->members.siglock), 1);
	stop();
}

static void assert_in(const char *path, const char *cgroup, bool in)
{
	start(NULL, 1);
	struct ovm_rec_freezer rec = list(1);

	recs[0].cgroup = path ? text(path) : (struct ovm_rec_bytes){0};
	assert_merged(&rec, cgroup, in, in);
	if (ovm_test_failed())
		printf("%s is wrongly %s %s\n", path, in ? "not in" : "in", cgroup);
	stop();
}

OVM_TEST(freeze_merge, a_cgroup_has_those_below_it)
{
	assert_in("/a", "/a", true);
	assert_in("/a", "/a/", true);
	assert_in("/a", "/a//", true);
	assert_in("/a/b/c", "/a", true);
	assert_in("/a/b/c", "/a/b", true);
	assert_in("/ab", "/a", false);
	assert_in("/", "/a", false);
	assert_in("/a", "/a/b", false);
	assert_in("/b/a", "/a", false);
	assert_in("/a", "a", false);
	assert_in("", "/a", false);
	assert_in(NULL, "/a", false);
	assert_in("/", "/", true);
	assert_in("/a", "/", true);
	assert_in(NULL, "/", true);
}

/* ---- lies ------------------------------------------------------------------------------------ */

OVM_TEST(freeze_merge, what_lies_nowhere_ends_the_look_but_spoils_nothing)
{
	static const struct {
		uint64_t address;
		enum ovm_error_code code;
	} places[] = {
		{1, OVM_ERROR_CORRUPT},
		{WRITE_DIRECT + WRITE_FREE * WRITE_PAGE + 4, OVM_ERROR_CORRUPT},
		{0x400000, OVM_ERROR_FAULT},
		{WRITE_DIRECT + WRITE_LOW_PAGES * WRITE_PAGE - 8, OVM_ERROR_FAULT},
		{WRITE_DIRECT + WRITE_HIGH - 8, OVM_ERROR_FAULT},
		{UINT64_MAX - 7, OVM_ERROR_CORRUPT},
		{UINT64_C(0x8000000000000000), OVM_ERROR_FAULT},
	};
	bool is_new;

	start(NULL, 10);
	for (size_t i = 0; i < 2 * sizeof(places) / sizeof(*places); i++) {
		struct ovm_rec_freezer rec = list(5);

		plan->nr = 0;
		*(i % 2 ? &recs[3].task : &recs[3].sighand) = places[i / 2].address;
		ASSERT_ERROR(ovm_freeze_plan_merge(plan, writer, &rec, NULL, &is_new),
			     places[i / 2].code, NULL);
		ASSERT_EQ_U64(plan->nr, 3);
		rec = list(5);
		assert_merged(&rec, NULL, 5, true);
	}
	stop();
}

/* A thread that is known may have new handlers that are nowhere: the old ones stay. */
OVM_TEST(freeze_merge, handlers_that_lie_nowhere_leave_those_that_were)
{
	bool is_new;

	start(NULL, 1);
	struct ovm_rec_freezer rec = list(1);

	assert_merged(&rec, NULL, 1, true);
	recs[0].sighand = 0x1000;
	ASSERT_ERROR(ovm_freeze_plan_merge(plan, writer, &rec, NULL, &is_new), OVM_ERROR_FAULT,
		     NULL);
	ASSERT_EQ_U64(plan->threads[0].sighand.address, handlers);
	stop();
}

/* ---- calls ----------------------------------------------------------------------------------- */

static struct ovm_rec_freezer_cpu cpus[OVM_REMOTE_CALL_CPUS + 2];
static struct ovm_rec_freezer calls_rec;

/* Stacks lie behind one another in the first piece of RAM, queues in the second. */
static void list_cpus(uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++)
		cpus[i] = (struct ovm_rec_freezer_cpu){
			.next = i + 1 < nr ? &cpus[i + 1] : NULL,
			.cpu = i,
			.apic_id = i,
			.queue = handlers + 64 * (uint64_t)i,
			.idle_stack = tasks + STACK_BYTES * (uint64_t)i,
			.idle_sp = tasks + STACK_BYTES * (uint64_t)(i + 1) - 512,
		};
	calls_rec = (struct ovm_rec_freezer){
		.cpus = cpus,
		.gate = WRITE_IMAGE + WRITE_GATE,
	};
}

static struct ovm_error *find_calls(void)
{
	return ovm_remote_calls_init(writer, guest.kernel, &calls_rec, "wake_up_process",
				     &plan->calls);
}

static bool write_member(void *arg, const struct ovm_object *object,
			 const struct ovm_member *member, uint64_t from, uint64_t to)
{
	unsigned int *nr = arg;

	(*nr)++;
	return ovm_write_unlogged(object, member, from, to);
}

static uint64_t word_at(uint64_t address)
{
	uint64_t word;

	memcpy(&word, write_guest_at(&guest, address - WRITE_DIRECT), sizeof(word));
	return word;
}

static void set_word(uint64_t address, uint64_t word)
{
	memcpy(write_guest_at(&guest, address - WRITE_DIRECT), &word, sizeof(word));
}

OVM_TEST(freeze_merge, queues_calls_as_the_kernel_does)
{
	const uint64_t slot = tasks + SLOTS_START;
	unsigned int nr = 0;

	start(NULL, 1);
	list_cpus(2);
	set_word(cpus[0].queue, 0xffff888000001230);
	ASSERT_OK(find_calls());
	ASSERT_EQ_U64(plan->calls.nr_cpus, 2);
	ASSERT_EQ_U64(plan->calls.cpus[0].nr_slots, OVM_REMOTE_CALL_SLOTS);
	ASSERT_FALSE(ovm_remote_calls_pending(&plan->calls));
	ASSERT_TRUE(ovm_remote_call(&plan->calls, &plan->calls.cpus[0], 0x42, write_member, &nr));
	ASSERT_EQ_U64(nr, 5);
	ASSERT_EQ_U64(word_at(cpus[0].queue), slot);
	ASSERT_EQ_U64(word_at(slot), 0xffff888000001230);
	ASSERT_EQ_U64(word_at(slot + 8), 0x11);
	ASSERT_EQ_U64(word_at(slot + 16), WRITE_IMAGE + WRITE_WAKE_UP);
	ASSERT_EQ_U64(word_at(slot + 24), 0x42);
	ASSERT_TRUE(ovm_remote_calls_pending(&plan->calls));
	ASSERT_TRUE(ovm_remote_call(&plan->calls, &plan->calls.cpus[0], 0x43, write_member, &nr));
	ASSERT_EQ_U64(word_at(cpus[0].queue), slot + SLOT_BYTES);
	ASSERT_EQ_U64(word_at(slot + SLOT_BYTES), slot);
	stop();
}

OVM_TEST(freeze_merge, calls_find_the_same_place_again)
{
	unsigned int nr = 0;

	start(NULL, 1);
	list_cpus(1);
	ASSERT_OK(find_calls());
	for (unsigned int i = 0; i < OVM_REMOTE_CALL_SLOTS; i++)
		ASSERT_TRUE(
			ovm_remote_call(&plan->calls, &plan->calls.cpus[0], i, write_member, &nr));
	ASSERT_FALSE(ovm_remote_call(&plan->calls, &plan->calls.cpus[0], 1, write_member, &nr));
	/* All but one have been made; whoever comes next leaves that one alone. */
	for (unsigned int i = 1; i < OVM_REMOTE_CALL_SLOTS; i++)
		set_word(tasks + SLOTS_START + i * SLOT_BYTES + 8, 0);
	ASSERT_TRUE(ovm_remote_calls_pending(&plan->calls));
	ASSERT_OK(find_calls());
	ASSERT_EQ_U64(plan->calls.cpus[0].nr_slots, OVM_REMOTE_CALL_SLOTS - 1);
	ASSERT_FALSE(ovm_remote_calls_pending(&plan->calls));
	stop();
}

/* What a guardian takes over may never be called, but a place that is free again is used again. */
OVM_TEST(freeze_merge, inherited_calls_are_not_waited_for)
{
	struct ovm_remote_call_cpu *cpu;
	unsigned int nr = 0;

	start(NULL, 1);
	list_cpus(1);
	ASSERT_OK(find_calls());
	cpu = &plan->calls.cpus[0];
	ASSERT_TRUE(ovm_remote_call(&plan->calls, cpu, 1, write_member, &nr));
	ovm_remote_calls_inherit(&plan->calls);
	ASSERT_FALSE(ovm_remote_calls_pending(&plan->calls));
	ASSERT_TRUE(ovm_remote_call(&plan->calls, cpu, 2, write_member, &nr));
	ASSERT_TRUE(ovm_remote_calls_pending(&plan->calls));
	ASSERT_EQ_U64(word_at(tasks + SLOTS_START + 24), 1);
	set_word(tasks + SLOTS_START + 8, 0);
	set_word(tasks + SLOTS_START + SLOT_BYTES + 8, 0);
	ASSERT_FALSE(ovm_remote_calls_pending(&plan->calls));
	ASSERT_TRUE(ovm_remote_call(&plan->calls, cpu, 3, write_member, &nr));
	ASSERT_TRUE(ovm_remote_calls_pending(&plan->calls));
	stop();
}

OVM_TEST(freeze_merge, leaves_used_parts_of_stacks_alone)
{
	start(NULL, 1);
	list_cpus(2);
	/* Words of frames from long ago, in each part of an entry. */
	set_word(tasks + SLOTS_START, 1);
	set_word(tasks + SLOTS_START + SLOT_BYTES + 8, 1);
	set_word(tasks + SLOTS_START + 2 * SLOT_BYTES + 16, 1);
	set_word(tasks + SLOTS_START + 3 * SLOT_BYTES + 24, 1);
	/* The other one is in the middle of something deep. */
	cpus[1].idle_sp = cpus[1].idle_stack + 6000;
	ASSERT_OK(find_calls());
	ASSERT_EQ_U64(plan->calls.cpus[0].nr_slots, OVM_REMOTE_CALL_SLOTS - 4);
	ASSERT_EQ_U64(plan->calls.cpus[0].slots[0].address, tasks + SLOTS_START + 4 * SLOT_BYTES);
	ASSERT_EQ_U64(plan->calls.cpus[1].nr_slots, 0);
	ASSERT_TRUE(ovm_remote_calls_cpu(&plan->calls, 1) == &plan->calls.cpus[0]);
	stop();
}

OVM_TEST(freeze_merge, stacks_at_impossible_places_have_no_room)
{
	static const uint64_t places[] = {
		0,
		0x400000,
		0x7ffffffff000,
		UINT64_C(0x8000000000000000),
		WRITE_DIRECT + WRITE_FREE * WRITE_PAGE + 1,
		WRITE_DIRECT + WRITE_LOW_PAGES * WRITE_PAGE - SLOTS_START,
		WRITE_DIRECT + WRITE_HIGH - STACK_BYTES,
		WRITE_VMALLOC - STACK_BYTES,
		UINT64_MAX - 7,
		-(uint64_t)SLOTS_START,
		-(uint64_t)SLOTS_START - SLOT_BYTES,
	};

	start(NULL, 1);
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		list_cpus(2);
		cpus[0].idle_stack = places[i];
		cpus[0].idle_sp = i % 2 ? places[i] + STACK_BYTES : UINT64_MAX;
		ASSERT_OK(find_calls());
		ASSERT_EQ_U64(plan->calls.cpus[0].nr_slots, 0);
		ASSERT_EQ_U64(plan->calls.cpus[1].nr_slots, OVM_REMOTE_CALL_SLOTS);
		cpus[0].next = NULL;
		ASSERT_ERROR(find_calls(), OVM_ERROR_KERNEL, "has room");
	}
	/* The last that is whole. */
	list_cpus(1);
	cpus[0].idle_stack =
		WRITE_DIRECT + WRITE_LOW_PAGES * WRITE_PAGE - SLOTS_START - 8 * SLOT_BYTES;
	cpus[0].idle_sp = 0;
	ASSERT_OK(find_calls());
	ASSERT_EQ_U64(plan->calls.cpus[0].nr_slots, 8);
	stop();
}

OVM_TEST(freeze_merge, queues_at_impossible_places_are_told)
{
	static const uint64_t places[] = {0, 0x400000, WRITE_DIRECT + 1, UINT64_MAX - 7,
					  WRITE_DIRECT + WRITE_LOW_PAGES * WRITE_PAGE};
	struct ovm_error *err;

	start(NULL, 1);
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		list_cpus(2);
		cpus[1].queue = places[i];
		err = find_calls();
		ASSERT_TRUE(err);
		ASSERT_TRUE(err->code == OVM_ERROR_FAULT || err->code == OVM_ERROR_CORRUPT);
		ovm_error_free(err);
	}
	stop();
}

/* Stacks of several CPUs that are the same, or nearly, and queues that lie in entries. */
OVM_TEST(freeze_merge, what_overlaps_comes_to_an_end)
{
	for (unsigned int shift = 0; shift < 80; shift += 8) {
		unsigned int nr = 0;

		start(NULL, 1);
		list_cpus(3);
		cpus[1].idle_stack = cpus[0].idle_stack + shift;
		cpus[2].idle_stack = cpus[0].idle_stack;
		cpus[0].queue = cpus[0].idle_stack + SLOTS_START + shift;
		cpus[1].queue = cpus[0].queue;
		ASSERT_OK(find_calls());
		for (unsigned int i = 0; i < 4 * OVM_REMOTE_CALL_SLOTS; i++)
			ovm_remote_call(&plan->calls, &plan->calls.cpus[i % 3], i, write_member,
					&nr);
		ASSERT_TRUE(nr <= 4 * OVM_REMOTE_CALL_SLOTS * 5);
		stop();
	}
}

OVM_TEST(freeze_merge, more_cpus_than_there_is_room_for_are_left_out)
{
	start(NULL, 1);
	list_cpus(OVM_REMOTE_CALL_CPUS + 2);
	for (uint32_t i = 0; i < OVM_REMOTE_CALL_CPUS + 2; i++) {
		cpus[i].apic_id = i % 200;
		cpus[i].idle_stack = tasks;
	}
	cpus[5].apic_id = OVM_IPI_APIC_ID_MAX + 1;
	cpus[6].apic_id = UINT32_MAX;
	ASSERT_OK(find_calls());
	ASSERT_EQ_U64(plan->calls.nr_cpus, OVM_REMOTE_CALL_CPUS);
	ASSERT_EQ_U64(plan->calls.cpus[4].cpu, 4);
	ASSERT_EQ_U64(plan->calls.cpus[5].cpu, 7);
	stop();
}

OVM_TEST(freeze_merge, kernels_that_cant_be_called_are_refused)
{
	static const uint32_t endbr = 0xfa1e0ff3;

	start(NULL, 1);
	list_cpus(1);
	calls_rec.gate = WRITE_IMAGE + WRITE_GATE + 0x100;
	ASSERT_ERROR(find_calls(), OVM_ERROR_KERNEL, "leads elsewhere");
	calls_rec.gate = 0;
	ASSERT_ERROR(find_calls(), OVM_ERROR_KERNEL, "leads elsewhere");
	list_cpus(1);
	ASSERT_ERROR(
		ovm_remote_calls_init(writer, guest.kernel, &calls_rec, "nothing", &plan->calls),
		OVM_ERROR_KERNEL, "has no nothing");
	stop();
	start(&(struct write_guest_options){.symbol = "__cfi_wake_up_process"}, 1);
	ASSERT_ERROR(find_calls(), OVM_ERROR_KERNEL, "kCFI");
	stop();
	start(&(struct write_guest_options){.symbol = "ibt_save"}, 1);
	ASSERT_ERROR(find_calls(), OVM_ERROR_KERNEL, "indirectly");
	memcpy(write_guest_at(&guest, 0x1000 + WRITE_WAKE_UP), &endbr, sizeof(endbr));
	ASSERT_OK(find_calls());
	stop();
	start(&(struct write_guest_options){.old_calls = true}, 1);
	ASSERT_ERROR(find_calls(), OVM_ERROR_NOT_FOUND, "node");
	stop();
}
