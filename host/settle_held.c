// SPDX-License-Identifier: GPL-2.0-only
/*
 * Threads that the freezer holds.
 *
 * Such a thread has left its system call and waits in get_signal().  When it is
 * let go the kernel delivers signals, then makes interrupted calls again
 * (arch_do_signal_or_restart() of arch/x86/kernel/signal.c).  A restored thread
 * returns to user mode by sigreturn, where none of the latter is done, but
 * pending signals are delivered at once.  So the registers are to be those
 * with which the kernel would have entered the first handler, or else user
 * mode, and a call that waits keeps the end of its wait.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>

#include "settle.h"

/* Kernel-internal return values of interrupted calls (include/linux/errno.h). */
enum {
	ERESTARTSYS = 512,
	ERESTARTNOINTR = 513,
	ERESTARTNOHAND = 514,
	ERESTART_RESTARTBLOCK = 516,
};

/* Bits of task_struct.__state, .flags and .jobctl (include/linux/sched.h, sched/jobctl.h). */
enum {
	STATE_INTERRUPTIBLE = 0x1,
	STATE_STOPPED = 0x4,
	STATE_TRACED = 0x8,
	FLAG_EXITING = 0x4,
	JOBCTL_STOP_PENDING = 1 << 17,
	JOBCTL_TRAP_STOP = 1 << 19,
	JOBCTL_TRAP_NOTIFY = 1 << 20,
	JOBCTL_TRAP_FREEZE = 1 << 23,
};

enum {
	SYSCALL_INSN = 2,
	/* Below the stack pointer, leaf functions may use that much (System V ABI for x86-64). */
	RED_ZONE = 128,
	/* struct timespec and its alignment here. */
	TIMESPEC_SIZE = 16,
	/* More than any clock id, less than any address that a process may map. */
	CLOCK_IDS = 64,
};

enum {
	NS_PER_MS = 1000000,
	NS_PER_S = 1000000000,
};

/* ---- what the freezer holds ------------------------------------------------------------------ */

/*
 * The freezer counts some threads as frozen that are inside a system call: parents in vfork, and
 * traced ones. Those don't sleep interruptibly, and after they have been woken, they still have no
 * result: the entry code puts -ENOSYS there.
 */
bool ovm_settle_is_held(const struct ovm_rec_thread *thread)
{
	const bool stopped = thread->state & STATE_STOPPED && !(thread->state & STATE_TRACED);
	bool in_trap = thread->state & (STATE_INTERRUPTIBLE | STATE_STOPPED);
	bool has_result = (int64_t)thread->regs.orig_ax < 0 || thread->regs.ax != (uint64_t)-ENOSYS;

	if (thread->exit_state || thread->flags & FLAG_EXITING)
		return false;
	return stopped ||
	       (thread->frozen && thread->jobctl & JOBCTL_TRAP_FREEZE &&
		!(thread->state & STATE_TRACED) && (in_trap || (!thread->state && has_result)));
}

/* ---- signals --------------------------------------------------------------------------------- */

/* Which handlers run before the thread goes on. */
struct delivery {
	/* One interrupts the call, and makes the kernel call again afterwards (SA_RESTART). */
	bool interrupts, restarts;
	/* One would interrupt the call again, since only the call's own mask lets it in. */
	bool in_call;
};

static uint64_t signal_bit(int signo)
{
	return 1ULL << (signo - 1);
}

/* Signals of a list that have a handler. */
static uint64_t handled(const struct ovm_rec_signal *list, const struct ovm_rec_sigaction *actions)
{
	uint64_t set = 0;

	for (; list; list = list->next)
		if (list->signo >= 1 && list->signo <= OVM_REC_NR_SIGNALS &&
		    actions[list->signo - 1].handler != (uint64_t)(uintptr_t)SIG_DFL &&
		    actions[list->signo - 1].handler != (uint64_t)(uintptr_t)SIG_IGN)
			set |= signal_bit(list->signo);
	return set;
}

/* The one of a set that the kernel takes first, or 0; next_signal() of kernel/signal.c. */
static int first_signal(uint64_t set)
{
	const uint64_t synchronous = signal_bit(SIGSEGV) | signal_bit(SIGBUS) | signal_bit(SIGILL) |
				     signal_bit(SIGTRAP) | signal_bit(SIGFPE) | signal_bit(SIGSYS);

	if (set & synchronous)
		set &= synchronous;
	return set ? __builtin_ctzll(set) + 1 : 0;
}

/*
 * A signal without a handler changes nothing: it is ignored, or ends or stops the process before
 * that sees anything of the call. The first one with a handler decides, a thread's own before those
 * of the process.
 *
 * Which thread gets one of the process can't be told, so all that may are treated alike: one that
 * doesn't after all sees EINTR without having run a handler. The other way, it would run the
 * handler and then wait for what the handler has just told it.
 *
 * Two masks count: that in force, and that which the kernel puts back when the call is over. What
 * only the former lets in stays pending and interrupts the call when it is made again. What only
 * the latter lets in is delivered between the end of the call and its repetition.
 */
static struct delivery find_delivery(const struct ovm_rec_thread *thread,
				     const struct ovm_settle_around *around)
{
	struct delivery ret = {0};

	if (!around || !around->actions)
		return ret;
	uint64_t own = handled(thread->pending, around->actions);
	uint64_t shared = handled(around->shared, around->actions);
	uint64_t out = thread->blocked | thread->mask_in_force;
	int first = first_signal(own & ~out);

	if (!first)
		first = first_signal(shared & ~out);
	ret.interrupts = first;
	ret.restarts = first && around->actions[first - 1].flags & SA_RESTART;
	ret.in_call = (own | shared) & ~thread->mask_in_force & thread->blocked;
	return ret;
}

/* ---- calls ----------------------------------------------------------------------------------- */

struct held {
	const struct ovm_rec_thread *thread;
	const struct ovm_settle_clock *clock;
	struct delivery delivery;
	/* The program doesn't look at the registers that it passed to the call. */
	bool arguments_are_dead;
	struct ovm_settled *ret;
};

/*
 * Calls keep the registers of their arguments, and a loop that is written in assembly may count on
 * it. The functions of libraries return, or look at the result first, which is how they are told;
 * they were compiled as code in which a call is the last thing that arguments are good for.
 */
static bool arguments_are_dead(const uint8_t code[8])
{
	static const struct {
		uint8_t len, bytes[3];
	} beginnings[] = {
		{1, {0xc3}},		 /* ret */
		{2, {0x48, 0x3d}},	 /* cmp $imm,%rax */
		{1, {0x3d}},		 /* cmp $imm,%eax */
		{3, {0x48, 0x85, 0xc0}}, /* test %rax,%rax */
		{2, {0x85, 0xc0}},	 /* test %eax,%eax */
		{2, {0xf7, 0xd8}},	 /* neg %eax */
		{3, {0x44, 0x89, 0xc7}}, /* mov %r8d,%edi: glibc ends a cancellation point */
	};

	for (size_t i = 0; i < sizeof(beginnings) / sizeof(*beginnings); i++)
		if (!memcmp(code, beginnings[i].bytes, beginnings[i].len))
			return true;
	/* mov %eax or %rax to anywhere */
	code += code[0] == 0x48;
	return code[0] == 0x89 && !(code[1] & 0x38);
}

static void call_again(struct ovm_rec_regs *regs, uint64_t nr)
{
	regs->ax = nr;
	regs->ip -= SYSCALL_INSN;
}

static void call_interrupted(struct ovm_rec_regs *regs)
{
	regs->ax = (uint64_t)-EINTR;
}

/* Until the end of the interrupted wait, ns; it may have passed meanwhile. */
static uint64_t time_left(const struct held *held)
{
	const struct ovm_rec_sleep *until = &held->thread->restart;
	uint64_t now = ovm_settle_clock_now(held->clock, until->clock);

	return until->expires > now ? until->expires - now : 0;
}

/* Put the time left at a place in user memory. */
static void store_time_left(const struct held *held, uint64_t address)
{
	struct ovm_settle_patch *patch = &held->ret->patch;
	uint64_t left = time_left(held);
	uint64_t timespec[2] = {left / NS_PER_S, left % NS_PER_S};

	_Static_assert(sizeof(timespec) == TIMESPEC_SIZE, "struct timespec of x86-64");
	patch->address = address;
	patch->len = sizeof(timespec);
	memcpy(patch->bytes, timespec, sizeof(timespec));
}

/*
 * Make call @nr again with the time left as its time-out, through the argument register @timeout.
 * The timespec goes to @place, or if that is 0, to where the stack is dead. Where that memory isn't
 * among what is saved, the call is interrupted.
 */
static void call_again_timed(const struct held *held, uint64_t nr, __u64 *timeout, uint64_t place)
{
	struct ovm_rec_regs *regs = &held->ret->regs;
	struct ovm_settle_patch *patch = &held->ret->patch;

	if (!place)
		place = (regs->sp - RED_ZONE - TIMESPEC_SIZE) & -(uint64_t)TIMESPEC_SIZE;
	patch->needed = true;
	patch->otherwise = *regs;
	call_interrupted(&patch->otherwise);
	patch->otherwise.orig_ax = (uint64_t)-1;
	store_time_left(held, place);
	*timeout = place;
	call_again(regs, nr);
}

static void settle_poll(const struct held *held, uint64_t nr)
{
	struct ovm_rec_regs *regs = &held->ret->regs;

	bool timed = held->thread->restart.armed;

	if (held->delivery.interrupts || (nr != SYS_poll && nr != SYS_restart_syscall) ||
	    (timed && !held->arguments_are_dead)) {
		call_interrupted(regs);
		return;
	}
	if (timed) {
		uint64_t left = time_left(held);
		uint64_t ms = left / NS_PER_MS + !!(left % NS_PER_MS);

		regs->dx = ms < INT_MAX ? ms : INT_MAX;
	}
	call_again(regs, SYS_poll);
}

/* Only FUTEX_WAIT counts its time-out from the call; FUTEX_WAIT_BITSET has a point in time. */
static void settle_futex(const struct held *held, uint64_t nr)
{
	struct ovm_rec_regs *regs = &held->ret->regs;
	uint64_t op = regs->si & FUTEX_CMD_MASK;

	if (held->delivery.interrupts || (nr != SYS_futex && nr != SYS_restart_syscall))
		call_interrupted(regs);
	else if (op == FUTEX_WAIT_BITSET)
		call_again(regs, SYS_futex);
	else if (op == FUTEX_WAIT && held->thread->restart.armed && held->arguments_are_dead)
		call_again_timed(held, SYS_futex, &regs->r10, 0);
	else
		call_interrupted(regs);
}

/*
 * Which sleep it was: the restart block is the same for both, but the first argument of one is a
 * clock, and of the other an address. The kernel has kept where the rest is to be told, so that a
 * wrong guess doesn't go unnoticed. NULL: neither, or not as a 64-bit program calls it.
 */
static __u64 *sleep_request(const struct held *held, uint64_t *nr)
{
	struct ovm_rec_regs *regs = &held->ret->regs;

	if (*nr == SYS_restart_syscall)
		*nr = regs->di < CLOCK_IDS ? SYS_clock_nanosleep : SYS_nanosleep;
	if (*nr == SYS_nanosleep && regs->si == held->thread->restart_rmtp)
		return &regs->di;
	if (*nr == SYS_clock_nanosleep && regs->r10 == held->thread->restart_rmtp)
		return &regs->dx;
	return NULL;
}

/*
 * The kernel has told the rest already, as of when the thread was frozen, and need not have done so
 * if the sleep isn't interrupted in the end: that place can as well hold the request, and is that
 * of the request in programs that sleep on with the rest.
 */
static void settle_sleep(const struct held *held, uint64_t nr)
{
	const struct ovm_rec_thread *thread = held->thread;
	__u64 *request = sleep_request(held, &nr);
	bool in_place = request && thread->restart_rmtp && *request == thread->restart_rmtp;

	if (!held->delivery.interrupts && thread->restart.armed && request &&
	    (in_place || held->arguments_are_dead)) {
		call_again_timed(held, nr, request, thread->restart_rmtp);
		return;
	}
	if (thread->restart.armed && thread->restart_rmtp)
		store_time_left(held, thread->restart_rmtp);
	call_interrupted(&held->ret->regs);
}

/* The clock is one of consumed CPU time and stands still: what the kernel has told is the rest. */
static void settle_cpu_sleep(const struct held *held, uint64_t nr)
{
	struct ovm_rec_regs *regs = &held->ret->regs;
	uint64_t rest = held->thread->restart_rmtp;

	if (nr == SYS_restart_syscall)
		nr = SYS_clock_nanosleep;
	if (held->delivery.interrupts || nr != SYS_clock_nanosleep || !rest || regs->r10 != rest ||
	    (regs->dx != rest && !held->arguments_are_dead)) {
		call_interrupted(regs);
		return;
	}
	regs->dx = rest;
	call_again(regs, nr);
}

/* The function in the restart block says what the call was, also when it goes on for a second time
 * (restart_syscall). Its arguments are in the registers still. */
static void settle_restart_block(const struct held *held, const char *restart_fn)
{
	static const struct {
		const char *fn;
		void (*settle)(const struct held *held, uint64_t nr);
	} kinds[] = {
		{"do_restart_poll", settle_poll},
		{"futex_wait_restart", settle_futex},
		{"hrtimer_nanosleep_restart", settle_sleep},
		{"alarm_timer_nsleep_restart", settle_sleep},
		{"posix_cpu_nsleep_restart", settle_cpu_sleep},
	};

	for (size_t i = 0; restart_fn && i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(restart_fn, kinds[i].fn)) {
			kinds[i].settle(held, held->thread->regs.orig_ax);
			return;
		}
	call_interrupted(&held->ret->regs);
}

/*
 * Calls that end with EINTR whatever the reason (signal(7)), and have done nothing then. Without a
 * limit and without a handler, the freezer was the reason, which is not the program's business.
 * With a limit, what is left of it has been forgotten: that is what the freezer does to programs.
 */
static bool waits_without_limit(const struct ovm_rec_regs *regs)
{
	switch (regs->orig_ax) {
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
		return (int32_t)regs->r10 < 0;
	case 441 /* epoll_pwait2 */:
	case SYS_semtimedop:
		return !regs->r10;
	case SYS_rt_sigtimedwait:
		return !regs->dx;
	case SYS_io_getevents:
		return !regs->r8;
	case SYS_semop:
		return true;
	}
	return false;
}

/* These take a mask of their own, under which the same signal interrupts them once more. */
static bool waits_under_mask(const struct ovm_rec_regs *regs)
{
	return regs->orig_ax == SYS_epoll_pwait || regs->orig_ax == 441 /* epoll_pwait2 */;
}

static void settle_interrupted(const struct held *held)
{
	struct ovm_rec_regs *regs = &held->ret->regs;

	if (held->delivery.interrupts)
		return;
	if (waits_without_limit(regs) || (held->delivery.in_call && waits_under_mask(regs)))
		call_again(regs, regs->orig_ax);
}

static void settle_result(const struct held *held, const char *restart_fn)
{
	const struct delivery *delivery = &held->delivery;
	struct ovm_rec_regs *regs = &held->ret->regs;

	switch (-regs->ax) {
	case ERESTARTNOINTR:
		call_again(regs, regs->orig_ax);
		break;
	case ERESTARTSYS:
		if (delivery->interrupts && !delivery->restarts)
			call_interrupted(regs);
		else
			call_again(regs, regs->orig_ax);
		break;
	case ERESTARTNOHAND:
		if (delivery->interrupts)
			call_interrupted(regs);
		else
			call_again(regs, regs->orig_ax);
		break;
	case ERESTART_RESTARTBLOCK:
		settle_restart_block(held, restart_fn);
		break;
	case EINTR:
		settle_interrupted(held);
		break;
	}
}

const char *ovm_settle_held(const struct ovm_rec_thread *thread,
			    const struct ovm_settle_around *around,
			    const struct ovm_settle_clock *clock, const char *restart_fn,
			    struct ovm_settled *ret)
{
	const struct held held = {
		.thread = thread,
		.clock = clock,
		.delivery = find_delivery(thread, around),
		.arguments_are_dead = around && arguments_are_dead(around->code),
		.ret = ret,
	};

	*ret = (struct ovm_settled){
		.regs = thread->regs,
		.fs_base = thread->fs_base,
		.gs_base = thread->gs_base,
		.blocked = thread->blocked,
	};
	/* Its extended state and segment bases are in memory only when it has been switched out. */
	if (thread->where == OVM_REC_ON_CPU)
		return "is on its way back into the freezer";
	if (thread->jobctl & (JOBCTL_STOP_PENDING | JOBCTL_TRAP_STOP | JOBCTL_TRAP_NOTIFY))
		return "is about to stop";
	if ((int64_t)thread->regs.orig_ax >= 0)
		settle_result(&held, restart_fn);
	/* The restored thread is in no system call. */
	ret->regs.orig_ax = (uint64_t)-1;
	return NULL;
}
