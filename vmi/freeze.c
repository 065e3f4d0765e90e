// SPDX-License-Identifier: GPL-2.0-only
/*
 * Freezing, thawing and killing, in rounds: pause, look, write what can be written, run on.
 *
 * A sleeping thread is woken as another CPU would do it (ttwu_queue_wakelist() in
 * kernel/sched/core.c): it is put on the list of calls of its CPU, which then has to be
 * interrupted.  Without the interrupt, an idle CPU might find the list much later, and a busy one
 * never, while others who put something there send none either, since they see that the list is
 * not empty: they would wait for ever.
 *
 * The order of writes is such that after each of them the guest may run on (we may be killed), with
 * one exception: a thread in state TASK_WAKING that isn't on the list yet, which is the next write.
 * That can't be told from one that a CPU has just taken off its list to wake it, so it isn't
 * mended.
 */
#include "freeze.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "ipi.h"
#include "extract/record.h"

enum {
	DEFAULT_TIMEOUT_MS = 10000,
	/* Waits between looks, and how long looks without a pause are enough. */
	MIN_WAIT_MS = 1,
	MAX_WAIT_MS = 16,
	LOOKS_MS = 64,
	/* arch/x86/include/asm/irq_vectors.h; checked against the guest's interrupt table. */
	CALL_FUNCTION_SINGLE_VECTOR = 0xfb,
	SIGKILL_BIT = 1 << 8,
	INIT_PID = 1,
};

/* include/linux/sched.h, unchanged from v5.14 on. */
enum {
	STATE_INTERRUPTIBLE = 0x1,
	STATE_UNINTERRUPTIBLE = 0x2,
	STATE_STOPPED = 0x4,
	STATE_TRACED = 0x8,
	STATE_WAKEKILL = 0x100,
	STATE_WAKING = 0x200,
	/* TASK_FREEZABLE and __TASK_FREEZABLE_UNSAFE (f5d39b020809, v6.1). */
	STATE_QUALIFIERS = 0x2000 | 0x4000,
	FLAG_EXITING = 0x4, /* PF_EXITING */
};

/* include/linux/sched/jobctl.h: 76f969e8948d (v5.2), 31cae1eaae4f (v5.19). */
enum {
	TRAP_FREEZE = 1 << 23,
	PTRACE_FROZEN = 1 << 24,
	JOB_STOPPED = 1 << 26,
	JOB_TRACED = 1 << 27,
};

enum action {
	FREEZE,
	THAW,
	KILL,
};

/** What is to be done about a thread. */
enum step {
	/* Nothing: it is where it should be. */
	STEP_DONE,
	/* Nothing: the kernel needs time. */
	STEP_WAIT,
	/* Not now: a lock is held, or it is just going to sleep. */
	STEP_BLOCKED,
	/* Change its flags, and wake it if it sleeps. */
	STEP_MARK,
	STEP_MARK_AND_WAKE,
	/* As MARK, and its CPU is to be interrupted, on which it runs. */
	STEP_MARK_AND_KICK,
};

struct ovm_freezer {
	struct ovm_freezer_options options;
	struct ovm_writer *writer;
	struct ovm_ipi *ipi;
	const char *state_member;
	struct ovm_freezer_stats stats;
};

/** One look at the tree. */
struct look {
	struct ovm_llv_arena *arena;
	struct ovm_rec_freezer rec;
	/* First thread of each kind, and how many need a pause or time. */
	const struct ovm_rec_freezable *waiting;
	uint32_t nr_waiting, nr_to_do, nr_blocked;
};

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void count_write(void *arg, const struct ovm_write *write, uint64_t address)
{
	struct ovm_freezer *freezer = arg;

	freezer->stats.nr_writes++;
	if (freezer->options.log)
		freezer->options.log(freezer->options.log_arg, write, address);
}

struct ovm_error *ovm_freezer_create(const struct ovm_freezer_options *options,
				     struct ovm_freezer **ret)
{
	struct ovm_freezer *freezer = calloc(1, sizeof(*freezer));
	struct ovm_btf_member member;

	*ret = NULL;
	if (!freezer)
		return ovm_error_no_memory();
	freezer->options = *options;
	struct ovm_writer_options writer_options = {
		.size = sizeof(writer_options),
		.kernel = options->kernel,
		.memory = ovm_vm_memory(options->vm),
		.pause = options->pause,
		.read_only = options->read_only,
		.log = count_write,
		.log_arg = freezer,
	};
	struct ovm_error *err = ovm_writer_create(&writer_options, &freezer->writer);

	if (err) {
		free(freezer);
		return err;
	}
	/* 2f064a59a11f ("sched: Change task_struct::state", v5.14) */
	err = ovm_btf_find_member(ovm_kernel_btf(options->kernel), "struct task_struct", "__state",
				  &member);
	freezer->state_member = err ? "state" : "__state";
	ovm_error_free(err);
	*ret = freezer;
	return NULL;
}

void ovm_freezer_destroy(struct ovm_freezer *freezer)
{
	if (!freezer)
		return;
	ovm_ipi_close(freezer->ipi);
	ovm_writer_destroy(freezer->writer);
	free(freezer);
}

/* ---- looking -------------------------------------------------------------------------------- */

static const struct ovm_rec_wake_cpu *find_cpu(const struct look *look, uint32_t nr)
{
	const struct ovm_rec_wake_cpu *cpu = look->rec.cpus;

	while (cpu && cpu->cpu != nr)
		cpu = cpu->next;
	return cpu;
}

static bool is_gone(const struct ovm_rec_freezable *t)
{
	return t->exit_state || t->flags & FLAG_EXITING;
}

static bool is_off_cpu(const struct ovm_rec_freezable *t)
{
	return !t->on_cpu && !t->on_rq;
}

static bool is_stopped(const struct ovm_rec_freezable *t)
{
	return is_off_cpu(t) && t->state & (STATE_STOPPED | STATE_TRACED);
}

static bool sleeps_interruptibly(const struct ovm_rec_freezable *t)
{
	return is_off_cpu(t) && (t->state & ~(uint32_t)STATE_QUALIFIERS) == STATE_INTERRUPTIBLE;
}

/* In the freezer's trap: nothing but the bit's removal, and a wake-up, will get it out. */
static bool is_trapped(const struct ovm_rec_freezable *t)
{
	return t->jobctl & TRAP_FREEZE && t->frozen && sleeps_interruptibly(t);
}

/* Past its decision to sleep, and not asleep yet: what is changed now may come too late. */
static bool is_going_to_sleep(const struct ovm_rec_freezable *t)
{
	return t->state && !is_off_cpu(t);
}

static bool can_be_queued(const struct look *look, const struct ovm_rec_freezable *t)
{
	return !t->pi_lock_held && t->wake_valid && t->cpu_allowed && find_cpu(look, t->cpu);
}

static enum step mark_and_wake(const struct look *look, const struct ovm_rec_freezable *t)
{
	return can_be_queued(look, t) ? STEP_MARK_AND_WAKE : STEP_BLOCKED;
}

static bool is_signalled(const struct look *look, const struct ovm_rec_freezable *t)
{
	return t->tif_flags >> look->rec.sigpending_bit & 1;
}

static enum step freeze_step(const struct look *look, const struct ovm_rec_freezable *t)
{
	bool marked = t->jobctl & TRAP_FREEZE;

	if (is_trapped(t) || (marked && is_stopped(t)))
		return STEP_DONE;
	if (t->cgroup_frozen)
		return STEP_WAIT;
	if (t->siglock_held)
		return STEP_BLOCKED;
	if (sleeps_interruptibly(t))
		return mark_and_wake(look, t);
	if (marked && is_signalled(look, t))
		return STEP_WAIT;
	return t->on_cpu ? STEP_MARK_AND_KICK : STEP_MARK;
}

static enum step thaw_step(const struct look *look, const struct ovm_rec_freezable *t)
{
	if (!(t->jobctl & TRAP_FREEZE) || t->cgroup_frozen)
		return STEP_DONE;
	if (t->siglock_held || is_going_to_sleep(t))
		return STEP_BLOCKED;
	return is_trapped(t) ? mark_and_wake(look, t) : STEP_MARK;
}

static enum step kill_step(const struct look *look, const struct ovm_rec_freezable *t)
{
	bool wakeable = sleeps_interruptibly(t) || (is_off_cpu(t) && t->state & STATE_WAKEKILL &&
						    !(t->jobctl & PTRACE_FROZEN));

	if (t->siglock_held || is_going_to_sleep(t))
		return STEP_BLOCKED;
	if (wakeable)
		return mark_and_wake(look, t);
	if (t->pending & SIGKILL_BIT && is_signalled(look, t) && !(t->jobctl & TRAP_FREEZE))
		return STEP_WAIT;
	return t->on_cpu ? STEP_MARK_AND_KICK : STEP_MARK;
}

static enum step decide(const struct look *look, enum action action,
			const struct ovm_rec_freezable *t)
{
	if (is_gone(t))
		/* The rest of its exit is what killing waits for. */
		return action == KILL && !t->exit_state ? STEP_WAIT : STEP_DONE;
	switch (action) {
	case FREEZE:
		return freeze_step(look, t);
	case THAW:
		return thaw_step(look, t);
	case KILL:
		return kill_step(look, t);
	}
	return STEP_DONE;
}

static void look_deinit(struct look *look)
{
	ovm_llv_arena_destroy(look->arena);
}

/* Look at the tree, of a running guest too, whose lists may then end in an error. */
static struct ovm_error *look_at(struct ovm_freezer *freezer, pid_t pid, enum action action,
				 struct look *look)
{
	struct ovm_extract_freezer_args args = {.freezer = &look->rec};
	struct ovm_error *err = ovm_llv_arena_create(&look->arena);

	look->rec.pid = pid;
	if (!err)
		err = ovm_llv_run(freezer->options.llv, "ovm_extract_freezer",
				  OVM_LLV_ENTRY(ovm_extract_freezer), &args, NULL, look->arena);
	if (err)
		return err;
	for (const struct ovm_rec_freezable *t = look->rec.threads; t; t = t->next) {
		enum step step = decide(look, action, t);

		if (step == STEP_DONE)
			continue;
		if (step == STEP_WAIT)
			look->nr_waiting++;
		else
			look->nr_to_do++;
		if (step == STEP_BLOCKED)
			look->nr_blocked++;
		if (!look->waiting)
			look->waiting = t;
	}
	return NULL;
}

static struct ovm_error *check_support(struct ovm_freezer *freezer, const struct look *look)
{
	uint64_t offset;
	const char *gate = ovm_kernel_symbol_at(freezer->options.kernel, look->rec.gate, &offset);

	if (!look->rec.supported)
		return ovm_error_format(OVM_ERROR_KERNEL,
					"the guest's kernel can't freeze threads: it lacks the "
					"cgroup freezer or wake-up lists");
	if (!look->rec.busy && (!gate || !strstr(gate, "call_function_single")))
		return ovm_error_address(OVM_ERROR_KERNEL, look->rec.gate,
					 "the guest's interrupt vector for function calls leads "
					 "elsewhere, to");
	return NULL;
}

/* ---- changing ------------------------------------------------------------------------------- */

static struct ovm_error *change(struct ovm_freezer *freezer, const char *type, const char *member,
				uint64_t object, uint64_t expected, uint64_t value)
{
	struct ovm_write write = {
		.type = type,
		.member = member,
		.object = object,
		.expected = expected,
		.value = value,
	};

	return expected == value ? NULL : ovm_write(freezer->writer, &write);
}

static struct ovm_error *change_task(struct ovm_freezer *freezer, const struct ovm_rec_freezable *t,
				     const char *member, uint64_t expected, uint64_t value)
{
	return change(freezer, "struct task_struct", member, t->task, expected, value);
}

/* Put a thread on its CPU's list of wake-ups, which is lock-free: llist_add(). */
static struct ovm_error *queue_wakeup(struct ovm_freezer *freezer,
				      const struct ovm_rec_freezable *t,
				      struct ovm_rec_wake_cpu *cpu)
{
	struct ovm_error *err =
		change_task(freezer, t, "wake_entry.llist.next", t->wake_next, cpu->queue_first);

	/* It wakes up on the CPU where it fell asleep. */
	if (!err)
		err = change_task(freezer, t, "sched_remote_wakeup", t->remote_wakeup, 0);
	if (!err)
		err = change_task(freezer, t, freezer->state_member, t->state, STATE_WAKING);
	if (!err)
		err = change(freezer, "struct llist_head", "first", cpu->queue, cpu->queue_first,
			     t->wake_node);
	if (err)
		return err;
	cpu->queue_first = t->wake_node;
	freezer->stats.nr_woken++;
	err = change(freezer, "struct rq", "ttwu_pending", cpu->rq, cpu->ttwu_pending, 1);
	cpu->ttwu_pending = 1;
	return err;
}

static struct ovm_error *set_signalled(struct ovm_freezer *freezer, const struct look *look,
				       const struct ovm_rec_freezable *t)
{
	return change_task(freezer, t, "thread_info.flags", t->tif_flags,
			   t->tif_flags | 1ULL << look->rec.sigpending_bit);
}

static uint64_t jobctl_after(enum action action, const struct ovm_rec_freezable *t)
{
	switch (action) {
	case FREEZE:
		return t->jobctl | TRAP_FREEZE;
	case THAW:
		return t->jobctl & ~(uint64_t)TRAP_FREEZE;
	case KILL:
		break;
	}
	return t->jobctl & ~(uint64_t)(TRAP_FREEZE | JOB_STOPPED | JOB_TRACED);
}

/*
 * Freezing marks first and wakes then; the others wake first, so that a thread in the trap is
 * either marked or on its way out.
 */
static struct ovm_error *change_thread(struct ovm_freezer *freezer, const struct look *look,
				       enum action action, const struct ovm_rec_freezable *t,
				       enum step step)
{
	struct ovm_rec_wake_cpu *cpu = (struct ovm_rec_wake_cpu *)find_cpu(look, t->cpu);
	struct ovm_error *err = NULL;

	if (action == KILL)
		err = change_task(freezer, t, "pending.signal.sig[0]", t->pending,
				  t->pending | SIGKILL_BIT);
	if (!err && action == FREEZE)
		err = change_task(freezer, t, "jobctl", t->jobctl, jobctl_after(action, t));
	if (!err && action != THAW)
		err = set_signalled(freezer, look, t);
	if (!err && step == STEP_MARK_AND_WAKE)
		err = queue_wakeup(freezer, t, cpu);
	if (!err && action != FREEZE)
		err = change_task(freezer, t, "jobctl", t->jobctl, jobctl_after(action, t));
	return err;
}

static bool needs_interrupt(const struct look *look, enum action action,
			    const struct ovm_rec_wake_cpu *cpu)
{
	for (const struct ovm_rec_freezable *t = look->rec.threads; t; t = t->next) {
		enum step step = decide(look, action, t);

		if (t->cpu == cpu->cpu &&
		    (step == STEP_MARK_AND_WAKE || step == STEP_MARK_AND_KICK))
			return true;
	}
	return false;
}

/* Before anything is written: an interrupt for nothing does no harm, its absence would. */
static struct ovm_error *interrupt_cpus(struct ovm_freezer *freezer, const struct look *look,
					enum action action)
{
	for (const struct ovm_rec_wake_cpu *cpu = look->rec.cpus; cpu; cpu = cpu->next) {
		struct ovm_error *err = NULL;

		if (!needs_interrupt(look, action, cpu))
			continue;
		if (!freezer->ipi)
			err = ovm_ipi_open(freezer->options.vm, &freezer->ipi);
		if (!err)
			err = ovm_ipi_send(freezer->ipi, cpu->apic_id, CALL_FUNCTION_SINGLE_VECTOR);
		if (err)
			return err;
	}
	return NULL;
}

static struct ovm_error *change_threads(struct ovm_freezer *freezer, const struct look *look,
					enum action action)
{
	struct ovm_error *err = interrupt_cpus(freezer, look, action);

	for (const struct ovm_rec_freezable *t = look->rec.threads; t && !err; t = t->next) {
		enum step step = decide(look, action, t);

		if (step >= STEP_MARK)
			err = change_thread(freezer, look, action, t, step);
	}
	return err;
}

/* ---- rounds --------------------------------------------------------------------------------- */

/* With the VM paused: look, and do what can be done. */
static struct ovm_error *paused_round(struct ovm_freezer *freezer, pid_t pid, enum action action,
				      struct look *look)
{
	if (freezer->ipi)
		ovm_ipi_drain(freezer->ipi);
	struct ovm_error *err = look_at(freezer, pid, action, look);

	if (!err)
		err = check_support(freezer, look);
	/* Killing is for all at once: orphans would no longer be found in the tree. */
	if (err || look->rec.busy || (action == KILL && look->nr_blocked))
		return err;
	return change_threads(freezer, look, action);
}

static struct ovm_error *round_of(struct ovm_freezer *freezer, pid_t pid, enum action action,
				  struct look *look)
{
	struct ovm_pause *pause = freezer->options.pause;
	struct ovm_freezer_stats *stats = &freezer->stats;
	uint64_t start = now_us();
	struct ovm_error *err = ovm_pause_begin(pause);

	if (err)
		return err;
	if (!ovm_pause_was_running(pause))
		return ovm_error_format(OVM_ERROR_USAGE, "the virtual machine is paused: resume "
							 "it, the guest has to run for this");
	err = paused_round(freezer, pid, action, look);
	struct ovm_error *other = ovm_pause_end(pause);
	uint64_t us = now_us() - start;

	stats->nr_pauses++;
	stats->pause_us_total += us;
	if (us > stats->pause_us_max)
		stats->pause_us_max = us;
	if (!err)
		return other;
	ovm_error_free(other);
	return err;
}

/* Let the guest run until all seems done, or there is something to do, or for long enough. */
static struct ovm_error *wait_for_guest(struct ovm_freezer *freezer, pid_t pid, enum action action)
{
	struct ovm_qmp *qmp = ovm_vm_qmp(freezer->options.vm);
	struct ovm_error *err = NULL;

	for (int waited = 0, ms = MIN_WAIT_MS; waited < LOOKS_MS && !err; waited += ms, ms *= 2) {
		_cleanup_(look_deinit) struct look look = {0};

		if (ms > MAX_WAIT_MS)
			ms = MAX_WAIT_MS;
		err = ovm_qmp_sleep(qmp, ms);
		if (err)
			break;
		struct ovm_error *racy = look_at(freezer, pid, action, &look);
		bool over = !racy && !look.rec.busy && (!look.nr_waiting || look.nr_to_do);

		ovm_error_free(racy);
		if (over)
			break;
	}
	return err;
}

static struct ovm_error *error_late(struct ovm_freezer *freezer, const struct look *look,
				    enum action action)
{
	static const char *const verbs[] = {"frozen", "thawed", "killed"};
	const struct ovm_rec_freezable *t = look->waiting;

	if (!t)
		return ovm_error_format(OVM_ERROR_INCONSISTENT,
					"the guest's list of processes was always being changed");
	uint64_t offset;
	const char *where =
		t->wchan ? ovm_kernel_symbol_at(freezer->options.kernel, t->wchan, &offset) : NULL;
	const char *why = t->state & STATE_UNINTERRUPTIBLE ? "sleeps uninterruptibly"
			  : t->on_cpu || t->on_rq	   ? "runs"
			  : t->siglock_held		   ? "has its signal lock held"
			  : !t->cpu_allowed ? "may no longer run on the CPU that it sleeps on"
					    : "doesn't get there";
	struct ovm_error *err =
		ovm_error_format(OVM_ERROR_INCONSISTENT,
				 "thread %d (%.*s) can't be %s in time: it %s (state 0x%x)%s%s",
				 t->tid, (int)sizeof(t->comm), t->comm, verbs[action], why,
				 t->state, where ? " in " : "", where ? where : "");

	err->pid = t->tid;
	return err;
}

static struct ovm_error *run(struct ovm_freezer *freezer, pid_t pid, enum action action)
{
	unsigned int timeout_ms = freezer->options.timeout_ms;
	uint64_t deadline =
		now_us() + (timeout_ms ? timeout_ms : DEFAULT_TIMEOUT_MS) * UINT64_C(1000);

	for (bool found = false;;) {
		_cleanup_(look_deinit) struct look look = {0};
		struct ovm_error *err = round_of(freezer, pid, action, &look);

		if (err)
			return err;
		freezer->stats.nr_threads = look.rec.nr_threads;
		found |= look.rec.threads != NULL;
		if (!look.rec.busy && !found)
			return ovm_error_format(OVM_ERROR_NOT_FOUND, "the guest has no process %d",
						pid);
		if (!look.rec.busy && !look.nr_waiting && !look.nr_to_do)
			return NULL;
		if (now_us() >= deadline)
			return error_late(freezer, &look, action);
		err = wait_for_guest(freezer, pid, action);
		if (err)
			return err;
	}
}

static struct ovm_error *operate(struct ovm_freezer *freezer, pid_t pid, enum action action,
				 struct ovm_freezer_stats *stats)
{
	uint64_t start = now_us();

	memset(&freezer->stats, 0, sizeof(freezer->stats));
	struct ovm_error *err =
		pid <= INIT_PID ? ovm_error_format(OVM_ERROR_USAGE,
						   "the guest's first process can't be frozen or "
						   "killed")
				: run(freezer, pid, action);

	freezer->stats.total_us = now_us() - start;
	if (stats)
		*stats = freezer->stats;
	return err;
}

struct ovm_error *ovm_freeze(struct ovm_freezer *freezer, pid_t pid,
			     struct ovm_freezer_stats *stats)
{
	struct ovm_error *err = operate(freezer, pid, FREEZE, stats);

	if (!err || err->code == OVM_ERROR_USAGE || err->code == OVM_ERROR_NOT_FOUND)
		return err;
	/* Cancelled or not, nothing stays half frozen. */
	struct ovm_qmp *qmp = ovm_vm_qmp(freezer->options.vm);
	bool cancellable = ovm_qmp_set_cancellable(qmp, false);
	struct ovm_error *other = operate(freezer, pid, THAW, NULL);

	ovm_qmp_set_cancellable(qmp, cancellable);
	if (other)
		err = ovm_error_prepend(err, "%s; what is frozen could not be thawed",
					other->message);
	ovm_error_free(other);
	return err;
}

struct ovm_error *ovm_thaw(struct ovm_freezer *freezer, pid_t pid, struct ovm_freezer_stats *stats)
{
	return operate(freezer, pid, THAW, stats);
}

struct ovm_error *ovm_kill(struct ovm_freezer *freezer, pid_t pid, struct ovm_freezer_stats *stats)
{
	return operate(freezer, pid, KILL, stats);
}
