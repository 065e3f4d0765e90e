// SPDX-License-Identifier: GPL-2.0-only
/*
 * Relations between processes that can't be represented.
 *
 * CRIU makes processes by forking, each from its parent.  A session is inherited that way: a child
 * that is not the leader of its own is born while its parent is in that session, before or after
 * the parent has made one itself.  For children of the root it makes helpers, which lead a session
 * whose leader is gone; for others it gives up (CRIU 3.17.1, criu/pstree.c).  Of what fork(2) can
 * share (clone(2)), it knows tables of descriptors only, and only between a parent and its child.
 */
#include <stdlib.h>

#include "check.h"

enum {
	/* Ancestors looked at, in all: a guest must not keep the tool busy for ever. */
	MAX_LOOKS = 1 << 24,
	NO_SESSION = -1,
};

/* ---- parents --------------------------------------------------------------------------------- */

static const struct ovm_rec_process *process(const struct ovm_image_report *report, size_t i)
{
	return report->set->processes[i].rec;
}

/* The rest relies on that. */
static bool check_parents(struct ovm_image_report *report)
{
	bool good = true;

	for (size_t i = 0; i < report->set->nr_processes; i++) {
		const struct ovm_rec_process *rec = process(report, i), *parent = rec->parent;

		report->pid = rec->pid;
		if (rec->index == i &&
		    (i ? parent && parent->index < i && process(report, parent->index) == parent &&
				     parent->pid == rec->ppid
		       : !parent))
			continue;
		ovm_image_reason(report, "has no place in the tree of processes");
		good = false;
	}
	return good;
}

/* ---- sessions -------------------------------------------------------------------------------- */

struct sessions {
	struct ovm_image_report *report;
	/* By place: which session a process was in before its own, if children tell. */
	int32_t *born;
	size_t nr_looks;
};

/* An ancestor has to be the leader, and those in between have to have been in no other session. */
static const char *find_session(struct sessions *sessions, const struct ovm_rec_process *rec)
{
	const struct ovm_rec_process *p = rec->parent;

	for (; p && p->pid != rec->sid; p = p->parent) {
		int32_t *born = &sessions->born[p->index];

		if (++sessions->nr_looks > MAX_LOOKS)
			return "is in a tree that is too deep";
		if (*born != NO_SESSION && *born != rec->sid)
			return "is in a session that its parent was in before it changed to "
			       "another twice: CRIU can't make it anew";
		*born = rec->sid;
	}
	return p ? NULL
		 : "is in a session whose leader is gone, or not an ancestor: CRIU can't make "
		   "it anew";
}

static void check_session(struct sessions *sessions, const struct ovm_rec_process *rec)
{
	const char *problem;

	/* Helpers stand in for a leader that is gone. */
	if (rec->sid == rec->pid || rec->sid == rec->parent->sid || !rec->parent->parent)
		return;
	sessions->report->pid = rec->pid;
	problem = find_session(sessions, rec);
	if (problem)
		ovm_image_reason(sessions->report, "%s (session %d)", problem, rec->sid);
}

static void check_sessions(struct ovm_image_report *report)
{
	size_t nr = report->set->nr_processes;
	struct sessions sessions = {.report = report, .born = calloc(nr, sizeof(*sessions.born))};

	if (!sessions.born) {
		report->out_of_memory = true;
		return;
	}
	for (size_t i = 0; i < nr; i++)
		sessions.born[i] = NO_SESSION;
	for (size_t i = 1; i < nr; i++)
		check_session(&sessions, process(report, i));
	free(sessions.born);
}

/* ---- what is shared -------------------------------------------------------------------------- */

struct shared {
	uint64_t identity;
	const struct ovm_rec_process *rec;
};

static int compare_shared(const void *left, const void *right)
{
	const struct shared *a = left, *b = right;

	if (a->identity != b->identity)
		return a->identity < b->identity ? -1 : 1;
	return (a->rec->index > b->rec->index) - (a->rec->index < b->rec->index);
}

static uint64_t memory(const struct ovm_rec_process *rec)
{
	return rec->mm.identity;
}

static uint64_t handlers(const struct ovm_rec_process *rec)
{
	return rec->sighand_identity;
}

static uint64_t directories(const struct ovm_rec_process *rec)
{
	return rec->fs.identity;
}

static uint64_t descriptors(const struct ovm_rec_process *rec)
{
	return ovm_image_owns_files(rec) ? rec->files_identity : 0;
}

/* @list has room for all processes. */
static void check_kind(struct ovm_image_report *report, struct shared *list,
		       uint64_t (*identity)(const struct ovm_rec_process *rec), const char *what)
{
	size_t nr = 0;

	for (size_t i = 0; i < report->set->nr_processes; i++) {
		const struct ovm_rec_process *rec = process(report, i);

		if (!rec->zombie && identity(rec))
			list[nr++] = (struct shared){identity(rec), rec};
	}
	qsort(list, nr, sizeof(*list), compare_shared);
	for (size_t i = 1; i < nr; i++) {
		if (list[i].identity != list[i - 1].identity)
			continue;
		report->pid = list[i].rec->pid;
		ovm_image_reason(report,
				 "shares its %s with process %d (clone(2)), which CRIU can't "
				 "restore",
				 what, list[i - 1].rec->pid);
	}
}

static void check_sharing(struct ovm_image_report *report)
{
	struct shared *list = calloc(report->set->nr_processes, sizeof(*list));

	if (!list) {
		report->out_of_memory = true;
		return;
	}
	check_kind(report, list, memory, "memory");
	check_kind(report, list, handlers, "signal handlers");
	check_kind(report, list, directories, "working directory");
	check_kind(report, list, descriptors, "file descriptors");
	free(list);
}

void ovm_image_check_tree(struct ovm_image_report *report)
{
	if (process(report, 0)->zombie)
		ovm_image_reason(report, "has ended, and waits for its parent: there is nothing "
					 "to save");
	if (check_parents(report))
		check_sessions(report);
	check_sharing(report);
}
