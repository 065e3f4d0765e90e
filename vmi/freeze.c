// SPDX-License-Identifier: GPL-2.0-only
/* Freezing, thawing and killing sets of threads. */
#include "freeze.h"

#include <string.h>

#include "freeze_private.h"

enum {
	DEFAULT_TIMEOUT_MS = 10000,
	INIT_PID = 1,
	/* How long a thread may take to fall asleep again. */
	CHECK_US = 100000,
	FIRST_ATTEMPT_US = 250000,
	/* What each thread adds to that: a guest wakes a few dozen at a time. */
	THREAD_US = 1000,
	/* What part of an attempt's time the guest runs undisturbed before the next one. */
	BREATHS = 8,
};

/* include/linux/sched.h */
enum {
	STATE_INTERRUPTIBLE = 0x1,
	STATE_UNINTERRUPTIBLE = 0x2,
	STATE_STOPPED = 0x4,
	STATE_TRACED = 0x8,
	STATE_FROZEN = 0x8000, /* f5d39b020809 (v6.1) */
};

static uint64_t make_deadline(const struct ovm_freezer *freezer)
{
	unsigned int ms = freezer->options.timeout_ms;

	return ovm_freeze_now_us() + (ms ? ms : DEFAULT_TIMEOUT_MS) * UINT64_C(1000);
}

/* ---- errors --------------------------------------------------------------------------------- */

static const struct ovm_rec_freezable *find_rec(const struct ovm_rec_freezer *rec, int32_t tid)
{
	const struct ovm_rec_freezable *t = rec->threads;

	while (t && t->tid != tid)
		t = t->next;
	return t;
}

static const char *describe(uint32_t state)
{
	if (state & STATE_FROZEN)
		return "is frozen by the guest's own freezer (cgroup v1, or a suspend)";
	if (state & STATE_TRACED)
		return "is stopped by its tracer";
	if (state & STATE_STOPPED)
		return "is stopped";
	if (state & STATE_UNINTERRUPTIBLE)
		return "sleeps uninterruptibly";
	if (state & STATE_INTERRUPTIBLE)
		return "sleeps";
	return state ? "doesn't get there" : "runs";
}

static struct ovm_error *error_late(struct ovm_freezer *freezer, enum ovm_freeze_action action,
				    const struct ovm_freeze_thread *late,
				    const struct ovm_rec_freezable *rec)
{
	static const char *const verbs[] = {
		[OVM_FREEZE_NOTHING] = "left alone",
		[OVM_FREEZE_FREEZE] = "frozen",
		[OVM_FREEZE_THAW] = "thawed",
		[OVM_FREEZE_KILL] = "killed",
	};
	uint32_t state = ovm_freeze_thread_state(freezer->plan, late);
	const char *where = NULL;
	uint64_t offset;
	int comm_len = rec ? (int)strnlen(rec->comm, sizeof(rec->comm)) : 0;

	if (rec && rec->wchan)
		where = ovm_kernel_symbol_at(freezer->options.kernel, rec->wchan, &offset);
	struct ovm_error *err = ovm_error_format(
		OVM_ERROR_INCONSISTENT,
		"thread %d%s%.*s%s of process %d can't be %s in time: it %s (state 0x%x)%s%s; "
		"try again, or a longer --timeout",
		late->tid, rec ? " (" : "", comm_len, rec ? rec->comm : "", rec ? ")" : "",
		late->tgid, verbs[action], describe(state), state, where ? ", in " : "",
		where ? where : "");

	err->pid = late->tid;
	return err;
}

struct ovm_error *ovm_freezer_late(struct ovm_freezer *freezer, enum ovm_freeze_action action,
				   const struct ovm_freeze_set *set)
{
	struct ovm_freeze_tally tally;
	struct ovm_llv_arena *arena;
	struct ovm_rec_freezer rec = {0};
	struct ovm_error *err = ovm_llv_arena_create(&arena);

	ovm_freeze_plan_look(freezer->plan, action, &tally);
	if (!tally.late && !err) {
		ovm_llv_arena_destroy(arena);
		return ovm_error_format(OVM_ERROR_INCONSISTENT,
					"the guest makes new threads faster than they can be "
					"frozen; try again, or a longer --timeout");
	}
	if (!err)
		err = ovm_freezer_look(freezer, set, true, arena, &rec);
	const struct ovm_rec_freezable *found =
		err ? NULL : find_rec(&rec, tally.late ? tally.late->tid : 0);

	ovm_error_free(err);
	err = error_late(freezer, action, tally.late ?: freezer->plan->threads, found);
	ovm_llv_arena_destroy(arena);
	return err;
}

static struct ovm_error *check_set(const struct ovm_freeze_set *set)
{
	if (set->cgroup)
		return NULL;
	if (set->pid == INIT_PID)
		return ovm_error_format(OVM_ERROR_USAGE,
					"process 1 is the guest's first: all others are its "
					"descendants");
	if (set->pid < INIT_PID)
		return ovm_error_format(OVM_ERROR_USAGE, "no process was given");
	return NULL;
}

static struct ovm_error *error_not_found(const struct ovm_freeze_set *set)
{
	if (set->cgroup)
		return ovm_error_format(OVM_ERROR_NOT_FOUND,
					"no process of the guest is in cgroup %s", set->cgroup);
	return ovm_error_format(OVM_ERROR_NOT_FOUND,
				"the guest has no process %d: 'ovm-gpu ps' lists them", set->pid);
}

/* ---- operations ----------------------------------------------------------------------------- */

/* Start an operation on @set, with an empty plan that what is found is put into. */
static struct ovm_error *begin(struct ovm_freezer *freezer, const struct ovm_freeze_set *set,
			       uint64_t deadline)
{
	struct ovm_freeze_plan *plan = freezer->plan;
	struct ovm_error *err = check_set(set);
	bool is_new;

	if (err)
		return err;
	if (freezer->frozen)
		return ovm_error_format(OVM_ERROR_USAGE,
					"other processes are frozen already by this freezer");
	plan->bequest = OVM_FREEZE_NOTHING;
	plan->closed = false;
	plan->nr = 0;
	plan->holds->nr = 0;
	err = ovm_freezer_find(freezer, set, deadline, &is_new);
	return err || plan->nr ? err : error_not_found(set);
}

static bool all_done(struct ovm_freezer *freezer, enum ovm_freeze_action action)
{
	struct ovm_freeze_tally tally;

	ovm_freeze_plan_look(freezer->plan, action, &tally);
	return !tally.late;
}

/* Freeze what is known until nothing new is found any more, when all that could make it is frozen.
 */
static struct ovm_error *close_set(struct ovm_freezer *freezer, const struct ovm_freeze_set *set,
				   uint64_t deadline)
{
	struct ovm_freeze_plan *plan = freezer->plan;

	for (bool is_new = true; is_new || !all_done(freezer, OVM_FREEZE_FREEZE);) {
		struct ovm_error *err =
			ovm_freezer_carry_out(freezer, OVM_FREEZE_FREEZE, set, deadline);

		if (!err)
			err = ovm_freezer_find(freezer, set, deadline, &is_new);
		if (err)
			return err;
		if (is_new && ovm_freeze_now_us() >= deadline)
			return ovm_freezer_late(freezer, OVM_FREEZE_FREEZE, set);
	}
	for (uint32_t i = 0; i < plan->nr; i++)
		plan->threads[i].dropped |=
			!plan->threads[i].seen || ovm_freeze_thread_gone(plan, &plan->threads[i]);
	plan->closed = true;
	return NULL;
}

static void count_threads(struct ovm_freezer *freezer)
{
	const struct ovm_freeze_plan *plan = freezer->plan;

	for (uint32_t i = 0; i < plan->nr; i++) {
		if (plan->threads[i].dropped)
			continue;
		freezer->stats.nr_threads++;
		freezer->stats.nr_processes += plan->threads[i].tid == plan->threads[i].tgid;
	}
}

static struct ovm_error *finish(struct ovm_freezer *freezer, uint64_t start, struct ovm_error *err,
				struct ovm_freeze_stats *stats)
{
	count_threads(freezer);
	freezer->stats.total_us = ovm_freeze_now_us() - start;
	if (stats)
		*stats = freezer->stats;
	return err;
}

static uint64_t start(struct ovm_freezer *freezer)
{
	memset(&freezer->stats, 0, sizeof(freezer->stats));
	return ovm_freeze_now_us();
}

/* Thaw what is in the plan. */
static struct ovm_error *thaw_plan(struct ovm_freezer *freezer, const struct ovm_freeze_set *set,
				   uint64_t deadline)
{
	freezer->plan->bequest = OVM_FREEZE_THAW;
	struct ovm_error *err = ovm_freezer_carry_out(freezer, OVM_FREEZE_THAW, set, deadline);

	if (err)
		return err;
	freezer->plan->bequest = OVM_FREEZE_NOTHING;
	freezer->frozen = false;
	return NULL;
}

/* Cancelled or not, nothing stays half frozen. */
static struct ovm_error *give_up(struct ovm_freezer *freezer, struct ovm_error *err)
{
	struct ovm_qmp *qmp = ovm_vm_qmp(freezer->options.vm);
	bool cancellable = ovm_qmp_set_cancellable(qmp, false);
	struct ovm_error *other = thaw_plan(freezer, NULL, make_deadline(freezer));

	ovm_qmp_set_cancellable(qmp, cancellable);
	if (other)
		err = ovm_error_prepend(err, "%s; what is frozen could not be thawed",
					other->message);
	ovm_error_free(other);
	return err;
}

/* For @us and what so many threads take, or until @deadline. */
static struct ovm_error *attempt_freeze(struct ovm_freezer *freezer,
					const struct ovm_freeze_set *set, uint64_t us,
					uint64_t deadline)
{
	struct ovm_error *err = begin(freezer, set, deadline);

	if (err)
		return err;
	uint64_t end = ovm_freeze_now_us() + us + (uint64_t)freezer->plan->nr * THREAD_US;

	freezer->plan->bequest = OVM_FREEZE_THAW;
	err = close_set(freezer, set, end < deadline ? end : deadline);
	if (err)
		return give_up(freezer, err);
	freezer->frozen = true;
	return NULL;
}

/* Whether all was thawed again, and another attempt may do better. */
static bool may_succeed(const struct ovm_freezer *freezer, const struct ovm_error *err)
{
	return err->code == OVM_ERROR_INCONSISTENT && freezer->plan->bequest == OVM_FREEZE_NOTHING;
}

/*
 * A child that is frozen before it has executed a program keeps its parent in vfork(2), where that
 * can't be frozen: all are let go for a while then. Each attempt takes twice as long as the last.
 */
struct ovm_error *ovm_freeze(struct ovm_freezer *freezer, const struct ovm_freeze_set *set,
			     struct ovm_freeze_stats *stats)
{
	uint64_t began = start(freezer), deadline = make_deadline(freezer);
	struct ovm_error *err = NULL;

	for (uint64_t us = FIRST_ATTEMPT_US; !err; us *= 2) {
		err = attempt_freeze(freezer, set, us, deadline);
		if (!err || ovm_freeze_now_us() >= deadline || !may_succeed(freezer, err))
			break;
		ovm_error_free(err);
		err = ovm_qmp_sleep(ovm_vm_qmp(freezer->options.vm), (int)(us / 1000 / BREATHS));
	}
	return finish(freezer, began, err, stats);
}

static struct ovm_error *error_changed(const struct ovm_freeze_thread *thread, const char *how)
{
	struct ovm_error *err =
		ovm_error_format(OVM_ERROR_INCONSISTENT, "thread %d %s", thread->tid, how);

	err->pid = thread->tid;
	return err;
}

static struct ovm_error *check_alive(const struct ovm_freeze_plan *plan)
{
	for (uint32_t i = 0; i < plan->nr; i++)
		if (!plan->threads[i].dropped && ovm_freeze_thread_gone(plan, &plan->threads[i]))
			return error_changed(&plan->threads[i],
					     "has ended, or was killed, since it was frozen");
	return NULL;
}

struct ovm_error *ovm_freezer_check(struct ovm_freezer *freezer)
{
	uint64_t deadline = ovm_freeze_now_us() + CHECK_US;
	struct ovm_freeze_tally tally;
	struct ovm_error *err = check_alive(freezer->plan);

	/* Pauses are reported there, and QEMU waits for ever when there is no more room. */
	ovm_ipi_drain(freezer->plan->ipi_fd);
	/* A signal wakes a frozen thread for a moment. */
	while (!err) {
		ovm_freeze_plan_look(freezer->plan, OVM_FREEZE_FREEZE, &tally);
		if (!tally.late || ovm_pause_holds(freezer->pause) ||
		    ovm_freeze_now_us() >= deadline)
			break;
		err = ovm_qmp_sleep(ovm_vm_qmp(freezer->options.vm), 1);
	}
	if (err || !tally.late)
		return err;
	return error_changed(tally.late, "is not frozen: a signal has just woken it, or the guest "
					 "itself has thawed it");
}

struct ovm_error *ovm_thaw(struct ovm_freezer *freezer, const struct ovm_freeze_set *set,
			   struct ovm_freeze_stats *stats)
{
	uint64_t began = start(freezer), deadline = make_deadline(freezer);
	struct ovm_error *err = freezer->frozen || !set ? NULL : begin(freezer, set, deadline);

	if (!err)
		err = thaw_plan(freezer, set, deadline);
	return finish(freezer, began, err, stats);
}

/*
 * Frozen first, a tree makes no more children while it is being killed; what can't be frozen is
 * killed all the same.
 */
struct ovm_error *ovm_kill(struct ovm_freezer *freezer, const struct ovm_freeze_set *set,
			   struct ovm_freeze_stats *stats)
{
	uint64_t began = start(freezer), deadline = make_deadline(freezer);
	bool known = freezer->frozen || !set;
	struct ovm_error *err = known ? NULL : begin(freezer, set, deadline);

	if (!err && !known) {
		freezer->plan->bequest = OVM_FREEZE_THAW;
		err = close_set(freezer, set, began + (deadline - began) / 2);
		if (err && err->code == OVM_ERROR_INCONSISTENT) {
			ovm_error_free(err);
			err = NULL;
		} else if (err) {
			err = give_up(freezer, err);
		}
	}
	if (!err) {
		freezer->plan->bequest = OVM_FREEZE_KILL;
		err = ovm_freezer_carry_out(freezer, OVM_FREEZE_KILL, set, deadline);
	}
	/* Otherwise the guardian tells those that could not be told. */
	if (!err) {
		freezer->plan->bequest = OVM_FREEZE_NOTHING;
		freezer->frozen = false;
	}
	return finish(freezer, began, err, stats);
}
