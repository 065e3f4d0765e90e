/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stopping a tree of processes in the guest kernel's own freezer, from outside.
 *
 * Each thread gets the bit that the cgroup freezer sets, JOBCTL_TRAP_FREEZE;
 * the kernel unwinds its system call and puts it to sleep in do_freezer_trap().
 * Nothing of it shows in user space but what the cgroup freezer shows.  The VM
 * is paused for the few writes only.  What is frozen is told from guest memory
 * alone: any later process can thaw it.
 */
#ifndef OVM_VMI_FREEZE_H
#define OVM_VMI_FREEZE_H

#include <stdbool.h>
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
	struct ovm_pause *pause;
	/** Forbid all writes. */
	bool read_only;
	/** How long freezing, thawing or killing may take, in ms; 0: 10 s. */
	unsigned int timeout_ms;
	/** Told of each write; may be NULL. */
	void (*log)(void *arg, const struct ovm_write *write, uint64_t address);
	void *log_arg;
};

/** What an operation took. */
struct ovm_freezer_stats {
	/** Threads of the tree at the end. */
	uint32_t nr_threads;
	/** Threads that were woken, and words that were written. */
	uint32_t nr_woken, nr_writes;
	/** Pauses of the VM, in microseconds, as seen by this process. */
	uint32_t nr_pauses;
	uint64_t pause_us_max, pause_us_total;
	/** The whole operation, in microseconds. */
	uint64_t total_us;
};

struct ovm_error *ovm_freezer_create(const struct ovm_freezer_options *options,
				     struct ovm_freezer **ret);

/** Free; what is frozen stays so. NULL is fine. */
void ovm_freezer_destroy(struct ovm_freezer *freezer);

/**
 * Freeze process @pid (of the initial pid namespace) and all its descendants, those born meanwhile
 * too. @stats may be NULL.
 *
 * Errors: OVM_ERROR_INCONSISTENT names a thread that couldn't be frozen in time, and all are
 * thawed; OVM_ERROR_NOT_FOUND; OVM_ERROR_KERNEL; those of ovm_write() and ovm_ipi_send().
 */
struct ovm_error *ovm_freeze(struct ovm_freezer *freezer, pid_t pid,
			     struct ovm_freezer_stats *stats);

/** Thaw a tree, whoever froze it from outside. What the guest itself has frozen stays frozen. */
struct ovm_error *ovm_thaw(struct ovm_freezer *freezer, pid_t pid, struct ovm_freezer_stats *stats);

/** Kill all processes of a tree, frozen or not, and wait until they are gone or zombies. */
struct ovm_error *ovm_kill(struct ovm_freezer *freezer, pid_t pid, struct ovm_freezer_stats *stats);

#ifdef __cplusplus
}
#endif

#endif /* OVM_VMI_FREEZE_H */
