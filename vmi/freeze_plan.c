// SPDX-License-Identifier: GPL-2.0-only
#include "freeze_plan.h"

#include <stddef.h>
#include <string.h>

#include "ipi.h"

/* include/linux/sched.h, unchanged from v5.10 on. */
enum {
	STATE_INTERRUPTIBLE = 0x1,
	STATE_UNINTERRUPTIBLE = 0x2,
	STATE_STOPPED = 0x4,
	STATE_TRACED = 0x8,
	STATE_WAKEKILL = 0x100,
	/* PF_EXITING, PF_POSTCOREDUMP, PF_DUMPCORE, PF_SIGNALED: it dies, and would lose its core
	 * dump if it were disturbed. */
	FLAGS_DYING = 0x4 | 0x8 | 0x200 | 0x400,
};

/* include/linux/sched/jobctl.h: 76f969e8948d (v5.2), 31cae1eaae4f (v5.19). */
enum {
	TRAP_FREEZE = 1 << 23,
	PTRACE_FROZEN = 1 << 24,
	JOB_STOPPED = 1 << 26,
	JOB_TRACED = 1 << 27,
};

enum {
	SIGKILL_NUMBER = 9,
	SIGKILL_BIT = 1 << (SIGKILL_NUMBER - 1),
	SIGNAL_GROUP_EXIT = 0x4, /* include/linux/sched/signal.h */
	/* arch/x86/include/asm/irq_vectors.h; the guest's interrupt table was checked for it. */
	CALL_FUNCTION_SINGLE_VECTOR = 0xfb,
};

/** What is to be done about a thread. */
enum step {
	/* Nothing: it is where it should be. */
	STEP_DONE,
	/* Nothing: the kernel needs time. */
	STEP_WAIT,
	/* Not now: a lock is held. */
	STEP_BLOCKED,
	/* Wake it only. */
	STEP_WAKE,
	/* Change its flags, then wake it or interrupt its CPU if that is of use. */
	STEP_MARK,
};

/** What is read of a thread. */
struct view {
	uint64_t state, jobctl, tif_flags, pending;
	bool on_cpu, on_rq, frozen, exiting, exited, siglock_held, pi_lock_held;
};

static const char task_type[] = "struct task_struct", sighand_type[] = "struct sighand_struct",
		  signal_type[] = "struct signal_struct";

/* A member by the first of several names that the kernel has. */
static struct ovm_error *find_first(struct ovm_writer *writer, const char *type, const char *name,
				    const char *other, struct ovm_member *ret)
{
	struct ovm_error *err = ovm_writer_member(writer, type, name, ret);

	if (!err)
		return NULL;
	ovm_error_free(err);
	return ovm_writer_member(writer, type, other, ret);
}

struct ovm_error *ovm_freeze_members_find(struct ovm_writer *writer, struct ovm_freeze_members *ret)
{
	const struct {
		const char *type, *name, *other;
		struct ovm_member *member;
	} wanted[] = {
		/* 2f064a59a11f ("sched: Change task_struct::state", v5.14) */
		{task_type, "__state", "state", &ret->state},
		{task_type, "jobctl", NULL, &ret->jobctl},
		{task_type, "thread_info.flags", NULL, &ret->tif_flags},
		{task_type, "flags", NULL, &ret->pf_flags},
		{task_type, "exit_state", NULL, &ret->exit_state},
		{task_type, "on_cpu", NULL, &ret->on_cpu},
		{task_type, "on_rq", NULL, &ret->on_rq},
		{task_type, "frozen", NULL, &ret->frozen},
		{task_type, "pid", NULL, &ret->pid},
		{task_type, "start_time", NULL, &ret->start_time},
		{task_type, "sighand", NULL, &ret->sighand},
		{task_type, "pending.signal.sig[0]", NULL, &ret->pending},
		/* bcf9033e5449 ("sched: move CPU field back into thread_info", v5.16) */
		{task_type, "thread_info.cpu", "cpu", &ret->cpu},
		{signal_type, "flags", NULL, &ret->group_flags},
		{signal_type, "group_exit_code", NULL, &ret->group_exit_code},
		{signal_type, "group_stop_count", NULL, &ret->group_stop_count},
		{signal_type, "nr_threads", NULL, &ret->nr_threads},
		/* A sleeping lock in kernels for real time, which tells its owner. */
		{sighand_type, "siglock.rlock.raw_lock.val.counter", "siglock.lock.owner",
		 &ret->siglock},
		{task_type, "pi_lock.raw_lock.val.counter", NULL, &ret->pi_lock},
	};

	for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
		struct ovm_error *err =
			wanted[i].other ? find_first(writer, wanted[i].type, wanted[i].name,
						     wanted[i].other, wanted[i].member)
					: ovm_writer_member(writer, wanted[i].type, wanted[i].name,
							    wanted[i].member);

		if (err)
			return ovm_error_prepend(err, "the guest's kernel can't freeze threads "
						      "from outside");
	}
	return NULL;
}

/* ---- looking -------------------------------------------------------------------------------- */

static uint64_t get(const struct ovm_freeze_thread *t, const struct ovm_member *member)
{
	return ovm_object_load(&t->task, member);
}

static bool is_same(const struct ovm_freeze_plan *plan, const struct ovm_freeze_thread *t)
{
	return get(t, &plan->members.pid) == (uint32_t)t->tid &&
	       get(t, &plan->members.start_time) == t->start_time;
}

static bool has_sighand(const struct ovm_freeze_plan *plan, const struct ovm_freeze_thread *t)
{
	return get(t, &plan->members.sighand) == t->sighand.address;
}

static void view_thread(const struct ovm_freeze_plan *plan, const struct ovm_freeze_thread *t,
			struct view *v)
{
	const struct ovm_freeze_members *m = &plan->members;

	*v = (struct view){
		.state = (uint32_t)get(t, &m->state),
		.jobctl = get(t, &m->jobctl),
		.tif_flags = get(t, &m->tif_flags),
		.pending = get(t, &m->pending),
		.on_cpu = get(t, &m->on_cpu) != 0,
		.on_rq = get(t, &m->on_rq) != 0,
		.frozen = get(t, &m->frozen) != 0,
		.exiting = (get(t, &m->pf_flags) & FLAGS_DYING) != 0,
		.exited = !is_same(plan, t) || get(t, &m->exit_state) != 0,
		.siglock_held =
			!has_sighand(plan, t) || ovm_object_load(&t->sighand, &m->siglock) != 0,
		.pi_lock_held = get(t, &m->pi_lock) != 0,
	};
}

bool ovm_freeze_thread_gone(const struct ovm_freeze_plan *plan,
			    const struct ovm_freeze_thread *thread)
{
	struct view v;

	view_thread(plan, thread, &v);
	return v.exiting || v.exited;
}

uint32_t ovm_freeze_thread_state(const struct ovm_freeze_plan *plan,
				 const struct ovm_freeze_thread *thread)
{
	return (uint32_t)get(thread, &plan->members.state);
}

static bool is_signalled(const struct ovm_freeze_plan *plan, const struct view *v)
{
	return v->tif_flags & plan->sigpending;
}

static bool is_stopped(const struct view *v)
{
	return !v->on_cpu && v->state & (STATE_STOPPED | STATE_TRACED);
}

/* Where a function call wakes it: what signal_wake_up() wakes, on the CPU still or not. */
static bool is_wakeable(const struct view *v, bool kill)
{
	return v->state & STATE_INTERRUPTIBLE ||
	       (kill && v->state & STATE_UNINTERRUPTIBLE && v->state & STATE_WAKEKILL);
}

/* In the freezer's trap: nothing but the bit's removal, and a wake-up, will get it out. */
static bool is_trapped(const struct view *v)
{
	return v->jobctl & TRAP_FREEZE && v->frozen && !v->on_cpu && v->state & STATE_INTERRUPTIBLE;
}

/* A wake-up can be lost on a thread that was just going to sleep: once made, repeat it. */
static enum step wake_again(const struct ovm_freeze_plan *plan, const struct view *v, bool kill)
{
	return is_wakeable(v, kill) && !plan->calls_pending ? STEP_WAKE : STEP_WAIT;
}

static enum step freeze_step(const struct ovm_freeze_plan *plan, const struct ovm_freeze_thread *t,
			     const struct view *v)
{
	bool marked = v->jobctl & TRAP_FREEZE;

	/* Until it is a zombie, memory and files change, and its parent is about to be told. */
	if (v->exiting)
		return STEP_WAIT;
	if (is_trapped(v) || (marked && is_stopped(v) && !(v->state & STATE_TRACED)))
		return STEP_DONE;
	if (t->cgroup_frozen && marked)
		return STEP_WAIT;
	if (marked && (is_signalled(plan, v) || v->frozen))
		return is_stopped(v) ? STEP_WAIT : wake_again(plan, v, false);
	return v->siglock_held ? STEP_BLOCKED : STEP_MARK;
}

static enum step thaw_step(const struct ovm_freeze_plan *plan, const struct ovm_freeze_thread *t,
			   const struct view *v)
{
	if (v->exiting)
		return STEP_DONE;
	/* Without being ours it is the guest's own freezer's. */
	if (v->jobctl & TRAP_FREEZE)
		return !t->ours ? STEP_DONE : v->siglock_held ? STEP_BLOCKED : STEP_MARK;
	/*
	 * Without the bit, what is awake will get out of the trap, if only when it is its turn. A
	 * parent in vfork(2) counts as frozen, too, but waits for its child.
	 */
	if (!v->frozen || is_stopped(v) || !is_wakeable(v, false))
		return STEP_DONE;
	return wake_again(plan, v, false);
}

static enum step kill_step(const struct ovm_freeze_plan *plan, const struct view *v)
{
	if (v->exiting)
		return STEP_WAIT;
	if (v->pending & SIGKILL_BIT && is_signalled(plan, v) && !(v->jobctl & TRAP_FREEZE) &&
	    !is_stopped(v))
		return wake_again(plan, v, true);
	if (v->siglock_held || v->jobctl & PTRACE_FROZEN || (is_stopped(v) && v->pi_lock_held))
		return STEP_BLOCKED;
	return STEP_MARK;
}

static enum step decide(const struct ovm_freeze_plan *plan, enum ovm_freeze_action action,
			const struct ovm_freeze_thread *t, struct view *v)
{
	view_thread(plan, t, v);
	if (v->exited || t->dropped)
		return STEP_DONE;
	/* What has left the tree, as a daemon does, is let go. */
	if (action == OVM_FREEZE_FREEZE && !t->seen)
		action = OVM_FREEZE_THAW;
	switch (action) {
	case OVM_FREEZE_FREEZE:
		return freeze_step(plan, t, v);
	case OVM_FREEZE_THAW:
		return thaw_step(plan, t, v);
	case OVM_FREEZE_KILL:
		return kill_step(plan, v);
	case OVM_FREEZE_NOTHING:
		break;
	}
	return STEP_DONE;
}

static void count(struct ovm_freeze_tally *tally, const struct ovm_freeze_thread *t, enum step step)
{
	tally->nr_done += step == STEP_DONE;
	tally->nr_waiting += step == STEP_WAIT || step == STEP_WAKE;
	tally->nr_asleep += step == STEP_WAKE;
	tally->nr_blocked += step == STEP_BLOCKED || step == STEP_MARK;
	if (step != STEP_DONE && !tally->late)
		tally->late = t;
}

/* Whether connections are still to be let go, before their process does anything. */
static bool has_holds(const struct ovm_freeze_plan *plan, enum ovm_freeze_action action)
{
	return (action == OVM_FREEZE_THAW || action == OVM_FREEZE_KILL) && plan->nr &&
	       plan->holds && ovm_holds_count(plan->holds);
}

static void count_holds(const struct ovm_freeze_plan *plan, struct ovm_freeze_tally *tally)
{
	tally->nr_blocked += ovm_holds_count(plan->holds);
	if (!tally->late)
		tally->late = plan->threads;
}

void ovm_freeze_plan_look(struct ovm_freeze_plan *plan, enum ovm_freeze_action action,
			  struct ovm_freeze_tally *ret)
{
	memset(ret, 0, sizeof(*ret));
	plan->calls_pending = ovm_remote_calls_pending(&plan->calls);
	for (uint32_t i = 0; i < plan->nr; i++) {
		struct view v;

		count(ret, &plan->threads[i], decide(plan, action, &plan->threads[i], &v));
	}
	if (has_holds(plan, action))
		count_holds(plan, ret);
	/* A call that is still to be made would wake what has got there without it. */
	if (plan->calls_pending && !ret->late && plan->nr) {
		ret->late = plan->threads;
		ret->nr_waiting++;
	}
}

/* ---- changing ------------------------------------------------------------------------------- */

struct pass {
	struct ovm_freeze_plan *plan;
	enum ovm_freeze_action action;
	ovm_remote_call_write *write;
	void *arg;
	struct ovm_freeze_tally *tally;
};

static bool counted_write(void *arg, const struct ovm_object *object,
			  const struct ovm_member *member, uint64_t from, uint64_t to)
{
	struct pass *pass = arg;

	pass->tally->nr_writes++;
	return pass->write(pass->arg, object, member, from, to);
}

static bool change(struct pass *pass, const struct ovm_freeze_thread *t,
		   const struct ovm_member *member, uint64_t from, uint64_t to)
{
	return from == to || counted_write(pass, &t->task, member, from, to);
}

/* The CPU that is to be interrupted for a step, or NULL. */
static struct ovm_remote_call_cpu *cpu_for(const struct pass *pass,
					   const struct ovm_freeze_thread *t, const struct view *v,
					   enum step step)
{
	uint32_t nr = (uint32_t)get(t, &pass->plan->members.cpu);
	bool kill = pass->action == OVM_FREEZE_KILL;
	bool wakes = is_wakeable(v, kill) || (kill && is_stopped(v));

	if (step == STEP_WAKE || (step == STEP_MARK && wakes))
		return ovm_remote_calls_cpu(&pass->plan->calls, nr);
	/* What runs notices on its way back to user mode. */
	if (step != STEP_MARK || !v->on_cpu || pass->action == OVM_FREEZE_THAW)
		return NULL;
	for (uint32_t i = 0; i < pass->plan->calls.nr_cpus; i++)
		if (pass->plan->calls.cpus[i].cpu == nr)
			return &pass->plan->calls.cpus[i];
	return NULL;
}

/* The CPU that starts timers of connections that are let go, or NULL. */
static struct ovm_remote_call_cpu *timer_cpu(const struct pass *pass)
{
	const struct ovm_holds *holds = pass->plan->holds;

	if (pass->action != OVM_FREEZE_THAW || !holds || !pass->plan->calls.add_timer ||
	    !ovm_holds_have_timers(holds))
		return NULL;
	return ovm_remote_calls_cpu(&pass->plan->calls, 0);
}

static uint32_t release(struct pass *pass)
{
	const struct ovm_release how = {
		.silence = pass->action == OVM_FREEZE_KILL,
		.calls = &pass->plan->calls,
		.cpu = timer_cpu(pass),
		.write = counted_write,
		.arg = pass,
	};

	return ovm_holds_release(pass->plan->holds, &how);
}

static bool interrupt_cpus(struct pass *pass)
{
	struct ovm_remote_calls *calls = &pass->plan->calls;
	uint32_t apic_ids[OVM_REMOTE_CALL_CPUS], nr = 0;

	for (uint32_t i = 0; i < calls->nr_cpus; i++)
		calls->cpus[i].interrupt = false;
	for (uint32_t i = 0; i < pass->plan->nr; i++) {
		const struct ovm_freeze_thread *t = &pass->plan->threads[i];
		struct view v;
		enum step step = decide(pass->plan, pass->action, t, &v);
		struct ovm_remote_call_cpu *cpu = cpu_for(pass, t, &v, step);

		if (cpu && !cpu->interrupt) {
			cpu->interrupt = true;
			apic_ids[nr++] = cpu->apic_id;
		}
	}
	struct ovm_remote_call_cpu *cpu = timer_cpu(pass);

	if (cpu && !cpu->interrupt) {
		cpu->interrupt = true;
		apic_ids[nr++] = cpu->apic_id;
	}
	pass->tally->nr_interrupts += nr;
	return !nr || ovm_ipi_send(pass->plan->ipi_fd, apic_ids, nr, CALL_FUNCTION_SINGLE_VECTOR);
}

static bool wake(struct pass *pass, const struct ovm_freeze_thread *t,
		 struct ovm_remote_call_cpu *cpu)
{
	bool called =
		ovm_remote_call(&pass->plan->calls, cpu, t->task.address, counted_write, pass);

	pass->tally->nr_woken += called;
	pass->tally->nr_left += !called;
	return called;
}

static uint64_t jobctl_after(enum ovm_freeze_action action, uint64_t jobctl)
{
	switch (action) {
	case OVM_FREEZE_FREEZE:
		return jobctl | TRAP_FREEZE;
	case OVM_FREEZE_THAW:
	case OVM_FREEZE_KILL:
		return jobctl & ~(uint64_t)TRAP_FREEZE;
	default:
		return jobctl;
	}
}

/*
 * Have a stopped thread woken to die: the kernel does so with a function that looks for its state,
 * ours wakes what sleeps.  The call is queued already; the state is the last to be written.
 */
static bool unstop(struct pass *pass, const struct ovm_freeze_thread *t, const struct view *v)
{
	const struct ovm_freeze_members *m = &pass->plan->members;
	uint64_t jobctl = get(t, &m->jobctl);

	return change(pass, t, &m->jobctl, jobctl,
		      jobctl & ~(uint64_t)(JOB_STOPPED | JOB_TRACED)) &&
	       change(pass, t, &m->state, v->state, STATE_INTERRUPTIBLE);
}

/* Whether all threads of a group are in the plan: of a threaded cgroup's, some may be elsewhere. */
static bool has_whole_group(const struct ovm_freeze_plan *plan, const struct ovm_freeze_thread *t)
{
	uint64_t nr = 0;

	for (uint32_t i = 0; i < plan->nr; i++)
		nr += plan->threads[i].signal.address == t->signal.address &&
		      !plan->threads[i].dropped && is_same(plan, &plan->threads[i]);
	return nr == ovm_object_load(&t->signal, &plan->members.nr_threads);
}

/*
 * What complete_signal() of kernel/signal.c does for a signal that kills: no thread looks at other
 * signals or at the freezer's bit any more, not even if the guest itself has set that.  A thread
 * that were not told would live on, so that this is for sets that are closed.
 */
static bool end_group(struct pass *pass, const struct ovm_freeze_thread *t)
{
	const struct ovm_freeze_members *m = &pass->plan->members;
	const struct {
		const struct ovm_member *member;
		uint64_t value;
	} parts[] = {
		{&m->group_exit_code, SIGKILL_NUMBER},
		{&m->group_stop_count, 0},
		{&m->group_flags, SIGNAL_GROUP_EXIT},
	};

	if (!pass->plan->closed ||
	    ovm_object_load(&t->signal, &m->group_flags) & SIGNAL_GROUP_EXIT ||
	    !has_whole_group(pass->plan, t))
		return true;
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		uint64_t from = ovm_object_load(&t->signal, parts[i].member);

		if (from != parts[i].value &&
		    !counted_write(pass, &t->signal, parts[i].member, from, parts[i].value))
			return false;
	}
	return true;
}

static bool mark(struct pass *pass, struct ovm_freeze_thread *t, enum ovm_freeze_action action,
		 const struct view *v, struct ovm_remote_call_cpu *cpu)
{
	const struct ovm_freeze_members *m = &pass->plan->members;
	bool kill = action == OVM_FREEZE_KILL;
	uint64_t signal = kill ? SIGKILL_BIT : 0;

	if (action == OVM_FREEZE_FREEZE)
		t->ours = true;
	if ((kill && !end_group(pass, t)) ||
	    !change(pass, t, &m->pending, v->pending, v->pending | signal) ||
	    !change(pass, t, &m->jobctl, v->jobctl, jobctl_after(action, v->jobctl)))
		return false;
	if (action == OVM_FREEZE_THAW)
		t->ours = false;
	else if (!change(pass, t, &m->tif_flags, v->tif_flags,
			 v->tif_flags | pass->plan->sigpending))
		return false;
	if (!cpu || !(is_wakeable(v, kill) || (kill && is_stopped(v))))
		return true;
	return wake(pass, t, cpu) && (!(kill && is_stopped(v)) || unstop(pass, t, v));
}

/* What can't be written, or called for want of room, is for the next time. */
static void act(struct pass *pass, struct ovm_freeze_thread *t)
{
	struct view v;
	enum step step = decide(pass->plan, pass->action, t, &v);
	struct ovm_remote_call_cpu *cpu = cpu_for(pass, t, &v, step);
	bool left = pass->action == OVM_FREEZE_FREEZE && !t->seen;
	enum ovm_freeze_action action = left ? OVM_FREEZE_THAW : pass->action;

	count(pass->tally, t, step);
	if (step == STEP_WAKE && cpu)
		wake(pass, t, cpu);
	else if (step == STEP_MARK)
		mark(pass, t, action, &v, cpu);
}

void ovm_freeze_plan_apply(struct ovm_freeze_plan *plan, enum ovm_freeze_action action,
			   ovm_remote_call_write *write, void *arg, struct ovm_freeze_tally *ret)
{
	struct pass pass = {
		.plan = plan,
		.action = action,
		.write = write,
		.arg = arg,
		.tally = ret,
	};

	memset(ret, 0, sizeof(*ret));
	/* Each stop is reported there, and QEMU waits for ever when there is no more room. */
	ovm_ipi_drain(plan->ipi_fd);
	plan->calls_pending = ovm_remote_calls_pending(&plan->calls);
	if (!interrupt_cpus(&pass)) {
		ret->failed = true;
		return;
	}
	if (has_holds(plan, action) && release(&pass)) {
		count_holds(plan, ret);
		return;
	}
	for (uint32_t i = 0; i < plan->nr; i++)
		act(&pass, &plan->threads[i]);
}

static bool inherited_write(void *arg, const struct ovm_object *object,
			    const struct ovm_member *member, uint64_t from, uint64_t to)
{
	(void)arg;
	return ovm_write_unlogged(object, member, from, to);
}

void ovm_freeze_plan_take_over(void *arg, int ipi_fd)
{
	struct ovm_freeze_plan *plan = arg;

	if (plan->ipi_started && !plan->inherited) {
		ovm_ipi_take_over(ipi_fd);
		ovm_remote_calls_inherit(&plan->calls);
		plan->inherited = true;
	}
}

bool ovm_freeze_plan_inherit(void *arg, int ipi_fd)
{
	struct ovm_freeze_plan *plan = arg;
	struct ovm_freeze_tally tally;

	if (plan->bequest == OVM_FREEZE_NOTHING || !plan->ipi_started)
		return true;
	ovm_freeze_plan_take_over(plan, ipi_fd);
	plan->ipi_fd = ipi_fd;
	ovm_freeze_plan_apply(plan, plan->bequest, inherited_write, NULL, &tally);
	/* What has been told everything gets there by itself. */
	return !tally.failed && !tally.nr_writes && !tally.nr_blocked && !tally.nr_asleep &&
	       !plan->calls_pending;
}
