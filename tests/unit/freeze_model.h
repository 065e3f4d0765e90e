/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A few threads, and as much of a kernel as freezing them takes.
 *
 * The threads lie in plain memory, their members at places that no kernel has.  The kernel's part
 * is played as Linux has it (kernel/signal.c, kernel/smp.c, kernel/cgroup/freezer.c, v6.1): it is
 * strict where the real one could be lucky, so queues are emptied, and running threads look at
 * their flags, only on CPUs that were interrupted.
 */
#ifndef OVM_TESTS_UNIT_FREEZE_MODEL_H
#define OVM_TESTS_UNIT_FREEZE_MODEL_H

#include <setjmp.h>

#include "gdb_peer.h"
#include "vmi/freeze_plan.h"

enum {
	MODEL_THREADS = 16,
	MODEL_CPUS = 2,
	MODEL_SLOTS = 8,
	MODEL_SIGPENDING = 1 << 2,
	MODEL_SIGKILL = 1 << 8,
};

/** jobctl */
enum {
	MODEL_TRAP_FREEZE = 1 << 23,
	MODEL_PTRACE_FROZEN = 1 << 24,
	MODEL_STOPPED = 1 << 26,
	MODEL_TRACED = 1 << 27,
};

/** States, as since v6.1. */
enum {
	MODEL_STATE_SLEEPS = 0x1,
	MODEL_STATE_TRAPPED = 0x2001,
	MODEL_STATE_DISK = 0x2,
	MODEL_STATE_KILLABLE = 0x102,
	MODEL_STATE_STOPPED = 0x104,
	MODEL_STATE_TRACED = 0x8,
	MODEL_STATE_VFORK = 0x2102,
};

/** What a thread does when nobody disturbs it. */
enum model_habit {
	MODEL_RUNS,
	MODEL_SLEEPS,
	/** In uninterruptible sleep, with and without being killable. */
	MODEL_DISK,
	MODEL_KILLABLE,
	MODEL_STOPS,
	MODEL_IS_TRACED,
	/** Waits for a child that is made by vfork(2). */
	MODEL_VFORKS,
};

struct model_task {
	uint64_t start_time, jobctl;
	uint32_t unused[3], frozen_word;
	uint64_t pending, tif_flags, sighand;
	uint32_t state, pf_flags, exit_state, on_cpu, on_rq, pid, cpu, pi_lock;
};

struct model_sighand {
	uint32_t unused, siglock;
};

struct model_signal {
	uint32_t nr_threads, flags, group_exit_code, group_stop_count;
};

struct model_call {
	uint64_t next;
	uint32_t flags, unused;
	uint64_t func, info;
};

struct freeze_model {
	struct model_task tasks[MODEL_THREADS];
	struct model_sighand sighands[MODEL_THREADS];
	struct model_signal signals[MODEL_THREADS];
	enum model_habit habits[MODEL_THREADS];
	/** The guest's own freezer holds its cgroup. */
	bool cgroup_frozen[MODEL_THREADS];
	/** By the thread that leads the group. */
	bool group_dies[MODEL_THREADS];
	uint32_t leaders[MODEL_THREADS];
	uint32_t nr;
	uint64_t queues[MODEL_CPUS];
	struct model_call calls[MODEL_CPUS][MODEL_SLOTS];
	/** CPUs that are interrupted as soon as the guest runs; packets that were looked at. */
	bool interrupted[MODEL_CPUS];
	size_t nr_packets;
	struct gdb_peer peer;
	struct ovm_freeze_plan *plan;
	/** Writes so far; which one is the last, and where to go then. */
	uint32_t nr_writes, last_write;
	jmp_buf death;
	/** The first write was made before anybody was interrupted. */
	bool wrote_early;
	/** What was wrong, or NULL. */
	const char *problem;
	/** Of so many moments, one is for interrupts, and one for each thread that waits for a CPU:
	 * virtual CPUs in turn wait for real ones. */
	unsigned int laziness, round;
};

/** An empty model; false without sockets or memory. */
bool freeze_model_start(struct freeze_model *model);

void freeze_model_stop(struct freeze_model *model);

/** Add a thread of the group that @leader leads, and have it follow its habit. */
uint32_t freeze_model_add(struct freeze_model *model, enum model_habit habit, uint32_t leader);

/** Have the guest itself freeze the thread. */
void freeze_model_freeze_cgroup(struct freeze_model *model, uint32_t thread);

/** Do what can be done of an action, with the VM paused. */
void freeze_model_apply(struct freeze_model *model, enum ovm_freeze_action action,
			struct ovm_freeze_tally *tally);

/** The VM runs on for a moment. */
void freeze_model_run(struct freeze_model *model);

/** Take turns until the action is done; false when it isn't in a reasonable time. */
bool freeze_model_carry_out(struct freeze_model *model, enum ovm_freeze_action action);

/** The same as a guardian does it, which leaves the rest to the guest. */
bool freeze_model_inherit(struct freeze_model *model, enum ovm_freeze_action action);

/** Whether a thread is in the freezer's trap, or stopped where it will stay. */
bool freeze_model_is_frozen(const struct freeze_model *model, uint32_t thread);

/** Whether a thread follows its habit, as if nothing had been. */
bool freeze_model_is_free(const struct freeze_model *model, uint32_t thread);

bool freeze_model_is_dead(const struct freeze_model *model, uint32_t thread);

#endif /* OVM_TESTS_UNIT_FREEZE_MODEL_H */
