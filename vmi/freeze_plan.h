/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The threads of a freezer, located in guest RAM, and what is done to them.
 *
 * A plan lies in memory that is shared with the guardian, which carries it out
 * when this process dies: whatever works on it allocates nothing and calls
 * nothing but system calls.
 *
 * Guest RAM changes under it.  Before a thread is written to, with the VM
 * paused, its task_struct is checked to be the one that was found: id, time of
 * start and signal handlers are the same and it has not exited.  Memory that was
 * freed, and perhaps used for something else, doesn't pass.
 */
#ifndef OVM_VMI_FREEZE_PLAN_H
#define OVM_VMI_FREEZE_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "extract/record.h"
#include "hold.h"
#include "remote_call.h"
#include "write.h"

#ifdef __cplusplus
extern "C" {
#endif

enum ovm_freeze_action {
	OVM_FREEZE_NOTHING,
	OVM_FREEZE_FREEZE,
	OVM_FREEZE_THAW,
	OVM_FREEZE_KILL,
};

struct ovm_freeze_thread {
	struct ovm_object task, sighand, signal;
	int32_t tid, tgid;
	uint64_t start_time;
	/* The freezer's bit was set by us, or by an earlier one of us. */
	bool ours;
	/* The guest itself has frozen its cgroup. */
	bool cgroup_frozen;
	/* The latest look found it in the set. */
	bool seen;
	/* It has left the set, and was thawed. */
	bool dropped;
};

struct ovm_freeze_members {
	struct ovm_member state, jobctl, tif_flags, pf_flags, exit_state, on_cpu, on_rq, frozen;
	struct ovm_member pid, start_time, sighand, pending, cpu;
	/* Of struct signal_struct. */
	struct ovm_member group_flags, group_exit_code, group_stop_count, nr_threads;
	/* Words that are zero when a lock is free. */
	struct ovm_member siglock, pi_lock;
};

struct ovm_freeze_plan {
	/* What a guardian is to do: thaw, go on killing, or nothing. */
	enum ovm_freeze_action bequest;
	/* It has had its first turn. */
	bool inherited;
	/* All threads of the set are known, and none of them can make another. */
	bool closed;
	/* Connection with QEMU's gdb stub, and whether that is there; nothing is written before. */
	int ipi_fd;
	bool ipi_started;
	uint64_t sigpending;
	struct ovm_freeze_members members;
	struct ovm_remote_calls calls;
	/* At the latest look. */
	bool calls_pending;
	/* Connections of the threads that are held, in memory that is shared, too. */
	struct ovm_holds *holds;
	uint32_t nr, max;
	struct ovm_freeze_thread threads[];
};

/** What came of an action. */
struct ovm_freeze_tally {
	/* Threads where they should be; that need time, and of these, that sleep although they were
	 * woken; that could not be written to now. */
	uint32_t nr_done, nr_waiting, nr_asleep, nr_blocked;
	uint32_t nr_woken, nr_writes, nr_interrupts;
	/* Threads that were not woken, for want of room for the call. */
	uint32_t nr_left;
	/* The first thread that isn't done. */
	const struct ovm_freeze_thread *late;
	/* CPUs can't be interrupted; nothing was written. */
	bool failed;
};

/** Find members by BTF. Errors: those of ovm_writer_member(). */
struct ovm_error *ovm_freeze_members_find(struct ovm_writer *writer,
					  struct ovm_freeze_members *ret);

/** Count how far an action has got; also while the VM runs. Async-signal-safe. */
void ovm_freeze_plan_look(struct ovm_freeze_plan *plan, enum ovm_freeze_action action,
			  struct ovm_freeze_tally *ret);

/**
 * Do what can be done of an action now; the VM is paused. CPUs are interrupted first, so that the
 * guest may run on after each write. Async-signal-safe if @write is.
 */
void ovm_freeze_plan_apply(struct ovm_freeze_plan *plan, enum ovm_freeze_action action,
			   ovm_remote_call_write *write, void *arg, struct ovm_freeze_tally *ret);

/** What a guardian does before it lets the VM run on. */
void ovm_freeze_plan_take_over(void *plan, int ipi_fd);

/** A guardian's turn, with the VM paused: returns true when nothing is left to be done. */
bool ovm_freeze_plan_inherit(void *plan, int ipi_fd);

/** Whether a thread has ended, or is about to. */
bool ovm_freeze_thread_gone(const struct ovm_freeze_plan *plan,
			    const struct ovm_freeze_thread *thread);

/** State of a thread as the guest has it now. */
uint32_t ovm_freeze_thread_state(const struct ovm_freeze_plan *plan,
				 const struct ovm_freeze_thread *thread);

/*
 * Take the threads of @rec into the plan, and note which of those in it were seen. @cgroup is NULL,
 * or the cgroup that they are in or below. @ret_new tells whether a thread was not known before.
 *
 * Errors: OVM_ERROR_BUDGET for more threads than there is room for; those of ovm_writer_locate().
 */
struct ovm_error *ovm_freeze_plan_merge(struct ovm_freeze_plan *plan, struct ovm_writer *writer,
					const struct ovm_rec_freezer *rec, const char *cgroup,
					bool *ret_new);

#ifdef __cplusplus
}
#endif

#endif /* OVM_VMI_FREEZE_PLAN_H */
