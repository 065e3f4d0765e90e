// SPDX-License-Identifier: GPL-2.0-only
#include "settle.h"

#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

/* Kernel-internal return values of interrupted calls (include/linux/errno.h). */
enum {
	ERESTARTSYS = 512,
	ERESTARTNOINTR = 513,
	ERESTARTNOHAND = 514,
	ERESTART_RESTARTBLOCK = 516,
};

/* Bits of task_struct.__state (include/linux/sched.h); the upper ones qualify the sleep. */
enum {
	STATE_RUNNING = 0,
	STATE_INTERRUPTIBLE = 0x1,
	STATE_UNINTERRUPTIBLE = 0x2,
	STATE_STOPPED = 0x4,
	STATE_TRACED = 0x8,
};

enum { TIF_SIGPENDING_BIT = 2 };

/* A thread that gave up its CPU on the way back to user mode has little on its kernel stack but
 * schedule(); one that was in the middle of something has more. */
enum { SHALLOW_STACK = 640 };

/* Length of the syscall instruction. */
enum { SYSCALL_INSN = 2 };

/** How a sleeping call is taken up again. */
enum restart {
	/* Nothing has happened yet: make the call again. */
	RESTART_AGAIN = 1,
	/* As RESTART_AGAIN if it waits without limit, else it is interrupted. */
	RESTART_AGAIN_UNTIMED,
	/* Make the call again, after the time left has been written to its time-out argument. */
	RESTART_TIMEVAL,
	RESTART_TIMESPEC,
	/* Interrupted, with the time left in an argument of its own. */
	RESTART_SLEEP,
	RESTART_SLEEP_CLOCK,
	RESTART_FUTEX,
	/* It was restarted before: the restart block knows. */
	RESTART_BLOCK,
};

struct restart_rule {
	enum restart restart;
	/* Offset in struct ovm_rec_regs of the argument that holds the time-out. */
	size_t timeout;
	/* The time-out is a number of milliseconds, negative for none, not a pointer. */
	bool milliseconds;
};

#define ARG(name) offsetof(struct ovm_rec_regs, name)

/*
 * Calls that can sleep interruptibly without having changed anything, with what the kernel does
 * to them on a signal (signal(7) and the calls' code in Linux 6.1).
 */
static const struct restart_rule restart_rules[] = {
	[SYS_poll] = {RESTART_AGAIN_UNTIMED, ARG(dx), true},
	[SYS_ppoll] = {RESTART_TIMESPEC, ARG(dx)},
	[SYS_select] = {RESTART_TIMEVAL, ARG(r8)},
	[SYS_pselect6] = {RESTART_TIMESPEC, ARG(r8)},
	[SYS_epoll_wait] = {RESTART_AGAIN_UNTIMED, ARG(r10), true},
	[SYS_epoll_pwait] = {RESTART_AGAIN_UNTIMED, ARG(r10), true},
	[441 /* epoll_pwait2 */] = {RESTART_AGAIN_UNTIMED, ARG(r10)},
	[SYS_pause] = {RESTART_AGAIN},
	[SYS_rt_sigsuspend] = {RESTART_AGAIN},
	[SYS_rt_sigtimedwait] = {RESTART_AGAIN_UNTIMED, ARG(dx)},
	[SYS_nanosleep] = {RESTART_SLEEP, ARG(si)},
	[SYS_clock_nanosleep] = {RESTART_SLEEP_CLOCK, ARG(r10)},
	[SYS_futex] = {RESTART_FUTEX, ARG(r10)},
	[449 /* futex_waitv */] = {RESTART_AGAIN},
	[SYS_wait4] = {RESTART_AGAIN},
	[SYS_waitid] = {RESTART_AGAIN},
	[SYS_flock] = {RESTART_AGAIN},
	[SYS_restart_syscall] = {RESTART_BLOCK},
};

static uint64_t argument(const struct ovm_rec_regs *regs, size_t offset)
{
	uint64_t value;

	memcpy(&value, (const char *)regs + offset, sizeof(value));
	return value;
}

uint64_t ovm_settle_remaining(uint64_t expires, uint64_t now)
{
	return expires > now ? expires - now : 1;
}

static void call_again(struct ovm_rec_regs *regs)
{
	regs->ax = regs->orig_ax;
	regs->ip -= SYSCALL_INSN;
}

static void call_interrupted(struct ovm_rec_regs *regs)
{
	regs->ax = (uint64_t)-EINTR;
}

uint64_t ovm_settle_clock_now(const struct ovm_settle_clock *clock, int id)
{
	switch (id) {
	case CLOCK_REALTIME:
	case CLOCK_TAI:
		return clock->realtime;
	case CLOCK_BOOTTIME:
		return clock->boottime;
	default:
		return clock->monotonic;
	}
}

/* Write the time left of the thread's sleep to @address, as timespec or timeval. */
static void patch_remaining(const struct ovm_rec_thread *thread,
			    const struct ovm_settle_clock *clock, uint64_t address, uint64_t unit,
			    struct ovm_settle_patch *patch)
{
	if (!address || !thread->sleep.armed)
		return;
	uint64_t now = ovm_settle_clock_now(clock, thread->sleep.clock);
	uint64_t left = thread->sleep.soft_expires > now ? thread->sleep.soft_expires - now : 0;
	uint64_t pair[2] = {left / 1000000000, left % 1000000000 / unit};

	patch->address = address;
	patch->len = sizeof(pair);
	memcpy(patch->bytes, pair, sizeof(pair));
}

/* FUTEX_WAIT counts its time-out from the call, the others take a point in time. */
static const char *settle_futex(struct ovm_rec_regs *regs)
{
	switch (regs->si & FUTEX_CMD_MASK) {
	case FUTEX_WAIT:
		if (regs->r10)
			call_interrupted(regs);
		else
			call_again(regs);
		return NULL;
	case FUTEX_WAIT_BITSET:
	case FUTEX_LOCK_PI:
	case 13 /* FUTEX_LOCK_PI2 */:
	case FUTEX_WAIT_REQUEUE_PI:
		call_again(regs);
		return NULL;
	}
	return "sleeps in a futex operation that can't be taken up again";
}

/* A call that goes on after it was once interrupted: struct restart_block says which it was. */
static const char *settle_restart_block(const struct ovm_rec_thread *thread,
					const struct ovm_settle_clock *clock,
					const char *restart_fn, struct ovm_settled *ret)
{
	if (!restart_fn)
		return "sleeps in a restarted call of unknown kind";
	if (strstr(restart_fn, "nanosleep") || strstr(restart_fn, "nsleep"))
		patch_remaining(thread, clock, thread->restart_rmtp, 1, &ret->patch);
	call_interrupted(&ret->regs);
	return NULL;
}

/*
 * The mask that the call found: two calls that wait for signals have put it aside. The others that
 * change it mark that at once (task->restore_sigmask), and the record has it already.
 */
static uint64_t mask_before_call(const struct ovm_rec_thread *thread)
{
	switch (thread->regs.orig_ax) {
	case SYS_rt_sigsuspend:
		return thread->saved_sigmask;
	case SYS_rt_sigtimedwait:
		return thread->real_blocked;
	default:
		return thread->blocked;
	}
}

static const char *settle_sleeping_call(const struct ovm_rec_thread *thread,
					const struct ovm_settle_clock *clock,
					const char *restart_fn, struct ovm_settled *ret)
{
	struct ovm_rec_regs *regs = &ret->regs;
	const struct restart_rule *rule = NULL;

	if (regs->orig_ax < sizeof(restart_rules) / sizeof(*restart_rules))
		rule = &restart_rules[regs->orig_ax];
	if (!rule || !rule->restart)
		return "sleeps in a system call that can't be taken up again from outside";

	uint64_t timeout = argument(regs, rule->timeout);

	switch (rule->restart) {
	case RESTART_AGAIN:
		call_again(regs);
		return NULL;
	case RESTART_AGAIN_UNTIMED:
		if (rule->milliseconds ? (int32_t)timeout < 0 : !timeout)
			call_again(regs);
		else
			call_interrupted(regs);
		return NULL;
	case RESTART_TIMEVAL:
		patch_remaining(thread, clock, timeout, 1000, &ret->patch);
		call_again(regs);
		return NULL;
	case RESTART_TIMESPEC:
		patch_remaining(thread, clock, timeout, 1, &ret->patch);
		call_again(regs);
		return NULL;
	case RESTART_SLEEP_CLOCK:
		if (regs->si & TIMER_ABSTIME) {
			call_again(regs);
			return NULL;
		}
		/* fall through */
	case RESTART_SLEEP:
		patch_remaining(thread, clock, timeout, 1, &ret->patch);
		call_interrupted(regs);
		return NULL;
	case RESTART_FUTEX:
		return settle_futex(regs);
	case RESTART_BLOCK:
		return settle_restart_block(thread, clock, restart_fn, ret);
	}
	return "sleeps in an unknown way";
}

/* The call is over and the thread was on its way out: do what the kernel's signal path would. */
static void settle_finished_call(struct ovm_rec_regs *regs)
{
	switch (-regs->ax) {
	case ERESTARTSYS:
	case ERESTARTNOINTR:
	case ERESTARTNOHAND:
		call_again(regs);
		break;
	case ERESTART_RESTARTBLOCK:
		call_interrupted(regs);
		break;
	}
}

static bool stack_is_shallow(const struct ovm_rec_thread *thread)
{
	return thread->kernel_sp < thread->regs_address &&
	       thread->regs_address - thread->kernel_sp <= SHALLOW_STACK;
}

static const char *settle_switched_out(const struct ovm_rec_thread *thread,
				       const struct ovm_settle_clock *clock, const char *restart_fn,
				       struct ovm_settled *ret)
{
	bool in_call = thread->where == OVM_REC_IN_SYSCALL;

	if (thread->state & STATE_UNINTERRUPTIBLE)
		return "is in uninterruptible sleep";
	if (thread->state & (STATE_STOPPED | STATE_TRACED))
		return "is stopped";
	if (thread->state == STATE_RUNNING) {
		if (!stack_is_shallow(thread))
			return "was switched out inside the kernel";
		if (!in_call)
			return NULL;
		if (ret->regs.ax == (uint64_t)-ENOSYS)
			return "is about to run a system call";
		settle_finished_call(&ret->regs);
		return NULL;
	}
	if (!(thread->state & STATE_INTERRUPTIBLE) || !in_call)
		return "sleeps inside the kernel";
	if (thread->tif_flags & 1u << TIF_SIGPENDING_BIT)
		return "is about to take a signal";
	ret->blocked = mask_before_call(thread);
	return settle_sleeping_call(thread, clock, restart_fn, ret);
}

const char *ovm_settle_thread(const struct ovm_rec_thread *thread, const struct ovm_settle_cpu *cpu,
			      const struct ovm_settle_clock *clock, const char *restart_fn,
			      struct ovm_settled *ret)
{
	const char *why = NULL;

	memset(ret, 0, sizeof(*ret));
	ret->blocked = thread->blocked;
	if (thread->where == OVM_REC_ON_CPU) {
		if (!cpu)
			return "runs on a CPU whose state is not known";
		if (!cpu->user)
			return "runs in the kernel";
		ret->regs = cpu->regs;
		ret->fs_base = cpu->fs_base;
		ret->gs_base = cpu->gs_base;
		ret->fpu_in_vcpu = true;
	} else {
		ret->regs = thread->regs;
		ret->fs_base = thread->fs_base;
		ret->gs_base = thread->gs_base;
		why = settle_switched_out(thread, clock, restart_fn, ret);
	}
	/* The restored thread is in no system call. */
	ret->regs.orig_ax = (uint64_t)-1;
	return why;
}

void ovm_settle_rseq(const struct ovm_settle_rseq *rseq, struct ovm_rec_regs *regs)
{
	if (rseq->armed && regs->ip - rseq->start < rseq->length)
		regs->ip = rseq->abort;
}

static const char *const syscall_names[] = {
#include "syscall_names.inc"
};

const char *ovm_syscall_name(int64_t nr)
{
	if (nr < 0 || (uint64_t)nr >= sizeof(syscall_names) / sizeof(*syscall_names))
		return NULL;
	return syscall_names[nr];
}
