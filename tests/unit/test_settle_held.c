// SPDX-License-Identifier: GPL-2.0-only
/* Threads that the freezer holds, and what they go on with. */
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>

#include "host/settle.h"
#include "host/state.h"
#include "test.h"

#define S UINT64_C(1000000000)

enum {
	IP = 0x401000,
	SP = 0x7ffff008,
	/* The place for a timespec below SP. */
	DEAD = 0x7fffef70,
	HANDLER = 0x402000,
	ERESTARTSYS = 512,
	ERESTARTNOINTR = 513,
	ERESTARTNOHAND = 514,
	ERESTART_RESTARTBLOCK = 516,
	TRAP_FREEZE = 1 << 23,
};

static const struct ovm_settle_clock now = {
	.monotonic = 100 * S,
	.boottime = 200 * S,
	.realtime = 300 * S,
};

/* A thread in the freezer's trap, with the result of a system call. */
static struct ovm_rec_thread held(uint64_t nr, int64_t result)
{
	return (struct ovm_rec_thread){
		.state = 1,
		.frozen = 1,
		.jobctl = TRAP_FREEZE,
		.where = OVM_REC_IN_SYSCALL,
		.regs = {.orig_ax = nr, .ax = (uint64_t)result, .ip = IP, .sp = SP},
	};
}

/* One whose call goes on by its restart block, until two and a half seconds from now. */
static struct ovm_rec_thread restarted(uint64_t nr)
{
	struct ovm_rec_thread thread = held(nr, -ERESTART_RESTARTBLOCK);

	thread.restart.armed = 1;
	thread.restart.clock = CLOCK_MONOTONIC;
	thread.restart.expires = now.monotonic + 5 * S / 2;
	return thread;
}

/* What is to be done about the signals of a test. */
static struct ovm_rec_sigaction actions[OVM_REC_NR_SIGNALS];
static struct ovm_rec_signal shared[2];

/* What comes after the call: ret, unless a test says otherwise. */
static uint8_t code[8];

static struct ovm_settle_around around_it(void)
{
	struct ovm_settle_around around = {shared[0].signo ? shared : NULL, actions};

	memcpy(around.code, code, sizeof(code));
	return around;
}

static void no_signals(void)
{
	memset(actions, 0, sizeof(actions));
	memset(shared, 0, sizeof(shared));
	code[0] = 0xc3;
}

static void handle(int signo, uint64_t flags)
{
	actions[signo - 1] = (struct ovm_rec_sigaction){.handler = HANDLER, .flags = flags};
}

static struct ovm_settled settle(const struct ovm_rec_thread *thread, const char *restart_fn)
{
	const struct ovm_settle_around around = around_it();
	struct ovm_settled settled;
	const char *why = ovm_settle_held(thread, &around, &now, restart_fn, &settled);

	if (!ovm_settle_is_held(thread))
		ovm_test_fail(__FILE__, __LINE__, "the thread isn't held");
	if (why)
		ovm_test_fail(__FILE__, __LINE__, "not settled: %s", why);
	return settled;
}

static void assert_regs(const struct ovm_rec_regs *regs, uint64_t ax, uint64_t ip)
{
	ASSERT_EQ_U64(regs->ax, ax);
	ASSERT_EQ_U64(regs->ip, ip);
	ASSERT_EQ_U64(regs->orig_ax, UINT64_MAX);
}

static void assert_again(const struct ovm_rec_thread *thread, const char *restart_fn, uint64_t nr)
{
	struct ovm_settled settled = settle(thread, restart_fn);

	assert_regs(&settled.regs, nr, IP - 2);
}

static void assert_returned(const struct ovm_rec_thread *thread, const char *restart_fn,
			    int64_t result)
{
	struct ovm_settled settled = settle(thread, restart_fn);

	assert_regs(&settled.regs, (uint64_t)result, IP);
}

static void assert_patched(const struct ovm_settle_patch *patch, uint64_t address, uint64_t sec,
			   uint64_t nsec)
{
	uint64_t timespec[2];

	ASSERT_EQ_U64(patch->address, address);
	ASSERT_EQ_U64(patch->len, sizeof(timespec));
	memcpy(timespec, patch->bytes, sizeof(timespec));
	ASSERT_EQ_U64(timespec[0], sec);
	ASSERT_EQ_U64(timespec[1], nsec);
}

/* The call is made again with the time left at @place, or is interrupted when there is no place. */
static void assert_timed(const struct ovm_settled *settled, uint64_t nr, uint64_t place)
{
	assert_regs(&settled->regs, nr, IP - 2);
	assert_patched(&settled->patch, place, 2, S / 2);
	ASSERT_TRUE(settled->patch.needed);
	assert_regs(&settled->patch.otherwise, (uint64_t)-EINTR, IP);
}

OVM_TEST(settle_held, what_the_freezer_holds)
{
	struct ovm_rec_thread thread = held(SYS_read, 17);

	ASSERT_TRUE(ovm_settle_is_held(&thread));
	thread.state = 0; /* woken by a signal: it goes to sleep again */
	ASSERT_TRUE(ovm_settle_is_held(&thread));
	thread.state = 0x2001; /* as recent kernels have it */
	ASSERT_TRUE(ovm_settle_is_held(&thread));
	thread.frozen = 0;
	ASSERT_FALSE(ovm_settle_is_held(&thread));
	thread.frozen = 1;
	thread.jobctl = 0; /* being thawed */
	ASSERT_FALSE(ovm_settle_is_held(&thread));
	thread.state = 4; /* by a signal */
	ASSERT_TRUE(ovm_settle_is_held(&thread));
}

OVM_TEST(settle_held, what_only_looks_as_if)
{
	struct ovm_rec_thread thread = held(SYS_vfork, -ENOSYS);

	thread.state = 0x102; /* waits for its child */
	ASSERT_FALSE(ovm_settle_is_held(&thread));
	thread.state = 0; /* the child is gone, but vfork hasn't ended yet */
	ASSERT_FALSE(ovm_settle_is_held(&thread));
	thread = held(SYS_read, 17);
	thread.exit_state = 0x10;
	ASSERT_FALSE(ovm_settle_is_held(&thread));
	thread = held(SYS_read, 17);
	thread.flags = 4;
	ASSERT_FALSE(ovm_settle_is_held(&thread));
	thread = held(SYS_read, 17);
	thread.state = 8;
	ASSERT_FALSE(ovm_settle_is_held(&thread));
}

OVM_TEST(settle_held, a_call_that_does_not_exist_is_over)
{
	struct ovm_rec_thread thread = held(100000, -ENOSYS);

	no_signals();
	assert_returned(&thread, NULL, -ENOSYS);
}

OVM_TEST(settle_held, not_while_its_state_is_in_the_cpu)
{
	struct ovm_rec_thread thread = held(SYS_read, 17);
	struct ovm_settled settled;

	thread.where = OVM_REC_ON_CPU;
	ASSERT_STREQ(ovm_settle_held(&thread, NULL, &now, NULL, &settled),
		     "is on its way back into the freezer");
	thread = held(SYS_read, 17);
	thread.jobctl |= 1 << 17;
	ASSERT_STREQ(ovm_settle_held(&thread, NULL, &now, NULL, &settled), "is about to stop");
}

OVM_TEST(settle_held, results_are_kept)
{
	static const int64_t results[] = {0, 17, -EAGAIN, -ENOSYS, INT64_MIN};

	no_signals();
	for (size_t i = 0; i < sizeof(results) / sizeof(*results); i++) {
		struct ovm_rec_thread thread = held(SYS_write, results[i]);

		assert_returned(&thread, NULL, results[i]);
	}
}

OVM_TEST(settle_held, registers_outside_of_calls_are_kept)
{
	struct ovm_rec_thread thread = held(UINT64_MAX, -ERESTARTSYS);
	struct ovm_settled settled;

	no_signals();
	thread.where = OVM_REC_INTERRUPTED;
	thread.blocked = 0x55;
	thread.fs_base = 0x66;
	thread.gs_base = 0x77;
	settled = settle(&thread, NULL);
	assert_regs(&settled.regs, (uint64_t)-ERESTARTSYS, IP);
	ASSERT_EQ_U64(settled.blocked, 0x55);
	ASSERT_EQ_U64(settled.fs_base, 0x66);
	ASSERT_EQ_U64(settled.gs_base, 0x77);
	ASSERT_FALSE(settled.fpu_in_vcpu);
}

OVM_TEST(settle_held, calls_are_made_again_when_no_handler_runs)
{
	static const int codes[] = {ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND};
	struct ovm_rec_signal ignored = {.signo = SIGCHLD}, deadly = {.signo = SIGTERM};

	no_signals();
	actions[SIGCHLD - 1].handler = (uintptr_t)SIG_IGN;
	ignored.next = &deadly;
	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
		struct ovm_rec_thread thread = held(SYS_read, -codes[i]);

		assert_again(&thread, NULL, SYS_read);
		thread.pending = &ignored;
		assert_again(&thread, NULL, SYS_read);
	}
}

OVM_TEST(settle_held, a_handler_interrupts_as_the_code_says)
{
	struct ovm_rec_signal pending = {.signo = SIGUSR1};
	struct ovm_rec_thread thread = held(SYS_read, -ERESTARTSYS);

	no_signals();
	handle(SIGUSR1, 0);
	thread.pending = &pending;
	assert_returned(&thread, NULL, -EINTR);
	handle(SIGUSR1, SA_RESTART);
	assert_again(&thread, NULL, SYS_read);
	thread.regs.ax = (uint64_t)-ERESTARTNOHAND;
	assert_returned(&thread, NULL, -EINTR);
	thread.regs.ax = (uint64_t)-ERESTARTNOINTR;
	assert_again(&thread, NULL, SYS_read);
	thread.regs.ax = 17;
	assert_returned(&thread, NULL, 17);
}

OVM_TEST(settle_held, a_blocked_signal_does_not_interrupt)
{
	struct ovm_rec_signal pending = {.signo = SIGUSR1};
	struct ovm_rec_thread thread = held(SYS_read, -ERESTARTSYS);

	no_signals();
	handle(SIGUSR1, 0);
	thread.pending = &pending;
	thread.blocked = thread.mask_in_force = 1ULL << (SIGUSR1 - 1);
	assert_again(&thread, NULL, SYS_read);
}

OVM_TEST(settle_held, the_first_handler_decides)
{
	struct ovm_rec_signal fault = {.signo = SIGSEGV};
	struct ovm_rec_signal low = {.signo = SIGHUP, .next = &fault};
	struct ovm_rec_thread thread = held(SYS_read, -ERESTARTSYS);

	no_signals();
	handle(SIGHUP, SA_RESTART);
	handle(SIGSEGV, 0);
	thread.pending = &low; /* a fault comes before it */
	assert_returned(&thread, NULL, -EINTR);
	low.next = NULL;
	assert_again(&thread, NULL, SYS_read);
	shared[0].signo = SIGSEGV; /* the process' come after the thread's own */
	assert_again(&thread, NULL, SYS_read);
	thread.pending = NULL;
	assert_returned(&thread, NULL, -EINTR);
	shared[0].signo = OVM_REC_NR_SIGNALS + 1;
	assert_again(&thread, NULL, SYS_read);
}

OVM_TEST(settle_held, masks_of_calls)
{
	struct ovm_rec_signal pending = {.signo = SIGUSR1};
	struct ovm_rec_thread thread = held(SYS_rt_sigsuspend, -ERESTARTNOHAND);
	const uint64_t bit = 1ULL << (SIGUSR1 - 1);

	no_signals();
	handle(SIGUSR1, SA_RESTART);
	thread.restore_sigmask = 1;
	thread.pending = &pending;
	/* Let in by the call only: it takes it when it is made again. */
	thread.blocked = bit;
	assert_again(&thread, NULL, SYS_rt_sigsuspend);
	ASSERT_EQ_U64(settle(&thread, NULL).blocked, bit);
	/* Kept out by the call only: it comes between the two. */
	thread.blocked = 0;
	thread.mask_in_force = bit;
	assert_again(&thread, NULL, SYS_rt_sigsuspend);
	/* Let in by both: it ends the call. */
	thread.mask_in_force = 0;
	assert_returned(&thread, NULL, -EINTR);
}

OVM_TEST(settle_held, waits_that_are_never_restarted)
{
	static const struct {
		uint64_t nr, dx, r10, r8;
		bool again;
	} calls[] = {
		{SYS_epoll_wait, 0, UINT32_MAX, 0, true},
		{SYS_epoll_wait, 0, 1000, 0, false},
		{SYS_epoll_pwait, 0, UINT64_MAX, 0, true},
		{SYS_epoll_pwait, 0, 1000, 0, false},
		{441, 0, 0, 0, true},
		{441, 0, 0x7000, 0, false},
		{SYS_semop, 0x7000, 0x7000, 0x7000, true},
		{SYS_semtimedop, 0, 0, 0, true},
		{SYS_semtimedop, 0, 0x7000, 0, false},
		{SYS_rt_sigtimedwait, 0, 8, 0, true},
		{SYS_rt_sigtimedwait, 0x7000, 8, 0, false},
		{SYS_io_getevents, 0, 0, 0, true},
		{SYS_io_getevents, 0, 0, 0x7000, false},
		{SYS_close, 0, 0, 0, false},
		{SYS_recvfrom, 0, 0, 0, false},
	};

	no_signals();
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		struct ovm_rec_thread thread = held(calls[i].nr, -EINTR);

		thread.regs.dx = calls[i].dx;
		thread.regs.r10 = calls[i].r10;
		thread.regs.r8 = calls[i].r8;
		if (calls[i].again)
			assert_again(&thread, NULL, calls[i].nr);
		else
			assert_returned(&thread, NULL, -EINTR);
	}
}

OVM_TEST(settle_held, a_handler_ends_them)
{
	struct ovm_rec_signal pending = {.signo = SIGUSR1};
	struct ovm_rec_thread thread = held(SYS_epoll_pwait, -EINTR);

	no_signals();
	handle(SIGUSR1, SA_RESTART);
	thread.regs.r10 = UINT64_MAX;
	thread.pending = &pending;
	assert_returned(&thread, NULL, -EINTR);
	/* Let in by the call's mask only: it is to run while that is in force. */
	thread.restore_sigmask = 1;
	thread.blocked = 1ULL << (SIGUSR1 - 1);
	thread.regs.r10 = 1000;
	assert_again(&thread, NULL, SYS_epoll_pwait);
	thread.regs.orig_ax = SYS_close;
	assert_returned(&thread, NULL, -EINTR);
}

OVM_TEST(settle_held, poll_waits_for_the_time_left)
{
	struct ovm_rec_thread thread = restarted(SYS_poll);
	struct ovm_settled settled;

	no_signals();
	thread.regs.dx = 60000;
	thread.restart.expires += 1; /* rounded up */
	settled = settle(&thread, "do_restart_poll");
	assert_regs(&settled.regs, SYS_poll, IP - 2);
	ASSERT_EQ_U64(settled.regs.dx, 2501);
	ASSERT_EQ_U64(settled.patch.address, 0);
	thread.regs.orig_ax = SYS_restart_syscall;
	thread.restart.expires = now.monotonic - 1;
	settled = settle(&thread, "do_restart_poll");
	assert_regs(&settled.regs, SYS_poll, IP - 2);
	ASSERT_EQ_U64(settled.regs.dx, 0);
	thread.restart.expires = UINT64_MAX;
	ASSERT_EQ_U64(settle(&thread, "do_restart_poll").regs.dx, INT32_MAX);
	thread.restart.armed = 0; /* without limit */
	thread.regs.dx = UINT64_MAX;
	ASSERT_EQ_U64(settle(&thread, "do_restart_poll").regs.dx, UINT64_MAX);
	assert_again(&thread, "do_restart_poll", SYS_poll);
	thread.regs.orig_ax = 168; /* that of 32-bit programs */
	assert_returned(&thread, "do_restart_poll", -EINTR);
}

OVM_TEST(settle_held, a_sleep_goes_on_with_its_rest)
{
	struct ovm_rec_thread thread = restarted(SYS_nanosleep);
	struct ovm_settled settled;

	no_signals();
	thread.regs.di = 0x6000;
	settled = settle(&thread, "hrtimer_nanosleep_restart");
	assert_timed(&settled, SYS_nanosleep, DEAD);
	ASSERT_EQ_U64(settled.regs.di, DEAD);
	ASSERT_EQ_U64(settled.patch.otherwise.di, 0x6000);
	/* Where the rest is told anyway. */
	thread.regs.si = thread.restart_rmtp = 0x7000;
	settled = settle(&thread, "hrtimer_nanosleep_restart");
	assert_timed(&settled, SYS_nanosleep, 0x7000);
	ASSERT_EQ_U64(settled.regs.di, 0x7000);
	thread.regs.di = 0x7000; /* request and rest are one: no register changes */
	settled = settle(&thread, "hrtimer_nanosleep_restart");
	assert_timed(&settled, SYS_nanosleep, 0x7000);
	ASSERT_EQ_U64(settled.regs.di, thread.regs.di);
	/* The kernel's idea of that place is another one. */
	thread.regs.si = 0x8000;
	assert_returned(&thread, "hrtimer_nanosleep_restart", -EINTR);
}

OVM_TEST(settle_held, a_sleep_on_a_clock_goes_on)
{
	struct ovm_rec_thread thread = restarted(SYS_clock_nanosleep);
	struct ovm_settled settled;

	no_signals();
	thread.regs.di = CLOCK_BOOTTIME;
	thread.regs.dx = 0x6000;
	thread.restart.clock = CLOCK_BOOTTIME;
	thread.restart.expires = now.boottime + 5 * S / 2;
	settled = settle(&thread, "hrtimer_nanosleep_restart");
	assert_timed(&settled, SYS_clock_nanosleep, DEAD);
	ASSERT_EQ_U64(settled.regs.dx, DEAD);
	ASSERT_EQ_U64(settled.regs.di, CLOCK_BOOTTIME);
	settled = settle(&thread, "alarm_timer_nsleep_restart");
	assert_timed(&settled, SYS_clock_nanosleep, DEAD);
	thread.restart.expires = now.boottime - 1;
	assert_patched(&settled.patch, DEAD, 2, S / 2);
	settled = settle(&thread, "hrtimer_nanosleep_restart");
	assert_patched(&settled.patch, DEAD, 0, 0);
	/* Until a point in time: the kernel says so by its code. */
	thread = held(SYS_clock_nanosleep, -ERESTARTNOHAND);
	thread.regs.si = TIMER_ABSTIME;
	assert_again(&thread, NULL, SYS_clock_nanosleep);
}

OVM_TEST(settle_held, a_sleep_that_went_on_once_goes_on_again)
{
	struct ovm_rec_thread thread = restarted(SYS_restart_syscall);
	struct ovm_settled settled;

	no_signals();
	thread.regs.di = 0x10000;
	settled = settle(&thread, "hrtimer_nanosleep_restart");
	assert_timed(&settled, SYS_nanosleep, DEAD);
	thread.regs.di = CLOCK_TAI;
	thread.regs.dx = 0x10000;
	settled = settle(&thread, "hrtimer_nanosleep_restart");
	assert_timed(&settled, SYS_clock_nanosleep, DEAD);
	ASSERT_EQ_U64(settled.regs.dx, DEAD);
}

OVM_TEST(settle_held, a_handler_is_told_the_rest)
{
	struct ovm_rec_signal pending = {.signo = SIGUSR1};
	struct ovm_rec_thread thread = restarted(SYS_nanosleep);
	struct ovm_settled settled;

	no_signals();
	handle(SIGUSR1, SA_RESTART);
	thread.pending = &pending;
	thread.regs.si = thread.restart_rmtp = 0x7000;
	settled = settle(&thread, "hrtimer_nanosleep_restart");
	assert_regs(&settled.regs, (uint64_t)-EINTR, IP);
	assert_patched(&settled.patch, 0x7000, 2, S / 2);
	ASSERT_FALSE(settled.patch.needed);
	thread.regs.si = thread.restart_rmtp = 0;
	settled = settle(&thread, "hrtimer_nanosleep_restart");
	assert_regs(&settled.regs, (uint64_t)-EINTR, IP);
	ASSERT_EQ_U64(settled.patch.address, 0);
	assert_returned(&thread, "futex_wait_restart", -EINTR);
	assert_returned(&thread, "do_restart_poll", -EINTR);
	assert_returned(&thread, "posix_cpu_nsleep_restart", -EINTR);
}

OVM_TEST(settle_held, futex_by_operation)
{
	struct ovm_rec_thread thread = restarted(SYS_futex);
	struct ovm_settled settled;

	no_signals();
	thread.regs.r10 = 0x7000;
	thread.regs.si = FUTEX_WAIT | FUTEX_PRIVATE_FLAG;
	settled = settle(&thread, "futex_wait_restart");
	assert_timed(&settled, SYS_futex, DEAD);
	ASSERT_EQ_U64(settled.regs.r10, DEAD);
	thread.regs.orig_ax = SYS_restart_syscall;
	settled = settle(&thread, "futex_wait_restart");
	assert_timed(&settled, SYS_futex, DEAD);
	thread.regs.si = FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME;
	settled = settle(&thread, "futex_wait_restart");
	assert_regs(&settled.regs, SYS_futex, IP - 2);
	ASSERT_EQ_U64(settled.regs.r10, 0x7000);
	ASSERT_EQ_U64(settled.patch.address, 0);
	thread.regs.si = FUTEX_LOCK_PI;
	assert_returned(&thread, "futex_wait_restart", -EINTR);
}

OVM_TEST(settle_held, consumed_time_stands_still)
{
	struct ovm_rec_thread thread = restarted(SYS_clock_nanosleep);
	struct ovm_settled settled;

	no_signals();
	thread.restart.armed = 0;
	thread.regs.di = (uint64_t)-6;
	thread.regs.dx = 0x6000;
	thread.regs.r10 = thread.restart_rmtp = 0x7000;
	settled = settle(&thread, "posix_cpu_nsleep_restart");
	assert_regs(&settled.regs, SYS_clock_nanosleep, IP - 2);
	ASSERT_EQ_U64(settled.regs.dx, 0x7000);
	ASSERT_EQ_U64(settled.patch.address, 0);
	thread.regs.r10 = thread.restart_rmtp = 0;
	assert_returned(&thread, "posix_cpu_nsleep_restart", -EINTR);
}

OVM_TEST(settle_held, restart_blocks_that_are_not_known)
{
	struct ovm_rec_thread thread = restarted(SYS_nanosleep);

	no_signals();
	assert_returned(&thread, NULL, -EINTR);
	assert_returned(&thread, "do_no_restart_syscall", -EINTR);
	thread.restart.armed = 0;
	assert_returned(&thread, "hrtimer_nanosleep_restart", -EINTR);
	thread.regs.si = FUTEX_WAIT;
	thread.regs.orig_ax = SYS_futex;
	assert_returned(&thread, "futex_wait_restart", -EINTR);
}

OVM_TEST(settle_held, arguments_that_may_be_needed_are_kept)
{
	struct ovm_rec_thread thread = restarted(SYS_nanosleep);
	struct ovm_settled settled;

	no_signals();
	memcpy(code, "\x83\x3d\x00\x00\x00\x00\x00\x74", sizeof(code)); /* cmpl $0,stop; je */
	thread.regs.di = 0x6000;
	assert_returned(&thread, "hrtimer_nanosleep_restart", -EINTR);
	/* The rest is told. */
	thread.regs.si = thread.restart_rmtp = 0x7000;
	settled = settle(&thread, "hrtimer_nanosleep_restart");
	assert_regs(&settled.regs, (uint64_t)-EINTR, IP);
	assert_patched(&settled.patch, 0x7000, 2, S / 2);
	ASSERT_FALSE(settled.patch.needed);
	/* Nothing changes but what the kernel changes, too. */
	thread.regs.di = 0x7000;
	settled = settle(&thread, "hrtimer_nanosleep_restart");
	assert_timed(&settled, SYS_nanosleep, 0x7000);
	thread.regs.si = FUTEX_WAIT;
	thread.regs.orig_ax = SYS_futex;
	assert_returned(&thread, "futex_wait_restart", -EINTR);
	thread.regs.orig_ax = SYS_poll;
	assert_returned(&thread, "do_restart_poll", -EINTR);
	thread.restart.armed = 0;
	assert_again(&thread, "do_restart_poll", SYS_poll);
}

OVM_TEST(settle_held, functions_of_libraries_are_known)
{
	static const char *const after[] = {
		"\xc3",			    /* ret */
		"\x48\x3d\x01\xf0\xff\xff", /* cmp $-4095,%rax */
		"\x3d\x01\xf0\xff\xff",	    /* cmp $-4095,%eax */
		"\x48\x85\xc0",
		"\x85\xc0",	/* test */
		"\xf7\xd8",	/* neg %eax */
		"\x44\x89\xc7", /* mov %r8d,%edi */
		"\x48\x89\xc7",
		"\x89\x44\x24\x28", /* mov %rax,%rdi; mov %eax,40(%rsp) */
	};
	static const char *const others[] = {"\x89\xf8", "\x48\x89\x3c\x24", "\x90", ""};
	struct ovm_rec_thread thread = restarted(SYS_nanosleep);

	for (size_t i = 0; i < sizeof(after) / sizeof(*after); i++) {
		no_signals();
		memset(code, 0, sizeof(code));
		memcpy(code, after[i], strlen(after[i]));
		assert_again(&thread, "hrtimer_nanosleep_restart", SYS_nanosleep);
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		memset(code, 0, sizeof(code));
		memcpy(code, others[i], strlen(others[i]));
		assert_returned(&thread, "hrtimer_nanosleep_restart", -EINTR);
	}
}

/* Saved memory that ends at an address. */
static struct ovm_error *write_below(void *arg, const struct ovm_rec_process *process,
				     uint64_t address, const void *bytes, size_t len, bool *done)
{
	*done = address + len <= *(const uint64_t *)arg;
	return NULL;
}

OVM_TEST(settle_held, what_is_not_saved_is_not_counted_on)
{
	struct ovm_rec_thread rec = {.tid = 1};
	struct ovm_image_thread threads[3] = {{.rec = &rec}, {.rec = &rec}, {.rec = &rec}};
	struct ovm_settle_patch patches[3] = {
		{.address = 0x1000, .len = 16, .needed = true, .otherwise = {.ax = 1}},
		{.address = 0x2000, .len = 16, .needed = true, .otherwise = {.ax = 2}},
		{.address = 0x2000, .len = 16, .otherwise = {.ax = 3}},
	};
	const struct ovm_rec_process process_rec = {.pid = 1};
	struct ovm_state_process process = {
		.rec = &process_rec, .threads = threads, .patches = patches, .nr_threads = 3};
	struct ovm_state state = {.processes = &process, .nr_processes = 1};
	struct ovm ovm = {0};
	uint64_t end = 0x2000;

	ASSERT_OK(ovm_state_apply_patches(&ovm, &state, write_below, &end));
	ASSERT_EQ_U64(threads[0].regs.ax, 0);
	ASSERT_EQ_U64(threads[1].regs.ax, 2);
	ASSERT_EQ_U64(threads[2].regs.ax, 0);
}
