/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stopping processes in the guest kernel's own freezer, from outside.
 *
 * Each thread gets the bit that the cgroup freezer sets, JOBCTL_TRAP_FREEZE;
 * the kernel unwinds its system call and puts it to sleep in do_freezer_trap().
 * User space sees of it what it sees of the cgroup freezer.  The VM is paused
 * for the few writes only and runs on in between.  What is frozen is told from
 * guest memory alone: any later process can thaw it.
 *
 * A freezer has a guardian, as a pause has (pause.h), which also thaws what was
 * frozen when this process ends without having done so.
 */
#ifndef OVM_VMI_FREEZE_H
#define OVM_VMI_FREEZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"
#include "kernel.h"
#include "llview.h"
#include "pause.h"
#include "vm.h"
#include "write.h"

#ifdef __cplusplus
extern "C" {
#endif

struct ovm_freezer;

struct ovm_freezer_options {
	/** sizeof(struct ovm_freezer_options) */
	size_t size;
	/** These have to outlive the freezer. */
	struct ovm_vm *vm;
	struct ovm_kernel *kernel;
	struct ovm_llv *llv;
	/** How long freezing, thawing or killing may take, in ms; 0: 10 s. */
	unsigned int timeout_ms;
	/** Told of each write of guest memory, before it is made; may be NULL. */
	void (*log)(void *arg, const struct ovm_write *write);
	void *log_arg;
};

/** Which threads: those of a tree of processes, or of a cgroup and those below it. */
struct ovm_freeze_set {
	/** Root of the tree, in the initial pid namespace; with all its descendants. */
	pid_t pid;
	/** Path in the cgroup v2 hierarchy ("/system.slice/x.scope") instead of @pid, or NULL. */
	const char *cgroup;
};

/** What an operation took. */
struct ovm_freeze_stats {
	/** Processes and threads of the set at the end. */
	uint32_t nr_processes, nr_threads;
	/** Threads that were woken, words that were written, CPUs that were interrupted. */
	uint32_t nr_woken, nr_writes, nr_interrupts;
	/** Pauses of the VM, in microseconds: with QMP's commands, and between them. */
	uint32_t nr_pauses;
	uint64_t pause_us_max, pause_us_total, work_us_max;
	/** The whole operation, in microseconds. */
	uint64_t total_us;
};

/**
 * Make a freezer, and start its guardian; the VM runs on, and nothing is written yet.
 *
 * Errors: OVM_ERROR_KERNEL when the guest's kernel can't be frozen from outside, and
 * OVM_ERROR_UNREACHABLE when the guest's RAM can't be written or its CPUs not be interrupted:
 * each names what is missing.
 */
struct ovm_error *ovm_freezer_create(const struct ovm_freezer_options *options,
				     struct ovm_freezer **ret);

/** Thaw what was frozen, unless it is to be kept; NULL is fine. */
void ovm_freezer_destroy(struct ovm_freezer *freezer);

/** For pausing the VM while a freezer exists; the freezer's. */
struct ovm_pause *ovm_freezer_pause(struct ovm_freezer *freezer);

/**
 * Freeze every thread of @set, those born meanwhile too. Stopped threads stay stopped, and can't
 * be continued. @stats may be NULL.
 *
 * Errors: OVM_ERROR_INCONSISTENT names a thread that couldn't be frozen in time, with its state
 * and wait channel, and all are thawed; OVM_ERROR_NOT_FOUND; OVM_ERROR_USAGE when the VM is paused
 * by somebody else.
 */
struct ovm_error *ovm_freeze(struct ovm_freezer *freezer, const struct ovm_freeze_set *set,
			     struct ovm_freeze_stats *stats);

/**
 * Check that all that ovm_freeze() froze still is: the guest may have killed or thawed some of it.
 * The VM may be paused or not.
 *
 * Errors: OVM_ERROR_INCONSISTENT names a thread.
 */
struct ovm_error *ovm_freezer_check(struct ovm_freezer *freezer);

/**
 * Hold the TCP connections of what ovm_freeze() froze (hold.h), all or none; the VM is paused by
 * the freezer's pause. @sockets are addresses of their struct sock. They are let go when the
 * processes are thawed or killed; of killed ones, nothing is sent to the peers.
 *
 * Errors: OVM_ERROR_INCONSISTENT when the kernel is just working on one.
 */
struct ovm_error *ovm_freezer_hold(struct ovm_freezer *freezer, const uint64_t *sockets, size_t nr);

/** From now on, destroying the freezer, or dying, leaves frozen what is frozen. */
void ovm_freezer_keep(struct ovm_freezer *freezer);

/**
 * Thaw what ovm_freeze() froze; else @set, whoever froze it from outside. What the guest itself has
 * frozen stays frozen.
 */
struct ovm_error *ovm_thaw(struct ovm_freezer *freezer, const struct ovm_freeze_set *set,
			   struct ovm_freeze_stats *stats);

/**
 * Kill what ovm_freeze() froze; else all processes of @set, frozen or not. Waits until they are
 * gone, or are zombies that wait for their parent outside.
 */
struct ovm_error *ovm_kill(struct ovm_freezer *freezer, const struct ovm_freeze_set *set,
			   struct ovm_freeze_stats *stats);

#ifdef __cplusplus
}
#endif

#endif /* OVM_VMI_FREEZE_H */
