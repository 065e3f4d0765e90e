// SPDX-License-Identifier: GPL-2.0-only
#include "check.h"

#include <stdlib.h>

static int compare_tids(const void *a, const void *b)
{
	const int32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Sort the threads' ids, for questions that come with each file and timer. */
static bool sort_tids(struct ovm_image_report *report, const struct ovm_image_process *process)
{
	int32_t *tids = realloc(report->tids, process->nr_threads * sizeof(*tids));

	if (!tids) {
		report->out_of_memory = true;
		return false;
	}
	for (size_t i = 0; i < process->nr_threads; i++)
		tids[i] = process->threads[i].rec->tid;
	qsort(tids, process->nr_threads, sizeof(*tids), compare_tids);
	report->tids = tids;
	report->nr_tids = process->nr_threads;
	return true;
}

/* Each thread has an image, named after its id. */
static void check_tids(struct ovm_image_report *report)
{
	if (report->tids[0] < 1)
		ovm_image_reason(report, "thread %d: has an impossible id", report->tids[0]);
	for (size_t i = 1; i < report->nr_tids; i++)
		if (report->tids[i] == report->tids[i - 1])
			ovm_image_reason(report, "thread %d: is there twice", report->tids[i]);
}

bool ovm_image_has_thread(const struct ovm_image_report *report, int32_t tid)
{
	return bsearch(&tid, report->tids, report->nr_tids, sizeof(tid), compare_tids);
}

static void check_one(struct ovm_image_report *report, const struct ovm_image_process *process)
{
	report->pid = process->rec->pid;
	if (!process->nr_threads) {
		ovm_image_reason(report, "has no threads");
		return;
	}
	if (!sort_tids(report, process))
		return;
	check_tids(report);
	ovm_image_check_process(report, process);
	ovm_image_check_threads(report, process);
	ovm_image_check_timers(report, process);
	ovm_image_check_files(report, process);
	ovm_image_check_memory(report, process);
}

static struct ovm_error *check_set(struct ovm_image_report *report, const struct ovm_image_set *set)
{
	if (!set->nr_processes)
		return ovm_error_format(OVM_ERROR_USAGE, "there is no process to save");
	if (set->nr_processes > 1) {
		report->pid = set->processes[0].rec->pid;
		ovm_image_reason(report, "comes with %zu others: this version saves one process",
				 set->nr_processes - 1);
	}
	report->nr_cpus = set->nr_cpus;
	for (size_t i = 0; i < set->nr_processes; i++)
		check_one(report, &set->processes[i]);
	return ovm_image_report_finish(report);
}

struct ovm_error *ovm_image_refuse(const struct ovm_image_set *set)
{
	struct ovm_image_report report = {0};

	return check_set(&report, set);
}

struct ovm_error *ovm_image_check(const struct ovm_image_set *set)
{
	struct ovm_image_report report = {.warn = set->warn, .warn_arg = set->warn_arg};

	return check_set(&report, set);
}
