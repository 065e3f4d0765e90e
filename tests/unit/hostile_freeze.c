// SPDX-License-Identifier: GPL-2.0-only
/* Freezing, thawing and killing in a guest that lies; what is written is put back. */
#include <stdlib.h>
#include <string.h>

#include "gdb_peer.h"
#include "hostile_private.h"
#include "vmi/freeze_private.h"

enum {
	FREEZE_MAX_THREADS = 1024,
	FREEZE_MAX_WRITES = 16 * FREEZE_MAX_THREADS,
};

/* A write, and what was there. */
struct freeze_undo {
	uint8_t *place;
	uint32_t bytes;
	uint64_t old;
};

struct hostile_freezer {
	struct ovm_writer *writer;
	struct gdb_peer peer;
	struct freeze_undo undo[FREEZE_MAX_WRITES];
	size_t nr_undo;
	struct ovm_freeze_plan *plan;
};

struct hostile_freezer *hostile_freezer_create(void)
{
	struct hostile_freezer *freezer = calloc(1, sizeof(*freezer));

	if (!freezer)
		return NULL;
	freezer->plan = calloc(1, sizeof(*freezer->plan) +
					  FREEZE_MAX_THREADS * sizeof(freezer->plan->threads[0]));
	if (freezer->plan && gdb_peer_start(&freezer->peer))
		return freezer;
	free(freezer->plan);
	free(freezer);
	return NULL;
}

void hostile_freezer_destroy(struct hostile_freezer *freezer)
{
	if (!freezer)
		return;
	gdb_peer_stop(&freezer->peer);
	free(freezer->plan);
	free(freezer);
}

static bool freeze_paused(void *arg)
{
	(void)arg;
	return true;
}

static bool freeze_write(void *arg, const struct ovm_object *object,
			 const struct ovm_member *member, uint64_t from, uint64_t to)
{
	struct hostile_freezer *freezer = arg;
	struct freeze_undo *undo = &freezer->undo[freezer->nr_undo];

	if (freezer->nr_undo == FREEZE_MAX_WRITES)
		return false;
	*undo = (struct freeze_undo){object->map + member->offset, member->bytes, 0};
	memcpy(&undo->old, undo->place, undo->bytes);
	struct ovm_error *err = ovm_write(freezer->writer, object, member, from, to);

	freezer->nr_undo += !err;
	if (!err)
		return true;
	ovm_error_free(err);
	return false;
}

static void freeze_put_back(struct hostile_freezer *freezer)
{
	while (freezer->nr_undo) {
		const struct freeze_undo *undo = &freezer->undo[--freezer->nr_undo];

		memcpy(undo->place, &undo->old, undo->bytes);
	}
}

static void freeze_watch(struct hostile *hostile, const struct ovm_object *object,
			 const struct ovm_member *member)
{
	uint64_t address = object->address + member->offset, gpa;
	struct ovm_error *err = ovm_kernel_translate(hostile->ovm.kernel, address, &gpa);

	if (!err)
		hostile_add_word(hostile->watching, gpa, address);
	ovm_error_free(err);
}

/* What is read without the extractor. */
static void freeze_watch_plan(struct hostile *hostile, const struct ovm_freeze_plan *plan)
{
	const struct ovm_freeze_members *m = &plan->members;
	const struct ovm_member *members[] = {
		&m->state,   &m->jobctl,  &m->tif_flags, &m->pf_flags, &m->exit_state,
		&m->on_cpu,  &m->on_rq,	  &m->frozen,	 &m->pid,      &m->start_time,
		&m->sighand, &m->pending, &m->cpu,	 &m->pi_lock};

	for (uint32_t i = 0; i < plan->nr; i++) {
		for (size_t j = 0; j < sizeof(members) / sizeof(*members); j++)
			freeze_watch(hostile, &plan->threads[i].task, members[j]);
		freeze_watch(hostile, &plan->threads[i].sighand, &m->siglock);
		freeze_watch(hostile, &plan->threads[i].signal, &m->group_flags);
	}
	for (uint32_t i = 0; i < plan->calls.nr_cpus; i++) {
		freeze_watch(hostile, &plan->calls.cpus[i].queue, &plan->calls.first);
		for (uint32_t j = 0; j < plan->calls.cpus[i].nr_slots; j++)
			freeze_watch(hostile, &plan->calls.cpus[i].slots[j], &plan->calls.flags);
	}
}

static void freeze_act(struct hostile *hostile, struct hostile_freezer *freezer)
{
	static const enum ovm_freeze_action actions[] = {OVM_FREEZE_FREEZE, OVM_FREEZE_FREEZE,
							 OVM_FREEZE_THAW, OVM_FREEZE_KILL,
							 OVM_FREEZE_THAW};
	struct ovm_freeze_tally tally;

	if (hostile->watching)
		freeze_watch_plan(hostile, freezer->plan);
	for (size_t i = 0; i < sizeof(actions) / sizeof(*actions); i++) {
		/* As after all were frozen. */
		freezer->plan->closed = i > 1;
		ovm_freeze_plan_apply(freezer->plan, actions[i], freeze_write, freezer, &tally);
		ovm_freeze_plan_look(freezer->plan, actions[i], &tally);
	}
	freezer->plan->bequest = OVM_FREEZE_NOTHING;
	ovm_freeze_plan_inherit(freezer->plan, freezer->peer.fd);
	freeze_put_back(freezer);
}

static struct ovm_error *freeze_look(struct hostile *hostile, int32_t pid,
				     struct ovm_llv_arena *arena, struct ovm_rec_freezer *rec)
{
	struct ovm_extract_freezer_args args = {.freezer = rec};
	struct ovm_llv_budget budget = hostile->ovm.budget;

	budget.milliseconds = OVM_FREEZE_LOOK_MS;
	*rec = (struct ovm_rec_freezer){.pid = pid, .with_wchan = 1};
	struct ovm_error *err =
		ovm_llv_run(hostile->ovm.llv, "ovm_extract_freezer",
			    OVM_LLV_ENTRY(ovm_extract_freezer), &args, &budget, arena);

	if (!err && !rec->supported)
		err = ovm_error_format(OVM_ERROR_KERNEL, "can't be frozen");
	return err;
}

static struct ovm_error *freeze_plan(struct hostile *hostile, struct hostile_freezer *freezer,
				     const struct ovm_rec_freezer *rec)
{
	struct ovm_freeze_plan *plan = freezer->plan;
	struct ovm_error *err = ovm_freeze_members_find(freezer->writer, &plan->members);
	bool is_new;

	plan->nr = 0;
	plan->max = FREEZE_MAX_THREADS;
	plan->sigpending = 1ULL << rec->sigpending_bit;
	plan->ipi_fd = freezer->peer.fd;
	plan->ipi_started = true;
	if (!err)
		err = ovm_remote_calls_init(freezer->writer, hostile->ovm.kernel, rec,
					    "wake_up_process", &plan->calls);
	if (!err)
		err = ovm_freeze_plan_merge(plan, freezer->writer, rec, rec->pid ? NULL : "/",
					    &is_new);
	/* The second time, each is known. */
	if (!err)
		err = ovm_freeze_plan_merge(plan, freezer->writer, rec, NULL, &is_new);
	return err;
}

struct ovm_error *hostile_freeze(struct hostile *hostile, int32_t pid)
{
	struct hostile_freezer *freezer = hostile->freezer;
	const struct ovm_writer_options options = {
		.size = sizeof(options),
		.kernel = hostile->ovm.kernel,
		.memory = hostile->snapshot.memory,
		.paused = freeze_paused,
	};
	struct ovm_llv_arena *arena;
	struct ovm_rec_freezer rec;
	struct ovm_error *err = ovm_llv_arena_create(&arena);

	if (err)
		return err;
	err = ovm_writer_create(&options, &freezer->writer);
	if (!err)
		err = freeze_look(hostile, pid, arena, &rec);
	if (!err)
		err = freeze_plan(hostile, freezer, &rec);
	if (!err)
		freeze_act(hostile, freezer);
	ovm_writer_destroy(freezer->writer);
	freezer->writer = NULL;
	ovm_llv_arena_destroy(arena);
	return err;
}
