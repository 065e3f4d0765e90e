/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where a thread was when the VM was paused, and what that makes of it.
 *
 * A thread can be resumed elsewhere from user mode only.  One that sleeps in a
 * system call without having changed anything yet is taken as if a signal had
 * arrived now: it makes the call again, or sees it interrupted with the time
 * that was left, as signal(7) says of the call.  One that is in the middle of
 * something can't be taken now; a moment later it can.
 *
 * One that sits in the freezer's trap is always on its way back to user mode,
 * with the result of its system call; what is left to do is what the kernel
 * does on that way: signal handlers and calls that are made again.
 */
#ifndef OVM_HOST_SETTLE_H
#define OVM_HOST_SETTLE_H

#include <stdbool.h>
#include <stdint.h>

#include "vmi/extract/record.h"

/** What a CPU of the guest holds, for the thread that is current there. */
struct ovm_settle_cpu {
	/** Whether it runs in user mode; the rest is set only then. */
	bool user;
	struct ovm_rec_regs regs;
	uint64_t fs_base, gs_base;
};

struct ovm_settle_clock {
	/** Guest clocks, ns. */
	uint64_t monotonic, boottime, realtime;
};

/** Bytes of user memory that go with the registers: those that the kernel would have written when
 * it interrupted the call, or a time-out for the call that is made again. */
struct ovm_settle_patch {
	/** User address; 0: nothing to write. */
	uint64_t address;
	uint8_t bytes[16];
	uint32_t len;
	/** The registers are good only once the bytes are there; else these are to be taken. */
	bool needed;
	struct ovm_rec_regs otherwise;
};

struct ovm_settled {
	struct ovm_rec_regs regs;
	uint64_t fs_base, gs_base;
	/** Signal mask to resume with. */
	uint64_t blocked;
	struct ovm_settle_patch patch;
	/** The extended state is in the vCPU, not in memory. */
	bool fpu_in_vcpu;
};

/** What rseq(2) area of a thread says, read by the caller from user memory. */
struct ovm_settle_rseq {
	/** A critical section is set. */
	bool armed;
	uint64_t start, length, abort;
};

/**
 * Settle a thread.
 *
 * @cpu is what the thread's CPU holds when it is current there, else NULL. @restart_fn names the
 * kernel function of its restart block, or is NULL. Returns NULL and fills @ret when the thread can
 * be resumed, else why it can't now: a phrase such as "runs in the kernel".
 */
const char *ovm_settle_thread(const struct ovm_rec_thread *thread, const struct ovm_settle_cpu *cpu,
			      const struct ovm_settle_clock *clock, const char *restart_fn,
			      struct ovm_settled *ret);

/** What there is around a thread that the freezer holds. */
struct ovm_settle_around {
	/** Signals that are pending for the whole process; threads have those of their own. */
	const struct ovm_rec_signal *shared;
	/** OVM_REC_NR_SIGNALS actions; NULL: signals are not looked at. */
	const struct ovm_rec_sigaction *actions;
	/** User memory at its instruction pointer, behind its call; zero where it isn't known. */
	uint8_t code[8];
};

/**
 * Whether the freezer holds a thread: it can do nothing in user mode, nor in a system call, until
 * it is let go. A process that is being killed is not held, whatever this says of its threads.
 */
bool ovm_settle_is_held(const struct ovm_rec_thread *thread);

/**
 * Settle a thread that the freezer holds; as ovm_settle_thread(). @around may be NULL when only the
 * reason is asked for.
 */
const char *ovm_settle_held(const struct ovm_rec_thread *thread,
			    const struct ovm_settle_around *around,
			    const struct ovm_settle_clock *clock, const char *restart_fn,
			    struct ovm_settled *ret);

/** Send a thread that is inside a restartable sequence to its abort handler. */
void ovm_settle_rseq(const struct ovm_settle_rseq *rseq, struct ovm_rec_regs *regs);

/** Time left until a timer fires, ns; at least 1, so that an expired one still fires. */
uint64_t ovm_settle_remaining(uint64_t expires, uint64_t now);

/** What a clock shows: CLOCK_MONOTONIC for those that are not known. */
uint64_t ovm_settle_clock_now(const struct ovm_settle_clock *clock, int id);

/** Name of an x86-64 system call, or NULL. */
const char *ovm_syscall_name(int64_t nr);

#endif /* OVM_HOST_SETTLE_H */
