/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Holding TCP connections still from outside.
 *
 * While a process is frozen, its kernel goes on receiving and acknowledging for
 * its connections.  A connection is held by doing what a system call does that
 * works on its socket: sk_lock.owned is set.  Packets then wait in the backlog
 * and timers are put off; nothing is sent.  A value of its own tells, from guest
 * memory alone, that no system call did it; to the kernel all but 0 are alike.
 *
 * As freeze_plan.h: this lies in memory that is shared with the guardian, and
 * what works on it calls nothing.
 */
#ifndef OVM_VMI_HOLD_H
#define OVM_VMI_HOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "extract/record.h"
#include "remote_call.h"
#include "write.h"

#ifdef __cplusplus
extern "C" {
#endif

struct ovm_hold_members {
	struct ovm_member owned, slock, state, repair;
	/** Timers that were put off, whether the retransmission timer is pending, and where in a
	 * struct tcp_sock it lies; found together, or not at all. */
	struct ovm_member put_off, pending;
	uint32_t timer_offset;
};

struct ovm_holds {
	struct ovm_hold_members members;
	uint32_t nr, max;
	/** Of type struct tcp_sock. */
	struct ovm_object sockets[];
};

enum {
	OVM_HOLDS_MAX = 1 << 16,
};

/** Memory for as many as can be held, zeroed; freed with ovm_holds_free(). */
struct ovm_error *ovm_holds_alloc(struct ovm_holds **ret);
void ovm_holds_free(struct ovm_holds *holds);

/**
 * Find members by BTF. Errors: those of ovm_writer_member(), and then nothing can be held.
 */
struct ovm_error *ovm_hold_members_find(struct ovm_writer *writer, struct ovm_hold_members *ret);

/**
 * Hold the connection whose struct sock is at @address; the VM is paused. One that is held already
 * stays so.
 *
 * Errors: OVM_ERROR_INCONSISTENT when somebody works on it; OVM_ERROR_KERNEL; OVM_ERROR_BUDGET;
 * those of ovm_writer_locate() and ovm_write().
 */
struct ovm_error *ovm_hold(struct ovm_holds *holds, struct ovm_writer *writer, uint64_t address);

/** Note one that is found to be held. Errors: OVM_ERROR_BUDGET; those of ovm_writer_locate(). */
struct ovm_error *ovm_hold_adopt(struct ovm_holds *holds, struct ovm_writer *writer,
				 uint64_t address);

/** How many are held. Async-signal-safe. */
uint32_t ovm_holds_count(const struct ovm_holds *holds);

/** Whether letting go means starting timers again, by calls. Async-signal-safe. */
bool ovm_holds_have_timers(const struct ovm_holds *holds);

/** How to let go. */
struct ovm_release {
	/**
	 * The process is about to be killed: closing its sockets then sends nothing, and until then
	 * nothing is accepted.
	 */
	bool silence;
	/** The CPU, which has been interrupted, that starts timers; NULL: none are. */
	const struct ovm_remote_calls *calls;
	struct ovm_remote_call_cpu *cpu;
	ovm_remote_call_write *write;
	void *arg;
};

/**
 * Let all go that can be let go now, with the VM paused; returns how many are left.
 * Async-signal-safe if @how->write is.
 */
uint32_t ovm_holds_release(struct ovm_holds *holds, const struct ovm_release *how);

#ifdef __cplusplus
}
#endif

#endif /* OVM_VMI_HOLD_H */
