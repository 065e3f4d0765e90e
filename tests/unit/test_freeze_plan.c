// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is decided about each thread, and that whoever dies in the middle of it leaves behind what
 * his guardian can bring to an end.
 */
#include <stdio.h>

#include "freeze_model.h"
#include "test.h"

enum {
	TRAP = MODEL_TRAP_FREEZE,
	/* Of a call: function, argument, flags, and the head of the queue. */
	CALL = 4,
};

static struct freeze_model model;

/* ---- decisions ------------------------------------------------------------------------------- */

/** A thread, and what comes of it. */
struct decision {
	const char *what;
	enum model_habit habit;
	/** Set in the thread. */
	uint64_t jobctl, pending;
	uint32_t pf_flags, exit_state;
	bool trapped, signalled, ours, cgroup_frozen, on_cpu, frozen;
	/** Locks. */
	bool siglock, pi_lock;
	/** No longer what it was. */
	bool other_sighand, other_pid, other_start, unseen, dropped;
	/** A call that has not been made yet, to whomever. */
	bool call;
	/** It is where it should be; else: time is needed; it sleeps although it was woken;
	 * something has to be written, sooner or later. */
	bool done, waits, asleep, blocked;
	unsigned int writes, interrupts;
};

static void make_thread(const struct decision *d)
{
	uint32_t i = freeze_model_add(&model, d->habit, 0);
	struct model_task *task = &model.tasks[i];
	struct ovm_freeze_thread *t = &model.plan->threads[i];

	task->jobctl |= d->jobctl;
	task->pending = d->pending;
	task->pf_flags |= d->pf_flags;
	task->exit_state = d->exit_state;
	task->tif_flags |= d->signalled ? MODEL_SIGPENDING : 0;
	task->frozen_word |= d->frozen || d->trapped ? 8 : 0;
	task->on_cpu |= d->on_cpu;
	task->pi_lock = d->pi_lock;
	task->pid += d->other_pid;
	task->start_time += d->other_start;
	task->sighand += d->other_sighand ? sizeof(struct model_sighand) : 0;
	if (d->trapped) {
		task->state = MODEL_STATE_TRAPPED;
		task->jobctl |= TRAP;
	}
	model.sighands[0].siglock = d->siglock;
	t->ours = d->ours;
	t->cgroup_frozen = d->cgroup_frozen;
	t->seen = !d->unseen;
	t->dropped = d->dropped;
	model.calls[1][MODEL_SLOTS - 1].flags = d->call ? 0x11 : 0;
}

static void check_tally(const struct decision *d, const struct ovm_freeze_tally *tally)
{
	ASSERT_EQ_U64(tally->nr_done, d->done);
	ASSERT_EQ_U64(tally->nr_waiting, d->waits || d->asleep);
	ASSERT_EQ_U64(tally->nr_asleep, d->asleep);
	ASSERT_EQ_U64(tally->nr_blocked, d->blocked);
	ASSERT_TRUE(tally->late == (d->done ? NULL : model.plan->threads));
}

static void check_decision(enum ovm_freeze_action action, const struct decision *d)
{
	struct ovm_freeze_tally tally;

	ASSERT_TRUE(freeze_model_start(&model));
	make_thread(d);
	if (!d->call) {
		ovm_freeze_plan_look(model.plan, action, &tally);
		check_tally(d, &tally);
	}
	freeze_model_apply(&model, action, &tally);
	check_tally(d, &tally);
	ASSERT_EQ_U64(tally.nr_writes, d->writes);
	ASSERT_EQ_U64(model.nr_writes, d->writes);
	ASSERT_EQ_U64(tally.nr_interrupts, d->interrupts);
	ASSERT_FALSE(d->interrupts && model.wrote_early);
	ASSERT_EQ_U64(gdb_peer_nr(&model.peer), d->interrupts ? d->interrupts + 2 : 0);
	ASSERT_TRUE(!model.problem);
	freeze_model_stop(&model);
}

static void check_decisions(enum ovm_freeze_action action, const struct decision *decisions,
			    size_t nr)
{
	for (size_t i = 0; i < nr && !ovm_test_failed(); i++) {
		check_decision(action, &decisions[i]);
		if (ovm_test_failed())
			printf("a thread that %s\n", decisions[i].what);
	}
}

OVM_TEST(freeze_plan, freezes_what_is_free)
{
	static const struct decision decisions[] = {
		{.what = "runs",
		 .habit = MODEL_RUNS,
		 .blocked = true,
		 .writes = 2,
		 .interrupts = 1},
		{.what = "sleeps",
		 .habit = MODEL_SLEEPS,
		 .blocked = true,
		 .writes = 2 + CALL,
		 .interrupts = 1},
		{.what = "sleeps uninterruptibly",
		 .habit = MODEL_DISK,
		 .blocked = true,
		 .writes = 2},
		{.what = "sleeps, but can be killed",
		 .habit = MODEL_KILLABLE,
		 .blocked = true,
		 .writes = 2},
		{.what = "is stopped", .habit = MODEL_STOPS, .blocked = true, .writes = 2},
		{.what = "is stopped, and can't be continued",
		 .habit = MODEL_STOPS,
		 .jobctl = TRAP,
		 .signalled = true,
		 .done = true},
		{.what = "is traced", .habit = MODEL_IS_TRACED, .blocked = true, .writes = 2},
		{.what = "is traced, and was told",
		 .habit = MODEL_IS_TRACED,
		 .jobctl = TRAP,
		 .signalled = true,
		 .waits = true},
		{.what = "waits for vfork", .habit = MODEL_VFORKS, .blocked = true, .writes = 2},
		{.what = "waits for vfork, and was told",
		 .habit = MODEL_VFORKS,
		 .jobctl = TRAP,
		 .signalled = true,
		 .waits = true},
		{.what = "is in the trap", .habit = MODEL_SLEEPS, .trapped = true, .done = true},
		{.what = "is going into the trap",
		 .habit = MODEL_SLEEPS,
		 .trapped = true,
		 .on_cpu = true,
		 .asleep = true,
		 .writes = CALL,
		 .interrupts = 1},
		{.what = "is frozen by the guest",
		 .habit = MODEL_SLEEPS,
		 .trapped = true,
		 .cgroup_frozen = true,
		 .done = true},
		{.what = "is being frozen by the guest",
		 .habit = MODEL_SLEEPS,
		 .jobctl = TRAP,
		 .signalled = true,
		 .cgroup_frozen = true,
		 .waits = true},
		{.what = "was told, and runs",
		 .habit = MODEL_RUNS,
		 .jobctl = TRAP,
		 .signalled = true,
		 .waits = true},
		{.what = "was told, and sleeps on",
		 .habit = MODEL_SLEEPS,
		 .jobctl = TRAP,
		 .signalled = true,
		 .asleep = true,
		 .writes = CALL,
		 .interrupts = 1},
		{.what = "was told, and will be woken",
		 .habit = MODEL_SLEEPS,
		 .jobctl = TRAP,
		 .signalled = true,
		 .call = true,
		 .waits = true},
		{.what = "was told, and sleeps on, with the lock held",
		 .habit = MODEL_SLEEPS,
		 .jobctl = TRAP,
		 .signalled = true,
		 .siglock = true,
		 .asleep = true,
		 .writes = CALL,
		 .interrupts = 1},
		{.what = "has forgotten the signal",
		 .habit = MODEL_SLEEPS,
		 .jobctl = TRAP,
		 .blocked = true,
		 .writes = 1 + CALL,
		 .interrupts = 1},
		{.what = "is signalled, and runs",
		 .habit = MODEL_RUNS,
		 .signalled = true,
		 .blocked = true,
		 .writes = 1,
		 .interrupts = 1},
		{.what = "has its lock held",
		 .habit = MODEL_SLEEPS,
		 .siglock = true,
		 .blocked = true},
		{.what = "runs, with its lock held",
		 .habit = MODEL_RUNS,
		 .siglock = true,
		 .blocked = true},
		{.what = "has new signal handlers",
		 .habit = MODEL_SLEEPS,
		 .other_sighand = true,
		 .blocked = true},
		{.what = "has a lock held that doesn't matter",
		 .habit = MODEL_SLEEPS,
		 .pi_lock = true,
		 .blocked = true,
		 .writes = 2 + CALL,
		 .interrupts = 1},
		{.what = "is another one by its id",
		 .habit = MODEL_SLEEPS,
		 .other_pid = true,
		 .done = true},
		{.what = "is another one by its age",
		 .habit = MODEL_SLEEPS,
		 .other_start = true,
		 .done = true},
		{.what = "is a zombie", .habit = MODEL_SLEEPS, .exit_state = 0x20, .done = true},
		{.what = "is dead", .habit = MODEL_SLEEPS, .exit_state = 0x10, .done = true},
		{.what = "has left unfrozen", .habit = MODEL_SLEEPS, .unseen = true, .done = true},
		{.what = "has left, frozen by us",
		 .habit = MODEL_SLEEPS,
		 .trapped = true,
		 .ours = true,
		 .unseen = true,
		 .blocked = true,
		 .writes = 1 + CALL,
		 .interrupts = 1},
		{.what = "was let go, whatever it does",
		 .habit = MODEL_SLEEPS,
		 .jobctl = TRAP,
		 .ours = true,
		 .dropped = true,
		 .done = true},
		{.what = "exits", .habit = MODEL_RUNS, .pf_flags = 0x4, .waits = true},
		{.what = "is behind its core dump",
		 .habit = MODEL_RUNS,
		 .pf_flags = 0x8,
		 .waits = true},
		{.what = "dumps core", .habit = MODEL_RUNS, .pf_flags = 0x200, .waits = true},
		{.what = "was killed by a signal",
		 .habit = MODEL_RUNS,
		 .pf_flags = 0x400,
		 .waits = true},
	};

	check_decisions(OVM_FREEZE_FREEZE, decisions, sizeof(decisions) / sizeof(*decisions));
}

OVM_TEST(freeze_plan, thaws_what_is_ours)
{
	static const struct decision decisions[] = {
		{.what = "runs", .habit = MODEL_RUNS, .done = true},
		{.what = "sleeps", .habit = MODEL_SLEEPS, .done = true},
		{.what = "is in the trap",
		 .habit = MODEL_SLEEPS,
		 .trapped = true,
		 .ours = true,
		 .blocked = true,
		 .writes = 1 + CALL,
		 .interrupts = 1},
		{.what = "is in the trap by the guest's will",
		 .habit = MODEL_SLEEPS,
		 .trapped = true,
		 .cgroup_frozen = true,
		 .done = true},
		{.what = "is in the trap, with its lock held",
		 .habit = MODEL_SLEEPS,
		 .trapped = true,
		 .ours = true,
		 .siglock = true,
		 .blocked = true},
		{.what = "is in the trap, with new signal handlers",
		 .habit = MODEL_SLEEPS,
		 .trapped = true,
		 .ours = true,
		 .other_sighand = true,
		 .blocked = true},
		{.what = "was told to freeze, and runs",
		 .habit = MODEL_RUNS,
		 .jobctl = TRAP,
		 .ours = true,
		 .signalled = true,
		 .blocked = true,
		 .writes = 1},
		{.what = "was told to freeze, and sleeps",
		 .habit = MODEL_SLEEPS,
		 .jobctl = TRAP,
		 .ours = true,
		 .signalled = true,
		 .blocked = true,
		 .writes = 1 + CALL,
		 .interrupts = 1},
		{.what = "was told to thaw, and sleeps on",
		 .habit = MODEL_SLEEPS,
		 .frozen = true,
		 .asleep = true,
		 .writes = CALL,
		 .interrupts = 1},
		{.what = "was told to thaw, and will be woken",
		 .habit = MODEL_SLEEPS,
		 .frozen = true,
		 .call = true,
		 .waits = true},
		{.what = "was told to thaw, and wakes",
		 .habit = MODEL_RUNS,
		 .frozen = true,
		 .done = true},
		{.what = "is stopped", .habit = MODEL_STOPS, .done = true},
		{.what = "is stopped, and can't be continued",
		 .habit = MODEL_STOPS,
		 .jobctl = TRAP,
		 .ours = true,
		 .blocked = true,
		 .writes = 1},
		{.what = "is traced",
		 .habit = MODEL_IS_TRACED,
		 .jobctl = TRAP,
		 .ours = true,
		 .blocked = true,
		 .writes = 1},
		{.what = "waits for vfork", .habit = MODEL_VFORKS, .done = true},
		{.what = "waits for vfork, and was told to freeze",
		 .habit = MODEL_VFORKS,
		 .jobctl = TRAP,
		 .ours = true,
		 .signalled = true,
		 .blocked = true,
		 .writes = 1},
		{.what = "exits",
		 .habit = MODEL_RUNS,
		 .pf_flags = 0x4,
		 .jobctl = TRAP,
		 .ours = true,
		 .done = true},
		{.what = "is a zombie",
		 .habit = MODEL_SLEEPS,
		 .exit_state = 0x20,
		 .jobctl = TRAP,
		 .ours = true,
		 .done = true},
		{.what = "is another one",
		 .habit = MODEL_SLEEPS,
		 .trapped = true,
		 .ours = true,
		 .other_start = true,
		 .done = true},
		{.what = "was let go",
		 .habit = MODEL_SLEEPS,
		 .trapped = true,
		 .ours = true,
		 .dropped = true,
		 .done = true},
		{.what = "was not seen lately",
		 .habit = MODEL_SLEEPS,
		 .trapped = true,
		 .ours = true,
		 .unseen = true,
		 .blocked = true,
		 .writes = 1 + CALL,
		 .interrupts = 1},
	};

	check_decisions(OVM_FREEZE_THAW, decisions, sizeof(decisions) / sizeof(*decisions));
}

OVM_TEST(freeze_plan, kills_what_lives)
{
	static const struct decision decisions[] = {
		{.what = "runs",
		 .habit = MODEL_RUNS,
		 .blocked = true,
		 .writes = 2,
		 .interrupts = 1},
		{.what = "sleeps",
		 .habit = MODEL_SLEEPS,
		 .blocked = true,
		 .writes = 2 + CALL,
		 .interrupts = 1},
		{.what = "sleeps, but can be killed",
		 .habit = MODEL_KILLABLE,
		 .blocked = true,
		 .writes = 2 + CALL,
		 .interrupts = 1},
		{.what = "sleeps uninterruptibly",
		 .habit = MODEL_DISK,
		 .blocked = true,
		 .writes = 2},
		{.what = "waits for vfork",
		 .habit = MODEL_VFORKS,
		 .blocked = true,
		 .writes = 2 + CALL,
		 .interrupts = 1},
		{.what = "is in the trap",
		 .habit = MODEL_SLEEPS,
		 .trapped = true,
		 .ours = true,
		 .blocked = true,
		 .writes = 3 + CALL,
		 .interrupts = 1},
		{.what = "is in the trap by the guest's will",
		 .habit = MODEL_SLEEPS,
		 .trapped = true,
		 .cgroup_frozen = true,
		 .blocked = true,
		 .writes = 3 + CALL,
		 .interrupts = 1},
		{.what = "is stopped",
		 .habit = MODEL_STOPS,
		 .blocked = true,
		 .writes = 4 + CALL,
		 .interrupts = 1},
		{.what = "is stopped, and can't be continued",
		 .habit = MODEL_STOPS,
		 .jobctl = TRAP,
		 .ours = true,
		 .blocked = true,
		 .writes = 5 + CALL,
		 .interrupts = 1},
		{.what = "is stopped, with the scheduler's lock held",
		 .habit = MODEL_STOPS,
		 .pi_lock = true,
		 .blocked = true},
		{.what = "sleeps, with the scheduler's lock held",
		 .habit = MODEL_SLEEPS,
		 .pi_lock = true,
		 .blocked = true,
		 .writes = 2 + CALL,
		 .interrupts = 1},
		{.what = "is traced",
		 .habit = MODEL_IS_TRACED,
		 .blocked = true,
		 .writes = 4 + CALL,
		 .interrupts = 1},
		{.what = "is being looked at by its tracer",
		 .habit = MODEL_IS_TRACED,
		 .jobctl = MODEL_PTRACE_FROZEN,
		 .blocked = true},
		{.what = "has its lock held",
		 .habit = MODEL_RUNS,
		 .siglock = true,
		 .blocked = true},
		{.what = "has new signal handlers",
		 .habit = MODEL_SLEEPS,
		 .other_sighand = true,
		 .blocked = true},
		{.what = "was told, and runs",
		 .habit = MODEL_RUNS,
		 .pending = MODEL_SIGKILL,
		 .signalled = true,
		 .waits = true},
		{.what = "was told, and sleeps on",
		 .habit = MODEL_SLEEPS,
		 .pending = MODEL_SIGKILL,
		 .signalled = true,
		 .asleep = true,
		 .writes = CALL,
		 .interrupts = 1},
		{.what = "was told, and will be woken",
		 .habit = MODEL_SLEEPS,
		 .pending = MODEL_SIGKILL,
		 .signalled = true,
		 .call = true,
		 .waits = true},
		{.what = "was told, and sleeps uninterruptibly",
		 .habit = MODEL_DISK,
		 .pending = MODEL_SIGKILL,
		 .signalled = true,
		 .waits = true},
		{.what = "was half told",
		 .habit = MODEL_SLEEPS,
		 .pending = MODEL_SIGKILL,
		 .blocked = true,
		 .writes = 1 + CALL,
		 .interrupts = 1},
		{.what = "was half told in the trap",
		 .habit = MODEL_SLEEPS,
		 .pending = MODEL_SIGKILL,
		 .trapped = true,
		 .blocked = true,
		 .writes = 2 + CALL,
		 .interrupts = 1},
		{.what = "was half told, stopped",
		 .habit = MODEL_STOPS,
		 .pending = MODEL_SIGKILL,
		 .signalled = true,
		 .blocked = true,
		 .writes = 2 + CALL,
		 .interrupts = 1},
		{.what = "exits", .habit = MODEL_RUNS, .pf_flags = 0x4, .waits = true},
		{.what = "dumps core", .habit = MODEL_SLEEPS, .pf_flags = 0x200, .waits = true},
		{.what = "is a zombie", .habit = MODEL_SLEEPS, .exit_state = 0x20, .done = true},
		{.what = "is another one", .habit = MODEL_SLEEPS, .other_pid = true, .done = true},
	};

	check_decisions(OVM_FREEZE_KILL, decisions, sizeof(decisions) / sizeof(*decisions));
}

OVM_TEST(freeze_plan, does_nothing_when_told_so)
{
	static const struct decision decisions[] = {
		{.what = "runs", .habit = MODEL_RUNS, .done = true},
		{.what = "is in the trap", .trapped = true, .ours = true, .done = true},
	};

	check_decisions(OVM_FREEZE_NOTHING, decisions, 2);
}

/* ---- words ----------------------------------------------------------------------------------- */

static const struct model_task *apply_to(enum ovm_freeze_action action, const struct decision *d)
{
	struct ovm_freeze_tally tally;

	if (!freeze_model_start(&model))
		return NULL;
	make_thread(d);
	freeze_model_apply(&model, action, &tally);
	freeze_model_stop(&model);
	return &model.tasks[0];
}

/* The entry that wakes the thread is the only one in the queue of its CPU. */
static void check_call(const struct model_task *task)
{
	const struct model_call *call = &model.calls[0][0];

	ASSERT_EQ_U64(model.queues[0], (uintptr_t)call);
	ASSERT_EQ_U64(call->next, 0);
	ASSERT_EQ_U64(call->flags, 0x11);
	ASSERT_EQ_U64(call->info, (uintptr_t)task);
}

OVM_TEST(freeze_plan, freezing_writes_two_words_and_wakes)
{
	const struct decision d = {.habit = MODEL_SLEEPS, .pending = 1};
	const struct model_task *task = apply_to(OVM_FREEZE_FREEZE, &d);

	ASSERT_TRUE(task);
	ASSERT_EQ_U64(task->jobctl, 0x11 | TRAP);
	ASSERT_EQ_U64(task->tif_flags, 0x8000 | MODEL_SIGPENDING);
	ASSERT_EQ_U64(task->pending, 1);
	ASSERT_EQ_U64(task->state, MODEL_STATE_SLEEPS);
	ASSERT_EQ_U64(task->frozen_word, 0xa5a5a5a5);
	check_call(task);
}

OVM_TEST(freeze_plan, thawing_takes_one_bit_away_and_wakes)
{
	const struct decision d = {.trapped = true, .ours = true, .habit = MODEL_SLEEPS};
	const struct model_task *task = apply_to(OVM_FREEZE_THAW, &d);

	ASSERT_TRUE(task);
	ASSERT_EQ_U64(task->jobctl, 0x11);
	ASSERT_EQ_U64(task->tif_flags, 0x8000);
	ASSERT_EQ_U64(task->state, MODEL_STATE_TRAPPED);
	check_call(task);
}

OVM_TEST(freeze_plan, killing_pends_the_signal_and_wakes_the_stopped_too)
{
	const struct decision d = {.habit = MODEL_STOPS, .jobctl = TRAP, .pending = 2};
	const struct model_task *task = apply_to(OVM_FREEZE_KILL, &d);

	ASSERT_TRUE(task);
	ASSERT_EQ_U64(task->jobctl, 0x11);
	ASSERT_EQ_U64(task->tif_flags, 0x8000 | MODEL_SIGPENDING);
	ASSERT_EQ_U64(task->pending, 2 | MODEL_SIGKILL);
	ASSERT_EQ_U64(task->state, MODEL_STATE_SLEEPS);
	check_call(task);
}

/* ---- calls ----------------------------------------------------------------------------------- */

OVM_TEST(freeze_plan, who_finds_no_room_for_a_call_is_woken_later)
{
	ASSERT_TRUE(freeze_model_start(&model));
	for (uint32_t i = 0; i < MODEL_THREADS; i++)
		freeze_model_add(&model, MODEL_SLEEPS, 0);
	/* All on one CPU, which has half as many slots. */
	for (uint32_t i = 0; i < MODEL_THREADS; i++)
		model.tasks[i].cpu = 1;
	ASSERT_TRUE(freeze_model_carry_out(&model, OVM_FREEZE_FREEZE));
	for (uint32_t i = 0; i < MODEL_THREADS; i++)
		ASSERT_TRUE(freeze_model_is_frozen(&model, i));
	ASSERT_TRUE(freeze_model_carry_out(&model, OVM_FREEZE_THAW));
	for (uint32_t i = 0; i < MODEL_THREADS; i++)
		ASSERT_TRUE(freeze_model_is_free(&model, i));
	ASSERT_TRUE(!model.problem);
	freeze_model_stop(&model);
}

OVM_TEST(freeze_plan, a_cpu_without_room_has_another_one_call)
{
	const struct decision d = {.habit = MODEL_SLEEPS};
	struct ovm_freeze_tally tally;

	ASSERT_TRUE(freeze_model_start(&model));
	make_thread(&d);
	model.plan->calls.cpus[0].nr_slots = 2;
	freeze_model_apply(&model, OVM_FREEZE_FREEZE, &tally);
	ASSERT_EQ_U64(tally.nr_woken, 1);
	ASSERT_STREQ(model.peer.packets[1], "Mfee02000,4:fb000000");
	ASSERT_EQ_U64(model.queues[1], (uintptr_t)&model.calls[1][0]);
	freeze_model_run(&model);
	ASSERT_TRUE(freeze_model_is_frozen(&model, 0));
	freeze_model_stop(&model);
}

OVM_TEST(freeze_plan, a_call_goes_in_front_of_the_guests_own)
{
	const struct decision d = {.habit = MODEL_SLEEPS};
	struct model_call own = {.flags = 1};
	struct ovm_freeze_tally tally;

	ASSERT_TRUE(freeze_model_start(&model));
	make_thread(&d);
	model.queues[0] = (uintptr_t)&own;
	freeze_model_apply(&model, OVM_FREEZE_FREEZE, &tally);
	ASSERT_EQ_U64(model.queues[0], (uintptr_t)&model.calls[0][0]);
	ASSERT_EQ_U64(model.calls[0][0].next, (uintptr_t)&own);
	ASSERT_EQ_U64(own.flags, 1);
	freeze_model_stop(&model);
}

OVM_TEST(freeze_plan, is_not_done_while_a_call_is_queued)
{
	const struct decision d = {.habit = MODEL_SLEEPS, .trapped = true, .call = true};
	struct ovm_freeze_tally tally;

	ASSERT_TRUE(freeze_model_start(&model));
	make_thread(&d);
	ovm_freeze_plan_look(model.plan, OVM_FREEZE_FREEZE, &tally);
	ASSERT_EQ_U64(tally.nr_done, 1);
	ASSERT_EQ_U64(tally.nr_waiting, 1);
	ASSERT_TRUE(tally.late);
	model.calls[1][MODEL_SLOTS - 1].flags = 0;
	ovm_freeze_plan_look(model.plan, OVM_FREEZE_FREEZE, &tally);
	ASSERT_TRUE(!tally.late);
	freeze_model_stop(&model);
}

OVM_TEST(freeze_plan, writes_nothing_when_cpus_cant_be_interrupted)
{
	const struct decision d = {.habit = MODEL_SLEEPS};
	struct ovm_freeze_tally tally;

	ASSERT_TRUE(freeze_model_start(&model));
	make_thread(&d);
	model.peer.fail_at = 2;
	freeze_model_apply(&model, OVM_FREEZE_FREEZE, &tally);
	ASSERT_TRUE(tally.failed);
	ASSERT_EQ_U64(model.nr_writes, 0);
	ASSERT_FALSE(model.plan->threads[0].ours);
	freeze_model_stop(&model);
}

/* ---- death ----------------------------------------------------------------------------------- */

/* Threads that can be frozen, in two groups. */
static void add_freezable(void)
{
	freeze_model_add(&model, MODEL_SLEEPS, 0);
	freeze_model_add(&model, MODEL_RUNS, 0);
	freeze_model_add(&model, MODEL_SLEEPS, 0);
	freeze_model_add(&model, MODEL_STOPS, 3);
	freeze_model_add(&model, MODEL_STOPS, 3);
}

/* The same, and one that the guest itself has frozen. */
static void add_frozen(void)
{
	add_freezable();
	freeze_model_freeze_cgroup(&model, freeze_model_add(&model, MODEL_SLEEPS, 5));
}

/* And some that can't, but can be killed. */
static void add_all(void)
{
	add_freezable();
	freeze_model_add(&model, MODEL_VFORKS, 5);
	freeze_model_add(&model, MODEL_RUNS, 6);
	freeze_model_add(&model, MODEL_IS_TRACED, 7);
	freeze_model_add(&model, MODEL_KILLABLE, 8);
}

/* More that sleep than there are slots. */
static void add_many(void)
{
	for (uint32_t i = 0; i < MODEL_SLOTS + 3; i++)
		freeze_model_add(&model, MODEL_SLEEPS, i & ~1U);
	for (uint32_t i = 0; i < model.nr; i++)
		model.tasks[i].cpu = 0;
}

struct death {
	const char *name;
	void (*add)(void);
	/** All is frozen when it begins. */
	bool frozen;
	enum ovm_freeze_action action, bequest;
	/** How long the guest runs before the guardian's turn. */
	unsigned int moments;
	unsigned int laziness;
};

static void check_outcome(const struct death *death)
{
	for (uint32_t i = 0; i < model.nr; i++) {
		bool good = death->bequest == OVM_FREEZE_KILL ? freeze_model_is_dead(&model, i)
			    : model.cgroup_frozen[i]	      ? freeze_model_is_frozen(&model, i)
							      : freeze_model_is_free(&model, i);

		if (!good)
			OVM_FAIL("thread %u: state 0x%x, jobctl 0x%llx, flags 0x%llx, frozen 0x%x",
				 i, model.tasks[i].state, (unsigned long long)model.tasks[i].jobctl,
				 (unsigned long long)model.tasks[i].tif_flags,
				 model.tasks[i].frozen_word);
	}
}

/* Die behind write @nr of an action; true when it has no so many. */
static bool die_at(const struct death *death, uint32_t nr)
{
	volatile bool survived = false;

	if (!freeze_model_start(&model))
		return true;
	death->add();
	if (death->frozen && !freeze_model_carry_out(&model, OVM_FREEZE_FREEZE))
		model.problem = "can't be frozen to begin with";
	/* Nobody is left who could make more. */
	model.plan->closed = death->frozen;
	model.laziness = death->laziness;
	model.nr_writes = 0;
	model.last_write = nr;
	if (!setjmp(model.death)) {
		for (unsigned int i = 0; i < 6; i++) {
			struct ovm_freeze_tally tally;

			freeze_model_apply(&model, death->action, &tally);
			freeze_model_run(&model);
		}
		survived = true;
	}
	model.last_write = 0;
	for (unsigned int i = 0; i < death->moments; i++)
		freeze_model_run(&model);
	if (!freeze_model_inherit(&model, death->bequest))
		ovm_test_fail(__FILE__, __LINE__, "the guardian doesn't get done");
	check_outcome(death);
	if (model.problem || ovm_test_failed())
		ovm_test_fail(__FILE__, __LINE__, "%s, dead behind write %u (%u, %u): %s",
			      death->name, nr, death->moments, death->laziness,
			      model.problem ?: "-");
	freeze_model_stop(&model);
	return survived;
}

static void die_everywhere(struct death death)
{
	uint32_t nr = 1;

	for (death.moments = 0; death.moments < 3; death.moments++)
		for (death.laziness = 1; death.laziness < 4; death.laziness++)
			for (nr = 1; !ovm_test_failed() && !die_at(&death, nr); nr++)
				;
	/* Otherwise there was nothing to die of. */
	ASSERT_TRUE(nr > 10);
}

OVM_TEST(freeze_plan, whoever_dies_freezing_leaves_all_thawed)
{
	die_everywhere((struct death){"freezing", add_frozen, false, OVM_FREEZE_FREEZE,
				      OVM_FREEZE_THAW, 0, 0});
	die_everywhere((struct death){"freezing all", add_all, false, OVM_FREEZE_FREEZE,
				      OVM_FREEZE_THAW, 0, 0});
	die_everywhere((struct death){"freezing many", add_many, false, OVM_FREEZE_FREEZE,
				      OVM_FREEZE_THAW, 0, 0});
}

OVM_TEST(freeze_plan, whoever_dies_thawing_leaves_all_thawed)
{
	die_everywhere((struct death){"thawing", add_frozen, true, OVM_FREEZE_THAW, OVM_FREEZE_THAW,
				      0, 0});
	die_everywhere((struct death){"thawing many", add_many, true, OVM_FREEZE_THAW,
				      OVM_FREEZE_THAW, 0, 0});
}

OVM_TEST(freeze_plan, whoever_dies_killing_leaves_all_dead)
{
	die_everywhere((struct death){"killing", add_freezable, false, OVM_FREEZE_KILL,
				      OVM_FREEZE_KILL, 0, 0});
	die_everywhere((struct death){"killing the frozen", add_freezable, true, OVM_FREEZE_KILL,
				      OVM_FREEZE_KILL, 0, 0});
	die_everywhere((struct death){"killing what the guest froze, too", add_frozen, true,
				      OVM_FREEZE_KILL, OVM_FREEZE_KILL, 0, 0});
	die_everywhere((struct death){"killing all", add_all, false, OVM_FREEZE_KILL,
				      OVM_FREEZE_KILL, 0, 0});
	die_everywhere((struct death){"killing many", add_many, true, OVM_FREEZE_KILL,
				      OVM_FREEZE_KILL, 0, 0});
}

/* As when what can't be frozen in time is killed all the same. */
OVM_TEST(freeze_plan, whoever_dies_freezing_can_leave_all_dead)
{
	die_everywhere((struct death){"freezing to kill", add_all, false, OVM_FREEZE_FREEZE,
				      OVM_FREEZE_KILL, 0, 0});
}

OVM_TEST(freeze_plan, a_guardian_without_a_bequest_does_nothing)
{
	ASSERT_TRUE(freeze_model_start(&model));
	add_all();
	ASSERT_TRUE(freeze_model_inherit(&model, OVM_FREEZE_NOTHING));
	ASSERT_EQ_U64(gdb_peer_nr(&model.peer), 0);
	freeze_model_stop(&model);
}

OVM_TEST(freeze_plan, a_guardian_without_a_stub_is_not_done)
{
	ASSERT_TRUE(freeze_model_start(&model));
	add_freezable();
	ASSERT_TRUE(freeze_model_carry_out(&model, OVM_FREEZE_FREEZE));
	model.plan->bequest = OVM_FREEZE_THAW;
	ASSERT_FALSE(ovm_freeze_plan_inherit(model.plan, -1));
	ASSERT_TRUE(freeze_model_is_frozen(&model, 0));
	ASSERT_TRUE(freeze_model_inherit(&model, OVM_FREEZE_THAW));
	freeze_model_stop(&model);
}
