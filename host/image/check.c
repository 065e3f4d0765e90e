// SPDX-License-Identifier: GPL-2.0-only
#include "check.h"
#include "epoll.h"
#include "ipc.h"

#include <stdlib.h>

int ovm_image_compare_ids(const void *a, const void *b)
{
	const int32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Sort the ids of a process' threads, for questions that come with each file and timer. */
static bool sort_tids(struct ovm_image_report *report, const struct ovm_image_process *process)
{
	int32_t *tids = realloc(report->tids, process->nr_threads * sizeof(*tids));

	if (!tids) {
		report->out_of_memory = true;
		return false;
	}
	for (size_t i = 0; i < process->nr_threads; i++)
		tids[i] = process->threads[i].rec->tid;
	qsort(tids, process->nr_threads, sizeof(*tids), ovm_image_compare_ids);
	report->tids = tids;
	report->nr_tids = process->nr_threads;
	return true;
}

/* The same for all processes. */
static bool sort_all_tids(struct ovm_image_report *report)
{
	const struct ovm_image_set *set = report->set;
	size_t nr = 0;

	for (size_t i = 0; i < set->nr_processes; i++)
		nr += set->processes[i].nr_threads;
	report->all_tids = calloc(nr + 1, sizeof(*report->all_tids));
	if (!report->all_tids)
		return false;
	for (size_t i = 0; i < set->nr_processes; i++)
		for (size_t j = 0; j < set->processes[i].nr_threads; j++)
			report->all_tids[report->nr_all_tids++] =
				set->processes[i].threads[j].rec->tid;
	qsort(report->all_tids, nr, sizeof(*report->all_tids), ovm_image_compare_ids);
	return true;
}

static bool sort_processes(struct ovm_image_report *report)
{
	const size_t nr = report->set->nr_processes;

	report->pids = calloc(nr, sizeof(*report->pids));
	report->groups = calloc(nr, sizeof(*report->groups));
	if (!report->pids || !report->groups)
		return false;
	for (size_t i = 0; i < nr; i++) {
		report->pids[i] = report->set->processes[i].rec->pid;
		report->groups[i] = report->set->processes[i].rec->pgid;
	}
	qsort(report->pids, nr, sizeof(*report->pids), ovm_image_compare_ids);
	qsort(report->groups, nr, sizeof(*report->groups), ovm_image_compare_ids);
	return true;
}

/* Each thread has an image, named after its id. */
static void check_tids(struct ovm_image_report *report)
{
	const int32_t *tids = report->all_tids;

	if (report->nr_all_tids && tids[0] < 1)
		ovm_image_reason(report, "thread %d: has an impossible id", tids[0]);
	for (size_t i = 1; i < report->nr_all_tids; i++)
		if (tids[i] == tids[i - 1])
			ovm_image_reason(report, "thread %d: is there twice", tids[i]);
}

bool ovm_image_has_thread(const struct ovm_image_report *report, int32_t tid)
{
	return bsearch(&tid, report->tids, report->nr_tids, sizeof(tid), ovm_image_compare_ids);
}

bool ovm_image_set_has_thread(const struct ovm_image_report *report, int32_t tid)
{
	return bsearch(&tid, report->all_tids, report->nr_all_tids, sizeof(tid),
		       ovm_image_compare_ids);
}

bool ovm_image_set_has_process(const struct ovm_image_report *report, int32_t pid)
{
	return bsearch(&pid, report->pids, report->set->nr_processes, sizeof(pid),
		       ovm_image_compare_ids);
}

static void check_one(struct ovm_image_report *report, const struct ovm_image_process *process)
{
	report->pid = process->rec->pid;
	if (!process->nr_threads) {
		ovm_image_reason(report, "has no threads");
		return;
	}
	if (process->rec->zombie || !sort_tids(report, process))
		return;
	ovm_image_check_process(report, process);
	ovm_image_check_threads(report, process);
	ovm_image_check_timers(report, process);
	ovm_image_check_files(report, process);
	ovm_image_check_memory(report, process);
}

static struct ovm_error *prepare(struct ovm_image_report *report)
{
	struct ovm_error *err = ovm_image_socket_table_create(report->set, &report->sockets);

	if (!err)
		err = ovm_image_epoll_table_create(report->set, &report->epolls);
	if (!err && !(sort_all_tids(report) && sort_processes(report)))
		err = ovm_error_no_memory();
	return err;
}

static void check_all(struct ovm_image_report *report)
{
	const struct ovm_image_set *set = report->set;

	report->pid = set->processes[0].rec->pid;
	check_tids(report);
	ovm_image_check_tree(report);
	ovm_image_check_ipc(report);
	ovm_image_check_shared_memory(report);
	for (size_t i = 0; i < set->nr_processes; i++)
		check_one(report, &set->processes[i]);
	ovm_image_check_passed(report);
	ovm_image_check_ttys(report);
}

static struct ovm_error *check_set(struct ovm_image_report *report)
{
	struct ovm_error *err;

	if (!report->set->nr_processes)
		return ovm_error_format(OVM_ERROR_USAGE, "there is no process to save");
	err = prepare(report);
	if (!err)
		check_all(report);
	ovm_image_socket_table_destroy(report->sockets);
	ovm_image_epoll_table_destroy(report->epolls);
	free(report->objects);
	free(report->all_tids);
	free(report->pids);
	free(report->groups);

	struct ovm_error *reasons = ovm_image_report_finish(report);

	if (!err)
		return reasons;
	ovm_error_free(reasons);
	return err;
}

struct ovm_error *ovm_image_refuse(const struct ovm_image_set *set)
{
	struct ovm_image_report report = {.set = set};

	return check_set(&report);
}

struct ovm_error *ovm_image_check(const struct ovm_image_set *set)
{
	struct ovm_image_report report = {.set = set, .warn = set->warn, .warn_arg = set->warn_arg};

	return check_set(&report);
}
