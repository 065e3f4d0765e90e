// SPDX-License-Identifier: GPL-2.0-only
/*
 * Threads: where they are, their registers, what the kernel was told of them.
 */
#include <linux/sched/task_stack.h>
#include <asm/ptrace.h>
#include <asm/switch_to.h>

#include "extract.h"

/* 2f064a59a11f ("sched: Change task_struct::state", v5.14) renamed it and made it an int. */
struct task_struct___state {
	volatile long state;
};

/* bcf9033e5449 ("sched: move CPU field back into thread_info if THREAD_INFO_IN_TASK=y", v5.16). */
struct task_struct___cpu {
	unsigned int cpu;
};

/* By v7.2, what futexes need of a task is a structure of its own. */
struct futex_sched_data___ovm {
	struct robust_list_head *robust_list;
};

struct task_struct___futex {
	struct futex_sched_data___ovm futex;
};

/* ee3e3ac05c26 ("rseq: Introduce extensible rseq ABI", v6.3). */
struct task_struct___rseq_len {
	u32 rseq_len;
};

/* faba9d250eae ("rseq: Introduce struct rseq_data", v6.19). */
struct rseq_data___ovm {
	struct rseq *usrptr;
	u32 len;
	u32 sig;
};

struct task_struct___rseq_data {
	struct rseq_data___ovm rseq;
};

struct rseq_data; /* asked for by name only */

/* Until after v6.18, the end of a poll was kept as two numbers, tv_sec and tv_nsec. */
struct restart_block___end_time {
	struct {
		struct timespec64 end_time;
	} poll;
};

enum {
	DEFAULT_THREAD_SIZE = 16 << 10,
	USER_CS = 0x33,
	USER32_CS = 0x23,
	ORIG_RSEQ_SIZE = 32,
	/* Words at the top of a stack that are looked at for return addresses. */
	WCHAN_WORDS = 256,
	MAX_THREADS = 1 << 20,
	MAX_GENERATIONS = 1024,
	/* Bytes of a function that are looked at. */
	MAX_TEXT = 256,
};

LLV_SHARED pid_t ovm_pid_nr(const struct pid *pid)
{
	return pid ? pid->numbers[0].nr : 0;
}

LLV_SHARED pid_t ovm_pid_vnr(const struct pid *pid)
{
	if (!pid)
		return 0;
	const struct upid *numbers = pid->numbers;

	return numbers[pid->level].nr;
}

LLV_SHARED struct pid_namespace *ovm_task_pid_ns(const struct task_struct *p)
{
	const struct pid *pid = p->thread_pid;

	if (!pid)
		return NULL;
	const struct upid *numbers = pid->numbers;

	return numbers[pid->level].ns;
}

LLV_SHARED unsigned int ovm_task_state(const struct task_struct *p)
{
	if (llv_field_exists(struct task_struct, __state))
		return p->__state;
	return ((const struct task_struct___state *)p)->state;
}

/*
 * The bit that a function sets in its task's flags: "lock orb $imm8, disp(reg)", f0 80 /1 ib. Bytes
 * of the text are looked at one by one; what lies in between may look alike, so that two functions
 * are asked.
 */
static unsigned int flag_set_by(u64 function)
{
	for (unsigned int i = 0; function && i < MAX_TEXT; i++) {
		u64 at = function + i;

		if (llv_load_u8(at) != 0xf0)
			continue;
		at += 1 + ((llv_load_u8(at + 1) & 0xf0) == 0x40);
		u8 modrm = llv_load_u8(at + 1), mod = modrm >> 6;

		if (llv_load_u8(at) != 0x80 || (modrm >> 3 & 7) != 1 || mod == 3)
			continue;
		at += 2 + ((modrm & 7) == 4) + (mod == 1 ? 1 : mod == 2 ? 4 : 0);
		return llv_load_u8(at);
	}
	return 0;
}

/*
 * da3f033a9fbf ("x86: Use generic TIF bits", v6.18) took TIF_SIGPENDING from bit 2 to bit 1. Types
 * don't tell before v6.19, which has struct rseq_data (faba9d250eae), but the text does.
 */
LLV_SHARED bool ovm_has_generic_flags(void)
{
	unsigned int flag = flag_set_by(llv_symbol("signal_wake_up_state"));

	if ((flag == 1 << 1 || flag == 1 << 2) &&
	    flag == flag_set_by(llv_symbol("calculate_sigpending")))
		return flag == 1 << 1;
	return llv_type_exists(struct rseq_data);
}

LLV_SHARED unsigned int ovm_task_cpu(const struct task_struct *p)
{
	if (llv_field_exists(struct thread_info, cpu))
		return p->thread_info.cpu;
	if (llv_field_exists(struct task_struct___cpu, cpu))
		return ((const struct task_struct___cpu *)p)->cpu;
	return 0;
}

LLV_SHARED struct task_struct *ovm_find_leader(pid_t tgid)
{
	struct task_struct *p;

	for_each_process(p)
		if (p->tgid == tgid)
			return p->group_leader;
	return NULL;
}

LLV_SHARED bool ovm_in_tree(const struct task_struct *p, pid_t root)
{
	for (unsigned int i = 0; i < MAX_GENERATIONS && p->tgid; i++) {
		if (p->tgid == root)
			return true;
		p = p->real_parent;
	}
	return false;
}

/* A leader that has ended stays the first of its group until the last one has. */
LLV_SHARED bool ovm_is_zombie(const struct task_struct *leader)
{
	return leader->exit_state && leader->thread_node.next == leader->thread_node.prev;
}

/*
 * The symbols around the first stack tell the size of all of them, which depends on the kernel's
 * configuration (KASAN doubles it). They were renamed by 8f69cba096b5 ("x86: Rename
 * __{start,end}_init_task to __{start,end}_init_stack", v6.10).
 */
static unsigned long thread_size(void)
{
	u64 start = llv_symbol("__start_init_stack"), end = llv_symbol("__end_init_stack");

	if (!start || !end) {
		start = llv_symbol("__start_init_task");
		end = llv_symbol("__end_init_task");
	}
	if (!start || end <= start || end - start > (1 << 20) || (end - start) & (PAGE_SIZE - 1))
		return DEFAULT_THREAD_SIZE;
	return end - start;
}

/*
 * Registers lie at the top of the stack, below a padding that is there if the kernel was built with
 * FRED: 65c9cc9e2c14 ("x86/fred: Reserve space for the FRED stack frame", v6.9).
 */
static const struct pt_regs *user_regs(const struct task_struct *p)
{
	unsigned long padding = llv_symbol_exists("asm_fred_entrypoint_user") ? 16 : 0;

	return (const struct pt_regs *)((unsigned long)p->stack + thread_size() - padding -
					llv_sizeof(struct pt_regs));
}

/* With FRED, the upper bits of the words of cs and ss hold other things (v6.9). */
static void extract_regs(const struct pt_regs *from, struct ovm_rec_regs __host *to)
{
	to->r15 = from->r15;
	to->r14 = from->r14;
	to->r13 = from->r13;
	to->r12 = from->r12;
	to->bp = from->bp;
	to->bx = from->bx;
	to->r11 = from->r11;
	to->r10 = from->r10;
	to->r9 = from->r9;
	to->r8 = from->r8;
	to->ax = from->ax;
	to->cx = from->cx;
	to->dx = from->dx;
	to->si = from->si;
	to->di = from->di;
	to->orig_ax = from->orig_ax;
	to->ip = from->ip;
	to->cs = llv_load_u16(&from->cs);
	to->flags = from->flags;
	to->sp = from->sp;
	to->ss = llv_load_u16(&from->ss);
}

/*
 * An entry other than by a system call leaves a negative number in orig_ax (asm/entry_64.S): that
 * is how the kernel itself tells (arch_do_signal_or_restart()).
 */
static void classify(const struct task_struct *p, struct ovm_rec_thread __host *t)
{
	t->on_cpu = p->on_cpu != 0;
	t->on_rq = p->on_rq != 0;
	if (t->on_cpu)
		t->where = OVM_REC_ON_CPU;
	else if ((__s64)t->regs.orig_ax >= 0)
		t->where = OVM_REC_IN_SYSCALL;
	else
		t->where = OVM_REC_INTERRUPTED;
}

static bool is_kernel_text(u64 address)
{
	return address >= llv_symbol("_stext") && address < llv_symbol("_etext");
}

/* Functions that only wait; in_sched_functions() of kernel/sched/core.c. */
static bool is_waiting_text(u64 address)
{
	return (address >= llv_symbol("__sched_text_start") &&
		address < llv_symbol("__sched_text_end")) ||
	       (address >= llv_symbol("__lock_text_start") &&
		address < llv_symbol("__lock_text_end"));
}

/* Whether a call instruction ends at @address: call rel32, or call through a register. */
static bool follows_call(u64 address)
{
	return llv_load_u8(address - 5) == 0xe8 ||
	       (llv_load_u8(address - 2) == 0xff && (llv_load_u8(address - 1) & 0xf8) == 0xd0);
}

/*
 * The first return address on the stack that does not lead to the scheduler. There is no unwinding:
 * a stale word may be taken for one, so that it is good for messages only.
 */
LLV_SHARED __u64 ovm_wait_channel(const struct task_struct *p)
{
	u64 sp = p->thread.sp, top = (unsigned long)p->stack + thread_size();

	if (sp < (unsigned long)p->stack || sp & 7)
		return 0;
	for (unsigned int i = 0; i < WCHAN_WORDS && sp + 8 <= top; i++, sp += 8) {
		u64 word = llv_load_u64(sp);

		if (is_kernel_text(word) && !is_waiting_text(word) && follows_call(word))
			return word;
	}
	return 0;
}

/* What PTRACE_GETSIGMASK reports: the mask to be restored, where a temporary one is in force. */
static void signal_mask(const struct task_struct *p, struct ovm_rec_thread __host *t)
{
	t->mask_in_force = p->blocked.sig[0];
	t->restore_sigmask = p->restore_sigmask;
	t->saved_sigmask = p->saved_sigmask.sig[0];
	t->real_blocked = p->real_blocked.sig[0];
	t->blocked = t->restore_sigmask ? t->saved_sigmask : p->blocked.sig[0];
}

static void restart_until(struct ovm_rec_sleep __host *rec, __s32 clock, u64 expires)
{
	rec->armed = 1;
	rec->clock = clock;
	rec->expires = rec->soft_expires = expires;
}

static void restart_poll(const struct restart_block *block, struct ovm_rec_sleep __host *rec)
{
	const struct restart_block___end_time *new = (const void *)block;
	u64 sec, nsec;

	if (!block->poll.has_timeout)
		return;
	if (llv_field_exists(struct restart_block___end_time, poll.end_time)) {
		sec = new->poll.end_time.tv_sec;
		nsec = new->poll.end_time.tv_nsec;
	} else {
		sec = block->poll.tv_sec;
		nsec = block->poll.tv_nsec;
	}
	restart_until(rec, CLOCK_MONOTONIC, sec * NSEC_PER_SEC + nsec);
}

/*
 * Which member of the union is valid, and on which clock it counts, follows from the function. The
 * waits of futexes that get here count on CLOCK_MONOTONIC, or take a point in time anyway.
 */
static void restart_end(const struct restart_block *block, struct ovm_rec_sleep __host *rec)
{
	u64 fn = OVM_IDENTITY(block->fn);

	if (!fn)
		return;
	if (fn == llv_symbol("do_restart_poll"))
		restart_poll(block, rec);
	else if (fn == llv_symbol("futex_wait_restart"))
		restart_until(rec, CLOCK_MONOTONIC, block->futex.time);
	else if (fn == llv_symbol("hrtimer_nanosleep_restart"))
		restart_until(rec, block->nanosleep.clockid, block->nanosleep.expires);
	else if (fn == llv_symbol("alarm_timer_nsleep_restart"))
		/* There it is a number of enum alarmtimer_type. */
		restart_until(rec, block->nanosleep.clockid ? CLOCK_BOOTTIME : CLOCK_REALTIME,
			      block->nanosleep.expires);
}

static void restart(const struct task_struct *p, struct ovm_rec_thread __host *t)
{
	t->restart_fn = OVM_IDENTITY(p->restart_block.fn);
	if (p->restart_block.nanosleep.type == TT_NATIVE)
		t->restart_rmtp = OVM_IDENTITY(p->restart_block.nanosleep.rmtp);
	restart_end(&p->restart_block, &t->restart);
}

LLV_SHARED void ovm_thread_state(struct task_struct *p, struct ovm_rec_thread __host *t)
{
	t->task = OVM_IDENTITY(p);
	t->tid = p->pid;
	t->tgid = p->tgid;
	t->vtid = ovm_pid_vnr(p->thread_pid);
	llv_strcpy(t->comm, p->comm);
	t->state = ovm_task_state(p);
	t->exit_state = p->exit_state;
	t->jobctl = p->jobctl;
	/* 76f969e8948d ("cgroup: cgroup v2 freezer", v5.2). */
	if (llv_field_exists(struct task_struct, frozen))
		t->frozen = p->frozen;
	t->flags = p->flags;
	t->ptrace = p->ptrace;
	t->cpu = ovm_task_cpu(p);
	t->tif_flags = p->thread_info.flags;
	t->regs_address = OVM_IDENTITY(user_regs(p));
	t->kernel_sp = p->thread.sp;
	extract_regs(user_regs(p), &t->regs);
	t->compat = t->regs.cs == USER32_CS;
	classify(p, t);
	if (!t->on_cpu) {
		t->wchan = ovm_wait_channel(p);
		ovm_sleeper(p, t);
	}
	restart(p, t);
	signal_mask(p, t);
	t->mm = OVM_IDENTITY(p->mm);
	t->files = OVM_IDENTITY(p->files);
	t->fs = OVM_IDENTITY(p->fs);
	t->sighand = OVM_IDENTITY(p->sighand);
	t->nsproxy = OVM_IDENTITY(p->nsproxy);
}

static void segments(const struct task_struct *p, struct ovm_rec_thread __host *t)
{
	t->fs_base = p->thread.fsbase;
	t->gs_base = p->thread.gsbase;
	t->seg_ds = p->thread.ds;
	t->seg_es = p->thread.es;
	t->seg_fs = p->thread.fsindex;
	t->seg_gs = p->thread.gsindex;
	for (unsigned int i = 0; i < OVM_REC_NR_TLS; i++)
		t->tls[i] = llv_load_u64(&p->thread.tls_array[i]);
}

static void rseq_area(const struct task_struct *p, struct ovm_rec_thread __host *t)
{
	if (llv_type_exists(struct rseq_data)) {
		const struct task_struct___rseq_data *new = (const void *)p;

		t->rseq = OVM_IDENTITY(new->rseq.usrptr);
		t->rseq_len = new->rseq.len;
		t->rseq_sig = new->rseq.sig;
	} else if (llv_field_exists(struct task_struct, rseq)) {
		t->rseq = OVM_IDENTITY(p->rseq);
		t->rseq_sig = p->rseq_sig;
		t->rseq_len = ORIG_RSEQ_SIZE;
		if (llv_field_exists(struct task_struct___rseq_len, rseq_len))
			t->rseq_len = ((const struct task_struct___rseq_len *)p)->rseq_len;
	}
	if (!t->rseq)
		t->rseq_len = 0;
}

static u64 robust_list(const struct task_struct *p)
{
	if (llv_field_exists(struct task_struct___futex, futex.robust_list))
		return OVM_IDENTITY(((const struct task_struct___futex *)p)->futex.robust_list);
	return OVM_IDENTITY(p->robust_list);
}

static void user_areas(const struct task_struct *p, struct ovm_rec_thread __host *t)
{
	t->clear_child_tid = OVM_IDENTITY(p->clear_child_tid);
	t->set_child_tid = OVM_IDENTITY(p->set_child_tid);
	t->robust_list = robust_list(p);
	t->sas_sp = p->sas_ss_sp;
	t->sas_size = p->sas_ss_size;
	t->sas_flags = p->sas_ss_flags;
	rseq_area(p, t);
}

/* Bits beyond the last CPU are set in masks of all CPUs, and mean nothing. */
static void affinity(const struct task_struct *p, struct ovm_rec_thread __host *t)
{
	const unsigned long *bits = p->cpus_mask.bits;
	unsigned int nr = ovm_nr_cpus();

	for (unsigned int i = 0; i < ARRAY_SIZE(t->cpus_allowed) && i * 64 < nr; i++) {
		__u64 word = llv_load_u64(&bits[i]);

		if (nr - i * 64 < 64)
			word &= (1ULL << (nr - i * 64)) - 1;
		t->cpus_allowed[i] = word;
	}
	t->nr_cpus_allowed = p->nr_cpus_allowed;
}

static void scheduling(const struct task_struct *p, struct ovm_rec_thread __host *t)
{
	t->policy = p->policy;
	t->nice = p->static_prio - DEFAULT_PRIO;
	t->rt_priority = p->rt_priority;
	t->dl_runtime = p->dl.dl_runtime;
	t->dl_deadline = p->dl.dl_deadline;
	t->dl_period = p->dl.dl_period;
	affinity(p, t);
}

/* Since 1446e1df9eb1 ("kernel: Implement selective syscall userspace redirection", v5.11). */
static bool user_dispatch(const struct task_struct *p)
{
	if (!llv_field_exists(struct thread_info, syscall_work) ||
	    !llv_enum_exists(enum syscall_work_bit, SYSCALL_WORK_BIT_SYSCALL_USER_DISPATCH))
		return false;
	return p->thread_info.syscall_work >>
		       llv_enum_value(enum syscall_work_bit,
				      SYSCALL_WORK_BIT_SYSCALL_USER_DISPATCH) &
	       1;
}

static void restrictions(const struct task_struct *p, struct ovm_rec_thread __host *t)
{
	if (llv_field_exists(struct seccomp, filter))
		t->seccomp_mode = p->seccomp.mode;
	t->user_dispatch_mode = user_dispatch(p);
	if (llv_field_exists(struct task_struct, io_uring))
		t->io_uring = OVM_IDENTITY(p->io_uring);
	ovm_thread_policy(p, t);
}

LLV_SHARED void ovm_thread_rest(struct task_struct *p, struct ovm_rec_thread __host *t)
{
	segments(p, t);
	ovm_thread_fpu(p, t);
	user_areas(p, t);
	t->pdeath_signal = p->pdeath_signal;
	t->pending = ovm_pending(&p->pending);
	scheduling(p, t);
	ovm_creds(p, &t->creds);
	restrictions(p, t);
}

/* It has no stack any more. */
LLV_SHARED struct ovm_rec_thread __host *ovm_zombie_thread(struct task_struct *leader)
{
	struct ovm_rec_thread __host *t = llv_new(struct ovm_rec_thread);

	t->task = OVM_IDENTITY(leader);
	t->tid = leader->pid;
	t->tgid = leader->tgid;
	t->vtid = ovm_pid_vnr(leader->thread_pid);
	llv_strcpy(t->comm, leader->comm);
	t->state = ovm_task_state(leader);
	t->exit_state = leader->exit_state;
	t->flags = leader->flags;
	t->ptrace = leader->ptrace;
	return t;
}

LLV_SHARED struct ovm_rec_thread __host *ovm_threads(struct task_struct *leader, bool all)
{
	struct ovm_rec_thread __host *first = NULL;
	struct ovm_rec_thread __host *last = NULL;
	struct task_struct *p;
	unsigned int nr = 0;

	/* The leader is the first of its group's list, always. */
	list_for_each_entry(p, &leader->signal->thread_head, thread_node) {
		struct ovm_rec_thread __host *t = llv_new(struct ovm_rec_thread);

		if (p->group_leader != leader || ++nr > MAX_THREADS)
			llv_fail(LLV_CORRUPT, p, "list of threads leads out of the group");
		ovm_thread_state(p, t);
		if (all) {
			ovm_thread_rest(p, t);
			if (t->seccomp_mode)
				t->seccomp = ovm_seccomp(p, first, last);
		}
		if (last)
			last->next = t;
		else
			first = t;
		last = t;
	}
	return first;
}
