// SPDX-License-Identifier: GPL-2.0-only
#include "freeze_model.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	FROZEN_SHIFT = 3,
	FUNCTION = 0x1234000,
	CALL_LOCKED = 0x11,
	STATE_NORMAL = 0x3,
	STATE_WAKEKILL = 0x100,
	EXITING = 0x4,
	ZOMBIE = 0x20,
	GROUP_EXIT = 0x4,
	/* CPU n has the APIC id 2 n. */
	APIC_STEP = 2,
	/* Rounds that an action may take. */
	MAX_ROUNDS = 200,
};

static const char task_type[] = "struct task_struct", sighand_type[] = "struct sighand_struct",
		  signal_type[] = "struct signal_struct", list_type[] = "struct llist_head",
		  call_type[] = "struct __call_single_data";

#define MEMBER(of, structure, field)                                                    \
	((struct ovm_member){                                                           \
		.type = (of),                                                           \
		.name = #field,                                                         \
		.offset = offsetof(structure, field),                                   \
		.bytes = sizeof(((structure *)0)->field),                               \
		.mask = sizeof(((structure *)0)->field) == 8 ? UINT64_MAX : UINT32_MAX, \
	})
#define OBJECT(of, place)                      \
	((struct ovm_object){                  \
		.type = (of),                  \
		.address = (uintptr_t)(place), \
		.size = sizeof(*(place)),      \
		.map = (uint8_t *)(place),     \
	})

static void set_members(struct ovm_freeze_members *m)
{
	*m = (struct ovm_freeze_members){
		.state = MEMBER(task_type, struct model_task, state),
		.jobctl = MEMBER(task_type, struct model_task, jobctl),
		.tif_flags = MEMBER(task_type, struct model_task, tif_flags),
		.pf_flags = MEMBER(task_type, struct model_task, pf_flags),
		.exit_state = MEMBER(task_type, struct model_task, exit_state),
		.on_cpu = MEMBER(task_type, struct model_task, on_cpu),
		.on_rq = MEMBER(task_type, struct model_task, on_rq),
		.frozen = MEMBER(task_type, struct model_task, frozen_word),
		.pid = MEMBER(task_type, struct model_task, pid),
		.start_time = MEMBER(task_type, struct model_task, start_time),
		.sighand = MEMBER(task_type, struct model_task, sighand),
		.pending = MEMBER(task_type, struct model_task, pending),
		.cpu = MEMBER(task_type, struct model_task, cpu),
		.group_flags = MEMBER(signal_type, struct model_signal, flags),
		.group_exit_code = MEMBER(signal_type, struct model_signal, group_exit_code),
		.group_stop_count = MEMBER(signal_type, struct model_signal, group_stop_count),
		.nr_threads = MEMBER(signal_type, struct model_signal, nr_threads),
		.siglock = MEMBER(sighand_type, struct model_sighand, siglock),
		.pi_lock = MEMBER(task_type, struct model_task, pi_lock),
	};
	m->frozen.shift = FROZEN_SHIFT;
	m->frozen.mask = 1;
}

static void set_calls(struct freeze_model *model, struct ovm_remote_calls *calls)
{
	calls->first = (struct ovm_member){list_type, "first", 0, 8, 0, UINT64_MAX};
	calls->next = MEMBER(call_type, struct model_call, next);
	calls->flags = MEMBER(call_type, struct model_call, flags);
	calls->func = MEMBER(call_type, struct model_call, func);
	calls->info = MEMBER(call_type, struct model_call, info);
	calls->function = FUNCTION;
	calls->nr_cpus = MODEL_CPUS;
	for (uint32_t i = 0; i < MODEL_CPUS; i++) {
		struct ovm_remote_call_cpu *cpu = &calls->cpus[i];

		cpu->cpu = i;
		cpu->apic_id = APIC_STEP * i;
		cpu->queue = OBJECT(list_type, &model->queues[i]);
		for (uint32_t j = 0; j < MODEL_SLOTS; j++)
			cpu->slots[cpu->nr_slots++] = OBJECT(call_type, &model->calls[i][j]);
	}
}

bool freeze_model_start(struct freeze_model *model)
{
	memset(model, 0, sizeof(*model));
	model->plan =
		calloc(1, sizeof(*model->plan) + MODEL_THREADS * sizeof(struct ovm_freeze_thread));
	if (!model->plan)
		return false;
	if (!gdb_peer_start(&model->peer)) {
		free(model->plan);
		return false;
	}
	model->plan->ipi_fd = model->peer.fd;
	model->plan->ipi_started = true;
	model->plan->max = MODEL_THREADS;
	model->plan->sigpending = MODEL_SIGPENDING;
	model->laziness = 1;
	set_members(&model->plan->members);
	set_calls(model, &model->plan->calls);
	return true;
}

void freeze_model_stop(struct freeze_model *model)
{
	gdb_peer_stop(&model->peer);
	free(model->plan);
}

static bool is_frozen(const struct model_task *task)
{
	return task->frozen_word >> FROZEN_SHIFT & 1;
}

static void set_frozen(struct model_task *task, bool frozen)
{
	task->frozen_word &= ~(1U << FROZEN_SHIFT);
	task->frozen_word |= (uint32_t)frozen << FROZEN_SHIFT;
}

static void set_state(struct model_task *task, uint32_t state)
{
	task->state = state;
	task->on_rq = !state;
	task->on_cpu = 0;
}

/* Go where the thread goes when nothing is pending. */
static void follow_habit(struct freeze_model *model, uint32_t i)
{
	struct model_task *task = &model->tasks[i];

	switch (model->habits[i]) {
	case MODEL_RUNS:
		set_state(task, 0);
		task->on_cpu = 1;
		break;
	case MODEL_SLEEPS:
		set_state(task, MODEL_STATE_SLEEPS);
		break;
	case MODEL_DISK:
		set_state(task, MODEL_STATE_DISK);
		break;
	case MODEL_KILLABLE:
		set_state(task, MODEL_STATE_KILLABLE);
		break;
	case MODEL_STOPS:
		set_state(task, MODEL_STATE_STOPPED);
		task->jobctl |= MODEL_STOPPED;
		set_frozen(task, true);
		break;
	case MODEL_IS_TRACED:
		set_state(task, MODEL_STATE_TRACED);
		task->jobctl |= MODEL_TRACED;
		set_frozen(task, true);
		break;
	case MODEL_VFORKS:
		set_state(task, MODEL_STATE_VFORK);
		set_frozen(task, true);
		break;
	}
}

uint32_t freeze_model_add(struct freeze_model *model, enum model_habit habit, uint32_t leader)
{
	uint32_t i = model->nr++;
	struct model_task *task = &model->tasks[i];
	struct ovm_freeze_thread *t = &model->plan->threads[model->plan->nr++];

	*task = (struct model_task){
		.start_time = 1000 + i,
		/* What else is in these words has to stay. */
		.frozen_word = 0xa5a5a5a5 & ~(1U << FROZEN_SHIFT),
		.tif_flags = 0x8000,
		.jobctl = 0x11,
		.pf_flags = 0x400000,
		.pid = 100 + i,
		.cpu = i % MODEL_CPUS,
		.sighand = (uintptr_t)&model->sighands[leader],
	};
	model->signals[leader].nr_threads++;
	model->habits[i] = habit;
	model->leaders[i] = leader;
	follow_habit(model, i);
	*t = (struct ovm_freeze_thread){
		.task = OBJECT(task_type, task),
		.sighand = OBJECT(sighand_type, &model->sighands[leader]),
		.signal = OBJECT(signal_type, &model->signals[leader]),
		.tid = (int32_t)task->pid,
		.tgid = (int32_t)(100 + leader),
		.start_time = task->start_time,
		.seen = true,
	};
	return i;
}

void freeze_model_freeze_cgroup(struct freeze_model *model, uint32_t thread)
{
	struct model_task *task = &model->tasks[thread];

	model->cgroup_frozen[thread] = true;
	model->plan->threads[thread].cgroup_frozen = true;
	task->jobctl |= MODEL_TRAP_FREEZE;
	set_state(task, MODEL_STATE_TRAPPED);
	set_frozen(task, true);
}

/* ---- the kernel ------------------------------------------------------------------------------ */

static void look_at_packets(struct freeze_model *model)
{
	size_t nr = gdb_peer_nr(&model->peer);

	for (; model->nr_packets < nr; model->nr_packets++) {
		const char *packet = model->peer.packets[model->nr_packets % GDB_PEER_PACKETS];
		unsigned int apic_id, vector;

		if (sscanf(packet, "Mfee%2x000,4:%2x000000", &apic_id, &vector) != 2)
			continue;
		if (vector != 0xfb || apic_id % APIC_STEP || apic_id / APIC_STEP >= MODEL_CPUS)
			model->problem = "an interrupt is not for a CPU";
		else
			model->interrupted[apic_id / APIC_STEP] = true;
	}
}

static bool is_task(const struct freeze_model *model, uint64_t address)
{
	uint64_t offset = address - (uintptr_t)model->tasks;

	return offset % sizeof(struct model_task) == 0 &&
	       offset / sizeof(struct model_task) < model->nr;
}

/* try_to_wake_up(p, TASK_NORMAL, 0) */
static void wake_up_process(struct freeze_model *model, uint64_t address)
{
	struct model_task *task = (void *)(uintptr_t)address;

	if (!is_task(model, address))
		model->problem = "what was woken is no thread";
	else if (task->state & STATE_NORMAL)
		set_state(task, 0);
}

/* __flush_smp_call_function_queue(): first in, first out. */
static void empty_queue(struct freeze_model *model, uint32_t cpu)
{
	struct model_call *calls[MODEL_SLOTS];
	unsigned int nr = 0;

	for (uint64_t at = model->queues[cpu]; at;) {
		if (nr == MODEL_SLOTS) {
			model->problem = "a queue has more entries than there are";
			return;
		}
		calls[nr++] = (void *)(uintptr_t)at;
		at = calls[nr - 1]->next;
	}
	model->queues[cpu] = 0;
	while (nr--) {
		if (calls[nr]->flags != CALL_LOCKED || calls[nr]->func != FUNCTION)
			model->problem = "a call is not whole";
		else
			wake_up_process(model, calls[nr]->info);
		calls[nr]->flags = 0;
	}
}

/* Whoever says so first tells the others; who finds it said takes it that they know. */
static bool group_dies(const struct freeze_model *model, uint32_t i)
{
	uint32_t leader = model->leaders[i];

	return model->group_dies[leader] || model->signals[leader].flags & GROUP_EXIT;
}

static void die(struct freeze_model *model, uint32_t i)
{
	struct model_task *task = &model->tasks[i];

	task->pf_flags |= EXITING;
	task->exit_state = ZOMBIE;
	task->sighand = 0;
	set_frozen(task, false);
	set_state(task, 0x80);
	if (group_dies(model, i))
		return;
	/* zap_other_threads() */
	model->group_dies[model->leaders[i]] = true;
	for (uint32_t j = 0; j < model->nr; j++) {
		struct model_task *other = &model->tasks[j];

		if (j == i || model->leaders[j] != model->leaders[i] || other->exit_state)
			continue;
		other->pending |= MODEL_SIGKILL;
		other->tif_flags |= MODEL_SIGPENDING;
		if (!(other->jobctl & MODEL_PTRACE_FROZEN) &&
		    other->state & (STATE_WAKEKILL | MODEL_STATE_TRACED | MODEL_STATE_SLEEPS)) {
			other->jobctl &= ~(uint64_t)(MODEL_STOPPED | MODEL_TRACED);
			set_state(other, 0);
		}
	}
}

/* get_signal(): true when the thread may go on. */
static bool get_signal(struct freeze_model *model, uint32_t i)
{
	struct model_task *task = &model->tasks[i];

	for (;;) {
		if (group_dies(model, i)) {
			die(model, i);
			return false;
		}
		if (task->jobctl & MODEL_TRAP_FREEZE) {
			task->tif_flags &= ~(uint64_t)MODEL_SIGPENDING;
			set_state(task, MODEL_STATE_TRAPPED);
			set_frozen(task, true);
			return false;
		}
		if (!is_frozen(task))
			break;
		set_frozen(task, false);
		if (model->cgroup_frozen[i]) {
			task->jobctl |= MODEL_TRAP_FREEZE;
			task->tif_flags |= MODEL_SIGPENDING;
		}
	}
	task->tif_flags &= ~(uint64_t)MODEL_SIGPENDING;
	if (!(task->pending & MODEL_SIGKILL))
		return true;
	die(model, i);
	return false;
}

/* A thread that is awake. */
static void go_on(struct freeze_model *model, uint32_t i)
{
	struct model_task *task = &model->tasks[i];
	bool in_trap = is_frozen(task) && model->habits[i] != MODEL_VFORKS;
	bool signalled = task->tif_flags & MODEL_SIGPENDING;

	/* Waiting goes on when there is no reason that it shouldn't. */
	if (!in_trap && !signalled) {
		follow_habit(model, i);
		return;
	}
	if (!in_trap && model->habits[i] > MODEL_SLEEPS && !(task->pending & MODEL_SIGKILL)) {
		follow_habit(model, i);
		return;
	}
	if (get_signal(model, i))
		follow_habit(model, i);
}

void freeze_model_run(struct freeze_model *model)
{
	bool interrupted[MODEL_CPUS];

	look_at_packets(model);
	memset(interrupted, 0, sizeof(interrupted));
	if (model->round % model->laziness == 0) {
		memcpy(interrupted, model->interrupted, sizeof(interrupted));
		memset(model->interrupted, 0, sizeof(model->interrupted));
	}
	for (uint32_t cpu = 0; cpu < MODEL_CPUS; cpu++)
		if (interrupted[cpu])
			empty_queue(model, cpu);
	for (uint32_t i = 0; i < model->nr; i++) {
		const struct model_task *task = &model->tasks[i];

		if (task->state || task->exit_state)
			continue;
		/* In user mode nobody looks at flags but when interrupted. */
		if (task->on_cpu ? interrupted[task->cpu] || is_frozen(task)
				 : (i + model->round) % model->laziness == 0)
			go_on(model, i);
	}
	model->round++;
}

/* ---- freezing -------------------------------------------------------------------------------- */

static bool write_member(void *arg, const struct ovm_object *object,
			 const struct ovm_member *member, uint64_t from, uint64_t to)
{
	struct freeze_model *model = arg;

	if (!ovm_write_unlogged(object, member, from, to)) {
		model->problem = "a write doesn't fit";
		return false;
	}
	model->wrote_early |= !model->nr_writes && !gdb_peer_nr(&model->peer);
	if (++model->nr_writes == model->last_write)
		longjmp(model->death, 1);
	return true;
}

void freeze_model_apply(struct freeze_model *model, enum ovm_freeze_action action,
			struct ovm_freeze_tally *tally)
{
	ovm_freeze_plan_apply(model->plan, action, write_member, model, tally);
	if (tally->failed)
		model->problem = "CPUs can't be interrupted";
}

bool freeze_model_carry_out(struct freeze_model *model, enum ovm_freeze_action action)
{
	struct ovm_freeze_tally tally;

	for (unsigned int i = 0; i < MAX_ROUNDS && !model->problem; i++) {
		ovm_freeze_plan_look(model->plan, action, &tally);
		if (!tally.late)
			return true;
		freeze_model_apply(model, action, &tally);
		freeze_model_run(model);
	}
	return false;
}

bool freeze_model_inherit(struct freeze_model *model, enum ovm_freeze_action action)
{
	model->plan->bequest = action;
	for (unsigned int i = 0; i < MAX_ROUNDS && !model->problem; i++) {
		bool done = ovm_freeze_plan_inherit(model->plan, model->peer.fd);

		freeze_model_run(model);
		if (!done)
			continue;
		for (unsigned int j = 0; j < MAX_ROUNDS; j++)
			freeze_model_run(model);
		return true;
	}
	return false;
}

bool freeze_model_is_frozen(const struct freeze_model *model, uint32_t thread)
{
	const struct model_task *task = &model->tasks[thread];

	return task->jobctl & MODEL_TRAP_FREEZE && is_frozen(task) &&
	       (task->state == MODEL_STATE_TRAPPED || task->state == MODEL_STATE_STOPPED);
}

bool freeze_model_is_free(const struct freeze_model *model, uint32_t thread)
{
	static const uint32_t states[] = {
		[MODEL_RUNS] = 0,
		[MODEL_SLEEPS] = MODEL_STATE_SLEEPS,
		[MODEL_DISK] = MODEL_STATE_DISK,
		[MODEL_KILLABLE] = MODEL_STATE_KILLABLE,
		[MODEL_STOPS] = MODEL_STATE_STOPPED,
		[MODEL_IS_TRACED] = MODEL_STATE_TRACED,
		[MODEL_VFORKS] = MODEL_STATE_VFORK,
	};
	const struct model_task *task = &model->tasks[thread];
	enum model_habit habit = model->habits[thread];
	const uint64_t stops = habit == MODEL_STOPS	  ? MODEL_STOPPED
			       : habit == MODEL_IS_TRACED ? MODEL_TRACED
							  : 0;

	return task->state == states[habit] && task->jobctl == (0x11 | stops) &&
	       is_frozen(task) == (habit >= MODEL_STOPS) && !task->pending &&
	       (task->frozen_word | 1U << FROZEN_SHIFT) == (0xa5a5a5a5 | 1U << FROZEN_SHIFT) &&
	       (task->tif_flags | MODEL_SIGPENDING) == (0x8000 | MODEL_SIGPENDING);
}

bool freeze_model_is_dead(const struct freeze_model *model, uint32_t thread)
{
	return model->tasks[thread].exit_state == ZOMBIE;
}
