// SPDX-License-Identifier: GPL-2.0-only
/* Where threads were when the VM was paused, and what is made of it. */
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>

#include "host/settle.h"
#include "test.h"

enum { IP = 0x401000 };

static const struct ovm_settle_clock now = {
	.monotonic = 100 * UINT64_C(1000000000),
	.boottime = 200 * UINT64_C(1000000000),
	.realtime = 300 * UINT64_C(1000000000),
};

/* A thread that sleeps interruptibly in a system call. */
static struct ovm_rec_thread sleeper(uint64_t nr)
{
	return (struct ovm_rec_thread){
		.state = 1,
		.where = OVM_REC_IN_SYSCALL,
		.regs = {.orig_ax = nr, .ax = (uint64_t)-ENOSYS, .ip = IP},
		.kernel_sp = 0x1000,
		.regs_address = 0x2000,
	};
}

static void assert_called_again(const struct ovm_rec_thread *thread)
{
	struct ovm_settled settled;

	ASSERT_TRUE(!ovm_settle_thread(thread, NULL, &now, NULL, &settled));
	ASSERT_EQ_U64(settled.regs.ax, thread->regs.orig_ax);
	ASSERT_EQ_U64(settled.regs.ip, IP - 2);
	ASSERT_EQ_U64(settled.regs.orig_ax, UINT64_MAX);
}

static void assert_interrupted(const struct ovm_rec_thread *thread)
{
	struct ovm_settled settled;

	ASSERT_TRUE(!ovm_settle_thread(thread, NULL, &now, NULL, &settled));
	ASSERT_EQ_U64(settled.regs.ax, (uint64_t)-EINTR);
	ASSERT_EQ_U64(settled.regs.ip, IP);
}

static void assert_not_now(const struct ovm_rec_thread *thread, const char *why)
{
	struct ovm_settled settled;

	ASSERT_STREQ(ovm_settle_thread(thread, NULL, &now, NULL, &settled), why);
}

OVM_TEST(settle, waits_without_limit_are_called_again)
{
	static const uint64_t calls[] = {SYS_pause, SYS_rt_sigsuspend, SYS_wait4, SYS_waitid,
					 SYS_rt_sigtimedwait};

	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		struct ovm_rec_thread thread = sleeper(calls[i]);

		assert_called_again(&thread);
	}
}

OVM_TEST(settle, masks_that_calls_put_aside_come_back)
{
	struct ovm_rec_thread thread = sleeper(SYS_rt_sigsuspend);
	struct ovm_settled settled;

	thread.blocked = 1;
	thread.saved_sigmask = 2;
	thread.real_blocked = 4;
	ovm_settle_thread(&thread, NULL, &now, NULL, &settled);
	ASSERT_EQ_U64(settled.blocked, 2);
	thread.regs.orig_ax = SYS_rt_sigtimedwait;
	ovm_settle_thread(&thread, NULL, &now, NULL, &settled);
	ASSERT_EQ_U64(settled.blocked, 4);
	thread.regs.orig_ax = SYS_ppoll;
	ovm_settle_thread(&thread, NULL, &now, NULL, &settled);
	ASSERT_EQ_U64(settled.blocked, 1);
}

OVM_TEST(settle, poll_is_called_again_only_without_timeout)
{
	struct ovm_rec_thread thread = sleeper(SYS_poll);

	thread.regs.dx = UINT32_MAX;
	assert_called_again(&thread);
	thread.regs.dx = 1000;
	assert_interrupted(&thread);
}

OVM_TEST(settle, sleep_is_interrupted_with_the_time_left)
{
	struct ovm_rec_thread thread = sleeper(SYS_nanosleep);
	struct ovm_settled settled;
	uint64_t left[2];

	thread.regs.si = 0x7000;
	thread.sleep.armed = 1;
	thread.sleep.clock = CLOCK_MONOTONIC;
	thread.sleep.soft_expires = now.monotonic + UINT64_C(2500000000);
	assert_interrupted(&thread);
	ovm_settle_thread(&thread, NULL, &now, NULL, &settled);
	ASSERT_EQ_U64(settled.patch.address, 0x7000);
	ASSERT_EQ_U64(settled.patch.len, sizeof(left));
	memcpy(left, settled.patch.bytes, sizeof(left));
	ASSERT_EQ_U64(left[0], 2);
	ASSERT_EQ_U64(left[1], 500000000);
}

OVM_TEST(settle, sleep_without_place_for_the_rest_writes_nothing)
{
	struct ovm_rec_thread thread = sleeper(SYS_nanosleep);
	struct ovm_settled settled;

	thread.sleep.armed = 1;
	thread.sleep.soft_expires = now.monotonic + 1;
	ovm_settle_thread(&thread, NULL, &now, NULL, &settled);
	ASSERT_EQ_U64(settled.patch.address, 0);
}

OVM_TEST(settle, sleep_until_a_point_in_time_is_called_again)
{
	struct ovm_rec_thread thread = sleeper(SYS_clock_nanosleep);

	thread.regs.si = TIMER_ABSTIME;
	assert_called_again(&thread);
	thread.regs.si = 0;
	assert_interrupted(&thread);
}

OVM_TEST(settle, select_is_called_again_with_the_time_left)
{
	struct ovm_rec_thread thread = sleeper(SYS_select);
	struct ovm_settled settled;
	uint64_t left[2];

	thread.regs.r8 = 0x7000;
	thread.sleep.armed = 1;
	thread.sleep.clock = CLOCK_MONOTONIC;
	thread.sleep.soft_expires = now.monotonic + UINT64_C(1250000000);
	assert_called_again(&thread);
	ovm_settle_thread(&thread, NULL, &now, NULL, &settled);
	memcpy(left, settled.patch.bytes, sizeof(left));
	ASSERT_EQ_U64(left[0], 1);
	ASSERT_EQ_U64(left[1], 250000);
}

OVM_TEST(settle, futex_by_operation)
{
	struct ovm_rec_thread thread = sleeper(SYS_futex);

	thread.regs.si = FUTEX_WAIT | FUTEX_PRIVATE_FLAG;
	assert_called_again(&thread);
	thread.regs.r10 = 0x7000;
	assert_interrupted(&thread);
	thread.regs.si = FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME;
	assert_called_again(&thread);
	thread.regs.si = FUTEX_CMP_REQUEUE;
	assert_not_now(&thread, "sleeps in a futex operation that can't be taken up again");
}

OVM_TEST(settle, calls_with_progress_are_not_taken)
{
	struct ovm_rec_thread thread = sleeper(SYS_write);

	assert_not_now(&thread,
		       "sleeps in a system call that can't be taken up again from outside");
	thread.regs.orig_ax = 100000;
	assert_not_now(&thread,
		       "sleeps in a system call that can't be taken up again from outside");
}

OVM_TEST(settle, restart_block_tells_which_call_it_was)
{
	struct ovm_rec_thread thread = sleeper(SYS_restart_syscall);
	struct ovm_settled settled;

	assert_not_now(&thread, "sleeps in a restarted call of unknown kind");
	thread.restart_rmtp = 0x7000;
	thread.sleep.armed = 1;
	thread.sleep.clock = CLOCK_MONOTONIC;
	thread.sleep.soft_expires = now.monotonic + 5;
	ASSERT_TRUE(!ovm_settle_thread(&thread, NULL, &now, "hrtimer_nanosleep_restart", &settled));
	ASSERT_EQ_U64(settled.regs.ax, (uint64_t)-EINTR);
	ASSERT_EQ_U64(settled.patch.address, 0x7000);
	ASSERT_TRUE(!ovm_settle_thread(&thread, NULL, &now, "futex_wait_restart", &settled));
	ASSERT_EQ_U64(settled.patch.address, 0);
}

OVM_TEST(settle, signals_and_other_sleeps_have_to_pass)
{
	struct ovm_rec_thread thread = sleeper(SYS_pause);

	thread.tif_flags = 1 << 2;
	assert_not_now(&thread, "is about to take a signal");
	thread = sleeper(SYS_pause);
	thread.state = 2;
	assert_not_now(&thread, "is in uninterruptible sleep");
	thread.state = 4;
	assert_not_now(&thread, "is stopped");
	thread.state = 0;
	assert_not_now(&thread, "was switched out inside the kernel");
}

OVM_TEST(settle, preempted_in_user_mode)
{
	struct ovm_rec_thread thread = sleeper((uint64_t)-1);
	struct ovm_settled settled;

	thread.where = OVM_REC_INTERRUPTED;
	thread.state = 0;
	thread.regs.ax = 42;
	thread.kernel_sp = thread.regs_address - 400;
	ASSERT_TRUE(!ovm_settle_thread(&thread, NULL, &now, NULL, &settled));
	ASSERT_EQ_U64(settled.regs.ax, 42);
	ASSERT_EQ_U64(settled.regs.ip, IP);
	ASSERT_FALSE(settled.fpu_in_vcpu);
}

OVM_TEST(settle, finished_call_is_restarted_as_the_kernel_would)
{
	struct ovm_rec_thread thread = sleeper(SYS_read);
	struct ovm_settled settled;

	thread.state = 0;
	thread.kernel_sp = thread.regs_address - 400;
	assert_not_now(&thread, "is about to run a system call");
	thread.regs.ax = (uint64_t)-512;
	assert_called_again(&thread);
	thread.regs.ax = (uint64_t)-516;
	assert_interrupted(&thread);
	thread.regs.ax = 1ULL << 63;
	ASSERT_TRUE(!ovm_settle_thread(&thread, NULL, &now, NULL, &settled));
	thread.regs.ax = 17;
	ASSERT_TRUE(!ovm_settle_thread(&thread, NULL, &now, NULL, &settled));
	ASSERT_EQ_U64(settled.regs.ax, 17);
}

OVM_TEST(settle, running_threads_need_their_cpu)
{
	struct ovm_rec_thread thread = sleeper(SYS_pause);
	struct ovm_settle_cpu cpu = {.user = false, .regs = {.ip = 0x1234}, .fs_base = 0x99};
	struct ovm_settled settled;

	thread.where = OVM_REC_ON_CPU;
	assert_not_now(&thread, "runs on a CPU whose state is not known");
	ASSERT_STREQ(ovm_settle_thread(&thread, &cpu, &now, NULL, &settled), "runs in the kernel");
	cpu.user = true;
	ASSERT_TRUE(!ovm_settle_thread(&thread, &cpu, &now, NULL, &settled));
	ASSERT_EQ_U64(settled.regs.ip, 0x1234);
	ASSERT_EQ_U64(settled.fs_base, 0x99);
	ASSERT_TRUE(settled.fpu_in_vcpu);
}

OVM_TEST(settle, critical_section_goes_to_its_abort_handler)
{
	const struct ovm_settle_rseq rseq = {true, 0x1000, 0x10, 0x5000};
	struct ovm_rec_regs regs = {.ip = 0x100f};

	ovm_settle_rseq(&rseq, &regs);
	ASSERT_EQ_U64(regs.ip, 0x5000);
	regs.ip = 0x1010;
	ovm_settle_rseq(&rseq, &regs);
	ASSERT_EQ_U64(regs.ip, 0x1010);
	regs.ip = 0xfff;
	ovm_settle_rseq(&rseq, &regs);
	ASSERT_EQ_U64(regs.ip, 0xfff);
}

OVM_TEST(settle, names_of_calls)
{
	ASSERT_STREQ(ovm_syscall_name(SYS_clock_nanosleep), "clock_nanosleep");
	ASSERT_TRUE(!ovm_syscall_name(-1));
	ASSERT_TRUE(!ovm_syscall_name(1 << 20));
}
