// SPDX-License-Identifier: GPL-2.0-only
/*
 * The course of a dump in the guest.
 *
 * A frozen process doesn't change, so that its memory can be copied while the VM runs: round by
 * round, as the kernel may move pages meanwhile.  Then the VM is paused, for what the kernel knows
 * of the process, and for the pages that are left.  Without a freezer these are all pages.
 */
#include "dump_private.h"
#include "pages_mark.h"
#include "vmi/cleanup.h"

enum {
	/* Of copying in a row, and how often that may begin again for the sake of a short pause. */
	MAX_ROUNDS = 4,
	MAX_RETURNS = 2,
	/* Pages that are rather copied under a pause than in another round: some milliseconds. */
	MAX_LEFT = 4096,
	/* Looks at a process whose structures may be changing, and the time between two, ms. */
	MAX_LOOKS = 3,
	LOOK_MS = 3,
	/* Attempts that wait for others to let go of the memory. */
	MAX_SHARED = 6,
	/* Attempts to make sure that a process has to be refused, before it is frozen. */
	MAX_REFUSALS = 5,
};

/*
 * How long the guest runs on between two attempts, ms, by turns. They share no factor with the
 * periods of timer ticks, so that attempts don't meet the same point of a cycle each time; the long
 * ones are for a guest that has to catch up with its ticks before its processes run again.
 */
static const int backoffs_ms[] = {1, 2, 3, 7, 13, 29, 5, 11, 23, 47, 97};

enum { NR_BACKOFFS = sizeof(backoffs_ms) / sizeof(*backoffs_ms) };

static struct ovm_error *wait_ms(struct ovm_dump *dump, int ms)
{
	return ovm_qmp_sleep(ovm_vm_qmp(dump->ovm->vm), ms);
}

void ovm_dump_forget(struct ovm_dump *dump)
{
	ovm_pages_deinit(&dump->pages);
	ovm_state_deinit(&dump->state);
}

/* ---- looking at a guest that runs ------------------------------------------------------------ */

/* What is true of the guest is not known before it is paused; failures of the host's are. */
static bool may_be_untrue(const struct ovm_error *err)
{
	switch (err->code) {
	case OVM_ERROR_FAULT:
	case OVM_ERROR_CORRUPT:
	case OVM_ERROR_BUDGET:
	case OVM_ERROR_NOT_FOUND:
	case OVM_ERROR_NOT_DUMPABLE:
	case OVM_ERROR_INCONSISTENT:
		return true;
	default:
		return false;
	}
}

/* Extract the tree into @arena, and see whether images could be made of it. */
static struct ovm_error *look_once(struct ovm_dump *dump, struct ovm_llv_arena *arena,
				   const struct ovm_rec_tree **ret)
{
	struct ovm *ovm = dump->ovm;
	struct ovm_extract_tree_args args = {.pid = dump->options.pid,
					     .ghost_limit = ovm->ghost_limit};
	struct ovm_error *err =
		ovm_llv_run(ovm->llv, "ovm_extract_tree", OVM_LLV_ENTRY(ovm_extract_tree), &args,
			    &ovm->budget, arena);

	if (!err)
		err = ovm_dump_check_tree(dump, args.tree);
	if (!err)
		*ret = args.tree;
	return err;
}

/* The same until it succeeds, a few times. */
static struct ovm_error *look(struct ovm_dump *dump, struct ovm_llv_arena *arena,
			      const struct ovm_rec_tree **ret)
{
	for (int i = 1;; i++) {
		uint64_t start = ovm_now_us();
		struct ovm_error *err = look_once(dump, arena, ret);

		dump->result.extract_us += ovm_now_us() - start;
		if (!err || i == MAX_LOOKS || !may_be_untrue(err))
			return err;
		ovm_log(dump->ovm, OVM_LOG_DEBUG, "look again: %s", err->message);
		ovm_error_free(err);
		err = wait_ms(dump, LOOK_MS * i);
		if (err)
			return err;
	}
}

/* ---- rounds of copying ----------------------------------------------------------------------- */

static void log_round(const struct ovm_dump *dump, const struct ovm_copier_stats *stats)
{
	ovm_log(dump->ovm, OVM_LOG_DEBUG,
		"round %u: copied %llu pages, of them %llu again; %llu came, %llu went, %llu move",
		dump->result.rounds, (unsigned long long)stats->copied,
		(unsigned long long)stats->again, (unsigned long long)stats->appeared,
		(unsigned long long)stats->vanished, (unsigned long long)stats->blocked);
}

static struct ovm_error *find_pages(struct ovm_dump *dump, const struct ovm_rec_tree *tree,
				    struct ovm_pages *ret)
{
	struct ovm *ovm = dump->ovm;
	uint64_t start = ovm_now_us();
	struct ovm_error *err =
		ovm_pages_look(ovm->engine, ovm->kernel, tree, ovm_dump_cancelled, dump, ret);

	dump->result.walk_us += ovm_now_us() - start;
	return err;
}

static struct ovm_error *copy_round(struct ovm_dump *dump, const struct ovm_rec_tree *tree,
				    struct ovm_copier_stats *stats)
{
	struct ovm_pages pages;
	struct ovm_error *err = find_pages(dump, tree, &pages);
	uint64_t start = ovm_now_us();

	if (err)
		return err;
	if (ovm_copier_sifts(&dump->copier_options))
		err = ovm_pages_mark(&pages, tree, NULL, 0);
	if (!err)
		err = ovm_copier_round(dump->copier, &pages, stats);
	ovm_pages_deinit(&pages);
	dump->result.copy_us += ovm_now_us() - start;
	if (err)
		return err;
	dump->result.rounds++;
	dump->result.pages_recopied += stats->again;
	log_round(dump, stats);
	return NULL;
}

/* With what the kernel knows at its begin: pages of shared memory move, too. */
static struct ovm_error *look_and_copy(struct ovm_dump *dump, struct ovm_copier_stats *stats)
{
	const struct ovm_rec_tree *tree;
	struct ovm_llv_arena *arena = NULL;
	struct ovm_error *err = ovm_llv_arena_create(&arena);

	if (err)
		return err;
	err = look(dump, arena, &tree);
	if (!err)
		err = copy_round(dump, tree, stats);
	ovm_llv_arena_destroy(arena);
	return err;
}

/* What fails here because the guest runs shows again, or doesn't, when it is paused. */
static struct ovm_error *ignore_untrue(struct ovm_dump *dump, struct ovm_error *err)
{
	if (!err || !may_be_untrue(err))
		return err;
	ovm_log(dump->ovm, OVM_LOG_DEBUG, "can't copy while the guest runs: %s", err->message);
	ovm_error_free(err);
	return NULL;
}

/* Copy what can be copied before the VM is paused, until nothing moves any more. */
static struct ovm_error *copy_rounds(struct ovm_dump *dump)
{
	for (int i = 0; i < MAX_ROUNDS; i++) {
		struct ovm_copier_stats stats = {0};
		struct ovm_error *err = ovm_dump_check_stop(dump);

		if (!err)
			err = look_and_copy(dump, &stats);
		if (err)
			return ignore_untrue(dump, err);
		if (!stats.copied && !stats.blocked)
			return NULL;
	}
	return NULL;
}

/* ---- with the VM paused ---------------------------------------------------------------------- */

/* Mark the pages, those that will be patched too: they have to be in the images. */
static struct ovm_error *mark_pages(struct ovm_dump *dump)
{
	_cleanup_free_ struct ovm_pages_spot *spots = NULL;
	size_t nr = 0;

	if (!ovm_copier_sifts(&dump->copier_options))
		return NULL;
	struct ovm_error *err = ovm_state_list_patches(&dump->state, &spots, &nr);

	return err ? err : ovm_pages_mark(&dump->pages, dump->state.tree, spots, nr);
}

static struct ovm_error *finish_copy(struct ovm_dump *dump, uint64_t max_left, bool *done)
{
	struct ovm_copier_stats stats;
	uint64_t start = ovm_now_us();
	struct ovm_error *err =
		ovm_copier_finish(dump->copier, &dump->pages, max_left, &stats, done);

	dump->result.copy_us += ovm_now_us() - start;
	if (err || !*done)
		return err;
	dump->result.pages_paused = stats.copied;
	dump->result.shmem_pages_paused = stats.shmem;
	dump->outsiders = stats.outsiders;
	return NULL;
}

/*
 * Who reads the process' memory by way of procfs shares its address space for a moment; who was
 * made with CLONE_VM does so for good, and may write it all the time.
 */
static struct ovm_error *check_users(struct ovm_dump *dump)
{
	const struct ovm_rec_process *p = dump->state.tree->processes;

	while (p && !p->mm.used_by_others)
		p = p->next;
	if (!dump->frozen_at || !p || ++dump->shared >= MAX_SHARED)
		return NULL;
	return ovm_error_format(OVM_ERROR_INCONSISTENT,
				"process %d: its memory is in use by another process", p->pid);
}

static struct ovm_error *take_state(struct ovm_dump *dump)
{
	struct ovm_error *err = NULL;

	if (dump->frozen_at)
		err = ovm_freezer_check(dump->freezer);
	dump->freeze_lost = err != NULL;
	if (!err)
		err = ovm_state_take(dump->ovm, dump->options.pid, &dump->state);
	if (!err)
		err = ovm_dump_check_images(dump);
	return err ? err : check_users(dump);
}

/* Everything that needs the guest to stand still; *@done is false when too much would. */
static struct ovm_error *take(struct ovm_dump *dump, uint64_t max_left, bool *done)
{
	uint64_t start = ovm_now_us();
	struct ovm_error *err;

	ovm_dump_progress(dump, OVM_PHASE_EXTRACT, 0, 0);
	err = take_state(dump);
	dump->result.extract_us += ovm_now_us() - start;
	if (!err)
		err = ovm_dump_check_stop(dump);
	if (!err)
		err = find_pages(dump, dump->state.tree, &dump->pages);
	if (!err)
		err = mark_pages(dump);
	return err ? err : finish_copy(dump, max_left, done);
}

/* Pause the VM, take the state, let it run on. */
static struct ovm_error *attempt(struct ovm_dump *dump, uint64_t max_left, bool *done)
{
	uint64_t start = ovm_now_us();
	struct ovm_error *err = ovm_pause_begin(dump->pause);

	*done = false;
	if (err)
		return err;
	dump->result.attempts++;
	err = take(dump, max_left, done);
	if (!err && *done)
		err = ovm_dump_hold(dump);

	struct ovm_error *resume_err = ovm_pause_end(dump->pause);

	dump->result.paused_us = ovm_now_us() - start;
	dump->result.paused_total_us += dump->result.paused_us;
	if (err)
		ovm_error_free(resume_err);
	else
		err = resume_err;
	if (err)
		ovm_dump_forget(dump);
	return err;
}

/* Pages have come or moved since the last round: have them copied in another one. */
static struct ovm_error *return_to_rounds(struct ovm_dump *dump)
{
	ovm_log(dump->ovm, OVM_LOG_DEBUG, "too much is left to copy it under a pause");
	ovm_dump_forget(dump);
	return copy_rounds(dump);
}

struct waiting {
	uint64_t deadline;
	int next;
};

/* Let the guest run on for a moment after an attempt that failed for @err. */
static struct ovm_error *back_off(struct ovm_dump *dump, struct waiting *waiting,
				  struct ovm_error *err)
{
	int backoff = backoffs_ms[waiting->next];

	ovm_log(dump->ovm, OVM_LOG_DEBUG, "not now: %s", err->message);
	waiting->next = (waiting->next + 1) % NR_BACKOFFS;
	if (ovm_now_us() + (uint64_t)backoff * 1000 > waiting->deadline)
		return ovm_error_prepend(err,
					 "no consistent state in %.1f s (%u attempts; try a "
					 "longer --timeout)",
					 ovm_dump_timeout_ms(dump) / 1000.0, dump->result.attempts);
	ovm_error_free(err);
	return wait_ms(dump, backoff);
}

/* Attempt until the state is consistent, and little was left to be copied. */
static struct ovm_error *attempt_until_done(struct ovm_dump *dump)
{
	uint64_t start = ovm_now_us();
	uint64_t budget = (uint64_t)ovm_dump_timeout_ms(dump) * 1000;
	int returns = dump->frozen_at ? MAX_RETURNS : 0;
	struct waiting waiting = {
		.deadline = start +
			    (budget > dump->result.freeze_us ? budget - dump->result.freeze_us : 0),
	};

	for (;;) {
		uint64_t now = ovm_now_us();
		struct ovm_error *err = ovm_dump_check_stop(dump);
		bool done;

		if (err)
			return err;
		ovm_dump_progress(dump, OVM_PHASE_WAIT, 0, 0);
		err = attempt(dump, returns ? MAX_LEFT : UINT64_MAX, &done);
		if (!err && done) {
			dump->result.wait_us = now - start;
			return NULL;
		}
		if (!err) {
			returns--;
			err = return_to_rounds(dump);
			waiting.deadline += ovm_now_us() - now;
		} else if (err->code == OVM_ERROR_INCONSISTENT && !dump->freeze_lost) {
			err = back_off(dump, &waiting, err);
		}
		if (err)
			return err;
	}
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* Find out, with the VM paused but nothing frozen, whether the process has to be refused. */
static struct ovm_error *confirm_refusal(struct ovm_dump *dump)
{
	uint64_t start = ovm_now_us();
	struct ovm_error *err = ovm_pause_begin(dump->pause);

	if (err)
		return err;
	err = take_state(dump);

	struct ovm_error *resume_err = ovm_pause_end(dump->pause);

	dump->result.paused_total_us += ovm_now_us() - start;
	ovm_dump_forget(dump);
	if (!err)
		return resume_err;
	ovm_error_free(resume_err);
	return err;
}

/*
 * A process that can't be dumped need not be frozen to say so. It is only looked at while the VM
 * runs; what seems to be a reason to refuse it has to show with the VM paused, too.
 */
static struct ovm_error *refuse_early(struct ovm_dump *dump)
{
	const struct ovm_rec_tree *tree;
	struct ovm_llv_arena *arena = NULL;
	struct ovm_error *err = ovm_llv_arena_create(&arena);

	if (err)
		return err;
	err = look(dump, arena, &tree);
	ovm_llv_arena_destroy(arena);
	for (int i = 0; err && may_be_untrue(err) && i < MAX_REFUSALS; i++) {
		ovm_error_free(err);
		err = confirm_refusal(dump);
		if (!err || err->code != OVM_ERROR_INCONSISTENT)
			return err;
		struct ovm_error *wait_err = wait_ms(dump, backoffs_ms[i]);

		if (wait_err) {
			ovm_error_free(err);
			return wait_err;
		}
	}
	return ignore_untrue(dump, err);
}

static void tell_shared(const struct ovm_dump *dump)
{
	if (dump->outsiders)
		ovm_log(dump->ovm, OVM_LOG_INFO,
			"%.1f MiB of shared memory were copied while the VM was paused, since "
			"other processes may write it",
			(double)dump->outsiders / 256);
}

struct ovm_error *ovm_dump_take(struct ovm_dump *dump)
{
	struct ovm_error *err = NULL;

	if (!dump->freezer)
		return attempt_until_done(dump);
	err = refuse_early(dump);
	if (!err)
		err = ovm_dump_freeze(dump);
	if (!err)
		err = copy_rounds(dump);
	if (!err)
		err = attempt_until_done(dump);
	if (!err)
		tell_shared(dump);
	return err;
}
