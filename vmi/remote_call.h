/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Having a CPU of the guest call a function of its kernel, from outside.
 *
 * Each CPU has a queue of calls that other CPUs want it to make, a lock-free
 * list that it empties when it is interrupted (kernel/smp.c).  An entry, struct
 * __call_single_data, is the list's node, a word of flags, the function and its
 * argument; one of type CSD_TYPE_SYNC is called with interrupts off, and
 * CSD_FLAG_LOCK is cleared behind it, which is how the end is seen from here.
 * Entries need memory that the kernel leaves alone: they are put at the far end
 * of the stack of an idle thread, which never ends and whose frames are few.
 *
 * Whoever adds to a queue that isn't empty sends no interrupt.  So the CPU is
 * interrupted (ipi.h) before the entry is linked: an interrupt for nothing does
 * no harm, an entry without one would have other CPUs wait for ever.
 */
#ifndef OVM_VMI_REMOTE_CALL_H
#define OVM_VMI_REMOTE_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "extract/record.h"
#include "kernel.h"
#include "write.h"

enum {
	OVM_REMOTE_CALL_SLOTS = 64,
	OVM_REMOTE_CALL_CPUS = 256,
};

struct ovm_remote_call_cpu {
	uint32_t cpu, apic_id;
	/** The list's head, per-CPU call_single_queue. */
	struct ovm_object queue;
	struct ovm_object slots[OVM_REMOTE_CALL_SLOTS];
	uint32_t nr_slots;
	/** Entries of somebody who died before they were linked, perhaps: never waited for. */
	bool stale[OVM_REMOTE_CALL_SLOTS];
	/** Used by the caller: this CPU is to be interrupted. */
	bool interrupt;
};

/** All that is needed to queue calls; holds no pointers of its own and may lie in shared memory. */
struct ovm_remote_calls {
	struct ovm_member first, next, flags, func, info;
	/** Guest address of the function that is called. */
	uint64_t function;
	/** Of add_timer(); 0: can't be called. */
	uint64_t add_timer;
	struct ovm_remote_call_cpu cpus[OVM_REMOTE_CALL_CPUS];
	uint32_t nr_cpus;
};

/** Writes a member: ovm_write(), or what takes its place in a guardian. */
typedef bool ovm_remote_call_write(void *arg, const struct ovm_object *object,
				   const struct ovm_member *member, uint64_t from, uint64_t to);

/**
 * Find queues and room for the calls of @function on the CPUs of @rec.
 *
 * Errors: OVM_ERROR_KERNEL when the kernel makes such calls in another way, checks where they lead
 * to, or has no room for them.
 */
struct ovm_error *ovm_remote_calls_init(struct ovm_writer *writer, struct ovm_kernel *kernel,
					const struct ovm_rec_freezer *rec, const char *function,
					struct ovm_remote_calls *ret);

/** The CPU to call on, preferably @cpu; NULL when none has room. */
struct ovm_remote_call_cpu *ovm_remote_calls_cpu(struct ovm_remote_calls *calls, uint32_t cpu);

/**
 * Queue a call with @info; the VM is paused, and the CPU has been interrupted. Returns false when
 * there is no room, or when a write failed. Async-signal-safe if @write is.
 */
bool ovm_remote_call(const struct ovm_remote_calls *calls, struct ovm_remote_call_cpu *cpu,
		     uint64_t info, ovm_remote_call_write *write, void *arg);

/**
 * The same for add_timer(@timer), which starts a timer that was made and is not pending; it may be
 * called with interrupts off. Returns false also when that can't be called.
 */
bool ovm_remote_add_timer(const struct ovm_remote_calls *calls, struct ovm_remote_call_cpu *cpu,
			  uint64_t timer, ovm_remote_call_write *write, void *arg);

/**
 * Take over from a process that died, perhaps in front of the write that links an entry: nobody
 * would ever make that call. Async-signal-safe.
 */
void ovm_remote_calls_inherit(struct ovm_remote_calls *calls);

/** Whether some call has not been made yet; also while the guest runs. Async-signal-safe. */
bool ovm_remote_calls_pending(const struct ovm_remote_calls *calls);

#endif /* OVM_VMI_REMOTE_CALL_H */
