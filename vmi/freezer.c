// SPDX-License-Identifier: GPL-2.0-only
/* Making a freezer, and its rounds: pause, do what can be done, run on, look. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "cleanup.h"
#include "freeze_private.h"

enum {
	MAX_THREADS = 1 << 16,
	/* How often a look at a running guest may fail before it is paused for one. */
	MAX_FAILED_LOOKS = 8,
	/* Looks without a pause: how far apart, and how long until another round is worth it. */
	SHORT_WAIT_US = 100,
	SHORT_WAITS = 20,
	MIN_WAIT_MS = 8,
	MAX_WAIT_MS = 64,
};

uint64_t ovm_freeze_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ---- making one ----------------------------------------------------------------------------- */

static bool is_paused(void *arg)
{
	const struct ovm_freezer *freezer = arg;

	return freezer->pause && ovm_pause_holds(freezer->pause);
}

static void log_write(void *arg, const struct ovm_write *write)
{
	const struct ovm_freezer *freezer = arg;

	if (freezer->options.log)
		freezer->options.log(freezer->options.log_arg, write);
}

static struct ovm_error *make_writer(struct ovm_freezer *freezer)
{
	struct ovm_writer_options options = {
		.size = sizeof(options),
		.kernel = freezer->options.kernel,
		.memory = ovm_vm_memory(freezer->options.vm),
		.paused = is_paused,
		.log = log_write,
		.arg = freezer,
	};

	return ovm_writer_create(&options, &freezer->writer);
}

static struct ovm_error *make_plan(struct ovm_freezer *freezer)
{
	freezer->plan_bytes =
		sizeof(struct ovm_freeze_plan) + MAX_THREADS * sizeof(struct ovm_freeze_thread);
	void *plan = mmap(NULL, freezer->plan_bytes, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (plan == MAP_FAILED)
		return ovm_error_no_memory();
	freezer->plan = plan;
	freezer->plan->max = MAX_THREADS;
	return ovm_holds_alloc(&freezer->plan->holds);
}

static struct ovm_error *find_means(struct ovm_freezer *freezer)
{
	struct ovm_llv_arena *arena;
	struct ovm_rec_freezer rec;
	struct ovm_error *err = ovm_llv_arena_create(&arena);

	if (!err)
		err = ovm_freezer_look(freezer, NULL, false, arena, &rec);
	if (!err && !rec.supported)
		err = ovm_error_format(OVM_ERROR_KERNEL,
				       "the guest's kernel can't freeze threads: it lacks the "
				       "cgroup freezer (v5.2) or queues of calls (v5.8)");
	if (!err)
		err = ovm_freeze_members_find(freezer->writer, &freezer->plan->members);
	/* Without, there is no connection to be held. */
	if (!err)
		ovm_error_free(
			ovm_hold_members_find(freezer->writer, &freezer->plan->holds->members));
	if (!err)
		err = ovm_remote_calls_init(freezer->writer, freezer->options.kernel, &rec,
					    "wake_up_process", &freezer->plan->calls);
	if (!err)
		freezer->plan->sigpending = 1ULL << rec.sigpending_bit;
	ovm_llv_arena_destroy(arena);
	return err;
}

static struct ovm_error *make_guardian(struct ovm_freezer *freezer)
{
	const struct ovm_pause_heir heir = {
		.take_over = ovm_freeze_plan_take_over,
		.inherit = ovm_freeze_plan_inherit,
		.arg = freezer->plan,
		.fd = ovm_ipi_fd(freezer->ipi),
	};

	freezer->plan->ipi_fd = heir.fd;
	return ovm_pause_create_with_heir(freezer->options.vm, &heir, &freezer->pause);
}

struct ovm_error *ovm_freezer_create(const struct ovm_freezer_options *options,
				     struct ovm_freezer **ret)
{
	struct ovm_freezer *freezer = calloc(1, sizeof(*freezer));

	*ret = NULL;
	if (!freezer)
		return ovm_error_no_memory();
	freezer->options = *options;
	struct ovm_error *err = make_writer(freezer);

	if (!err)
		err = make_plan(freezer);
	if (!err)
		err = find_means(freezer);
	if (!err)
		err = ovm_ipi_create(options->vm, &freezer->ipi);
	if (!err)
		err = ovm_ipi_prepare(freezer->ipi);
	if (!err)
		err = make_guardian(freezer);
	if (err) {
		ovm_freezer_destroy(freezer);
		return err;
	}
	*ret = freezer;
	return NULL;
}

void ovm_freezer_destroy(struct ovm_freezer *freezer)
{
	if (!freezer)
		return;
	struct ovm_qmp *qmp = ovm_vm_qmp(freezer->options.vm);
	bool cancellable = ovm_qmp_set_cancellable(qmp, false);

	/* The guardian goes on where this fails. */
	if (freezer->frozen && !freezer->kept)
		ovm_error_free(ovm_thaw(freezer, NULL, NULL));
	ovm_qmp_set_cancellable(qmp, cancellable);
	ovm_pause_destroy(freezer->pause);
	ovm_ipi_destroy(freezer->ipi);
	ovm_writer_destroy(freezer->writer);
	if (freezer->plan) {
		ovm_holds_free(freezer->plan->holds);
		munmap(freezer->plan, freezer->plan_bytes);
	}
	free(freezer);
}

struct ovm_pause *ovm_freezer_pause(struct ovm_freezer *freezer)
{
	return freezer->pause;
}

void ovm_freezer_keep(struct ovm_freezer *freezer)
{
	freezer->kept = true;
	freezer->plan->bequest = OVM_FREEZE_NOTHING;
}

/* ---- looking -------------------------------------------------------------------------------- */

struct ovm_error *ovm_freezer_look(struct ovm_freezer *freezer, const struct ovm_freeze_set *set,
				   bool with_wchan, struct ovm_llv_arena *arena,
				   struct ovm_rec_freezer *rec)
{
	struct ovm_extract_freezer_args args = {.freezer = rec};
	const struct ovm_llv_budget budget = {.milliseconds = OVM_FREEZE_LOOK_MS};

	*rec = (struct ovm_rec_freezer){.with_wchan = with_wchan, .with_held = set != NULL};
	rec->pid = !set ? -1 : set->cgroup ? 0 : set->pid;
	return ovm_llv_run(freezer->options.llv, "ovm_extract_freezer",
			   OVM_LLV_ENTRY(ovm_extract_freezer), &args, &budget, arena);
}

static bool has_process(const struct ovm_freeze_plan *plan, int32_t tgid)
{
	for (uint32_t i = 0; i < plan->nr; i++)
		if (plan->threads[i].tgid == tgid)
			return true;
	return false;
}

/* What an earlier freezer has left held. */
static struct ovm_error *adopt_held(struct ovm_freezer *freezer, const struct ovm_rec_held *held)
{
	const struct ovm_rec_held *last = NULL;
	struct ovm_error *err = NULL;
	bool known = false;

	/* Those of one process come together, and those of one socket may. */
	for (; held && !err; last = held, held = held->next) {
		if (!last || held->tgid != last->tgid)
			known = has_process(freezer->plan, held->tgid);
		if (known && (!last || held->sk != last->sk))
			err = ovm_hold_adopt(freezer->plan->holds, freezer->writer, held->sk);
	}
	return err;
}

/* One look at the set, which may come to nothing while the guest runs. */
static struct ovm_error *find_once(struct ovm_freezer *freezer, const struct ovm_freeze_set *set,
				   bool *ret_new)
{
	struct ovm_llv_arena *arena;
	struct ovm_rec_freezer rec;
	struct ovm_error *err = ovm_llv_arena_create(&arena);

	if (!err)
		err = ovm_freezer_look(freezer, set, false, arena, &rec);
	if (!err && rec.has_kernel_threads)
		err = ovm_error_format(OVM_ERROR_USAGE, "%d is a kernel thread", set->pid);
	if (!err)
		err = ovm_freeze_plan_merge(freezer->plan, freezer->writer, &rec, set->cgroup,
					    ret_new);
	if (!err)
		err = adopt_held(freezer, rec.held);
	ovm_llv_arena_destroy(arena);
	return err;
}

static bool may_pass(const struct ovm_error *err)
{
	return err->code == OVM_ERROR_FAULT || err->code == OVM_ERROR_CORRUPT ||
	       err->code == OVM_ERROR_INCONSISTENT;
}

struct ovm_error *ovm_freezer_find(struct ovm_freezer *freezer, const struct ovm_freeze_set *set,
				   uint64_t deadline, bool *ret_new)
{
	for (unsigned int failed = 0;; failed++) {
		bool pause = failed >= MAX_FAILED_LOOKS;
		struct ovm_error *err = pause ? ovm_pause_begin(freezer->pause) : NULL;

		if (err)
			return err;
		err = find_once(freezer, set, ret_new);
		struct ovm_error *other = pause ? ovm_pause_end(freezer->pause) : NULL;

		if (other) {
			ovm_error_free(err);
			return other;
		}
		if (!err || !may_pass(err) || ovm_freeze_now_us() >= deadline)
			return err;
		ovm_error_free(err);
		err = ovm_qmp_sleep(ovm_vm_qmp(freezer->options.vm), 1);
		if (err)
			return err;
	}
}

/* ---- rounds --------------------------------------------------------------------------------- */

struct write_arg {
	struct ovm_freezer *freezer;
	struct ovm_error *err;
};

static bool checked_write(void *arg, const struct ovm_object *object,
			  const struct ovm_member *member, uint64_t from, uint64_t to)
{
	struct write_arg *w = arg;
	struct ovm_error *err = ovm_write(w->freezer->writer, object, member, from, to);

	if (!err)
		return true;
	if (w->err)
		ovm_error_free(err);
	else
		w->err = err;
	return false;
}

static struct ovm_error *apply(struct ovm_freezer *freezer, enum ovm_freeze_action action)
{
	struct ovm_freeze_stats *stats = &freezer->stats;
	struct write_arg arg = {.freezer = freezer};
	struct ovm_freeze_tally tally;
	struct ovm_error *err = ovm_ipi_start(freezer->ipi);

	if (err)
		return err;
	freezer->plan->ipi_started = true;
	ovm_freeze_plan_apply(freezer->plan, action, checked_write, &arg, &tally);
	stats->nr_woken += tally.nr_woken;
	stats->nr_writes += tally.nr_writes;
	stats->nr_interrupts += tally.nr_interrupts;
	freezer->calls_left = tally.nr_left;
	if (tally.failed && !arg.err)
		arg.err = ovm_error_format(OVM_ERROR_UNREACHABLE,
					   "QEMU's gdb stub, through which the guest's CPUs are "
					   "interrupted, doesn't answer");
	return arg.err;
}

struct ovm_error *ovm_freezer_round(struct ovm_freezer *freezer, enum ovm_freeze_action action)
{
	struct ovm_freeze_stats *stats = &freezer->stats;
	struct ovm_error *err = ovm_pause_begin(freezer->pause);

	if (err)
		return err;
	if (!ovm_pause_was_running(freezer->pause))
		return ovm_error_format(OVM_ERROR_USAGE,
					"the virtual machine is paused by somebody else: resume it "
					"(QMP \"cont\"), so that its kernel can act");
	uint64_t paused = ovm_freeze_now_us();

	err = apply(freezer, action);
	uint64_t done = ovm_freeze_now_us();
	struct ovm_error *other = ovm_pause_end(freezer->pause);
	uint64_t us = ovm_pause_last_us(freezer->pause);

	stats->nr_pauses++;
	stats->pause_us_total += us;
	stats->pause_us_max = us > stats->pause_us_max ? us : stats->pause_us_max;
	stats->work_us_max =
		done - paused > stats->work_us_max ? done - paused : stats->work_us_max;
	if (!other)
		return err;
	ovm_error_free(err);
	return other;
}

/*
 * Let the guest run until it has done what it was told, or until another round is of use: there is
 * room for calls that there was none for; something could not be written, or sleeps on after @ms
 * milliseconds.
 */
static struct ovm_error *wait_for_guest(struct ovm_freezer *freezer, enum ovm_freeze_action action,
					unsigned int ms, uint64_t deadline,
					struct ovm_freeze_tally *tally)
{
	const struct timespec pause = {.tv_nsec = SHORT_WAIT_US * 1000};
	uint64_t end = ovm_freeze_now_us() + ms * UINT64_C(1000);

	for (unsigned int i = 0;; i++) {
		uint64_t now = ovm_freeze_now_us();
		struct ovm_error *err = NULL;

		ovm_freeze_plan_look(freezer->plan, action, tally);
		if (freezer->calls_left && !freezer->plan->calls_pending)
			return NULL;
		if (!tally->late || now >= deadline || (tally->nr_blocked && !tally->nr_waiting) ||
		    (now >= end && (tally->nr_blocked || tally->nr_asleep)))
			return NULL;
		if (i < SHORT_WAITS)
			nanosleep(&pause, NULL);
		else
			err = ovm_qmp_sleep(ovm_vm_qmp(freezer->options.vm), 1);
		if (err)
			return err;
	}
}

/* Handlers may have been exchanged, as by execve(2). */
static struct ovm_error *look_again(struct ovm_freezer *freezer, const struct ovm_freeze_set *set,
				    uint64_t deadline)
{
	bool is_new;

	return set ? ovm_freezer_find(freezer, set, deadline, &is_new) : NULL;
}

struct ovm_error *ovm_freezer_carry_out(struct ovm_freezer *freezer, enum ovm_freeze_action action,
					const struct ovm_freeze_set *set, uint64_t deadline)
{
	struct ovm_freeze_tally tally;

	ovm_freeze_plan_look(freezer->plan, action, &tally);
	for (unsigned int ms = MIN_WAIT_MS; tally.late; ms = ms < MAX_WAIT_MS ? 2 * ms : ms) {
		struct ovm_error *err = ovm_freezer_round(freezer, action);

		if (!err)
			err = wait_for_guest(freezer, action, ms, deadline, &tally);
		if (!err && tally.late && ovm_freeze_now_us() >= deadline)
			err = ovm_freezer_late(freezer, action, set);
		if (!err && tally.nr_blocked && action != OVM_FREEZE_KILL)
			err = look_again(freezer, set, deadline);
		if (err)
			return err;
	}
	return NULL;
}

/* ---- connections ----------------------------------------------------------------------------- */

struct ovm_error *ovm_freezer_hold(struct ovm_freezer *freezer, const uint64_t *sockets, size_t nr)
{
	struct write_arg arg = {.freezer = freezer};
	struct ovm_error *err = NULL;

	if (!freezer->frozen)
		return ovm_error_format(OVM_ERROR_USAGE,
					"connections are held of frozen processes only");
	for (size_t i = 0; i < nr && !err; i++)
		err = ovm_hold(freezer->plan->holds, freezer->writer, sockets[i]);
	if (err) {
		ovm_holds_release(freezer->plan->holds,
				  &(struct ovm_release){.write = checked_write, .arg = &arg});
		ovm_error_free(arg.err);
	}
	return err;
}
