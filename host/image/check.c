// SPDX-License-Identifier: GPL-2.0-only
#include "check.h"

#include <string.h>

bool ovm_image_has_thread(const struct ovm_image_process *process, int32_t tid)
{
	for (size_t i = 0; i < process->nr_threads; i++)
		if (process->threads[i].rec->tid == tid)
			return true;
	return false;
}

static void check_one(struct ovm_image_report *report, const struct ovm_image_process *process)
{
	report->pid = process->rec->pid;
	if (!process->nr_threads) {
		ovm_image_reason(report, "has no threads");
		return;
	}
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
