// SPDX-License-Identifier: GPL-2.0-only
/* Taking what a look at the guest found into the plan of a freezer. */
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "freeze_plan.h"

enum {
	TRAP_FREEZE = 1 << 23,
	NR_STATIC_BUCKETS = 16,
};

/* The plan's threads by the address of their task_struct: places in the plan, plus one. */
struct places {
	uint32_t *buckets;
	size_t nr;
};

static size_t bucket_of(const struct places *places, uint64_t task)
{
	return (size_t)((task >> 6) * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (places->nr - 1);
}

static void add_place(struct places *places, uint64_t task, uint32_t place)
{
	size_t i = bucket_of(places, task);

	while (places->buckets[i])
		i = (i + 1) & (places->nr - 1);
	places->buckets[i] = place + 1;
}

static struct ovm_error *make_places(const struct ovm_freeze_plan *plan, uint32_t nr_more,
				     struct places *ret)
{
	ret->nr = NR_STATIC_BUCKETS;
	while (ret->nr < 2 * ((size_t)plan->nr + nr_more))
		ret->nr *= 2;
	ret->buckets = calloc(ret->nr, sizeof(*ret->buckets));
	if (!ret->buckets)
		return ovm_error_no_memory();
	for (uint32_t i = 0; i < plan->nr; i++)
		add_place(ret, plan->threads[i].task.address, i);
	return NULL;
}

/* An id can change hands: a thread that executes a program takes that of its leader. */
static struct ovm_freeze_thread *find(struct ovm_freeze_plan *plan, const struct places *places,
				      const struct ovm_rec_freezable *rec)
{
	for (size_t i = bucket_of(places, rec->task); places->buckets[i];
	     i = (i + 1) & (places->nr - 1)) {
		struct ovm_freeze_thread *t = &plan->threads[places->buckets[i] - 1];

		if (t->task.address == rec->task && t->tid == rec->tid &&
		    t->start_time == rec->start_time)
			return t;
	}
	return NULL;
}

static bool in_cgroup(const struct ovm_rec_bytes *path, const char *cgroup)
{
	size_t len = strlen(cgroup);

	while (len && cgroup[len - 1] == '/')
		len--;
	return path->len >= len && (!len || !memcmp(path->data, cgroup, len)) &&
	       (path->len == len || path->data[len] == '/');
}

static struct ovm_error *add(struct ovm_freeze_plan *plan, struct ovm_writer *writer,
			     const struct ovm_rec_freezable *rec, struct ovm_freeze_thread **ret)
{
	struct ovm_freeze_thread *t = &plan->threads[plan->nr];

	if (plan->nr == plan->max)
		return ovm_error_format(OVM_ERROR_BUDGET,
					"there are more than %u threads to be frozen", plan->max);
	*t = (struct ovm_freeze_thread){
		.tid = rec->tid,
		.tgid = rec->tgid,
		.start_time = rec->start_time,
		.ours = rec->jobctl & TRAP_FREEZE && !rec->cgroup_frozen,
	};
	struct ovm_error *err =
		ovm_writer_locate(writer, plan->members.state.type, rec->task, &t->task);

	if (!err)
		err = ovm_writer_locate(writer, plan->members.group_flags.type, rec->signal,
					&t->signal);
	if (!err)
		*ret = t;
	return err;
}

/* A dying thread has lost its signal handlers, and needs them no more. */
static struct ovm_error *update(struct ovm_freeze_plan *plan, struct ovm_writer *writer,
				const struct ovm_rec_freezable *rec, struct ovm_freeze_thread *t)
{
	t->seen = true;
	t->cgroup_frozen = rec->cgroup_frozen;
	if (t->sighand.map && t->sighand.address == rec->sighand)
		return NULL;
	return ovm_writer_locate(writer, plan->members.siglock.type, rec->sighand, &t->sighand);
}

static struct ovm_error *merge_one(struct ovm_freeze_plan *plan, struct ovm_writer *writer,
				   const struct ovm_rec_freezable *rec, struct places *places,
				   bool *is_new)
{
	struct ovm_freeze_thread *t = find(plan, places, rec);
	bool known = t != NULL;
	struct ovm_error *err = NULL;

	if (!known)
		err = add(plan, writer, rec, &t);
	if (!err)
		err = update(plan, writer, rec, t);
	if (err || known)
		return err;
	/* Only now is it whole, should this process die. */
	add_place(places, rec->task, plan->nr++);
	*is_new = true;
	return NULL;
}

struct ovm_error *ovm_freeze_plan_merge(struct ovm_freeze_plan *plan, struct ovm_writer *writer,
					const struct ovm_rec_freezer *rec, const char *cgroup,
					bool *ret_new)
{
	struct places places;
	struct ovm_error *err = make_places(plan, rec->nr_threads, &places);

	*ret_new = false;
	if (err)
		return err;
	for (uint32_t i = 0; i < plan->nr; i++)
		plan->threads[i].seen = false;
	for (const struct ovm_rec_freezable *r = rec->threads; r && !err; r = r->next) {
		if (!r->sighand || r->exit_state || (cgroup && !in_cgroup(&r->cgroup, cgroup)))
			continue;
		err = merge_one(plan, writer, r, &places, ret_new);
	}
	free(places.buckets);
	return err;
}
