// SPDX-License-Identifier: GPL-2.0-only
/*
 * Thawing and killing processes that were dumped, or that somebody else left frozen.
 */
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "vmi/cleanup.h"
#include "vmi/freeze.h"
#include "vmi/text.h"

enum {
	INIT_PID = 1,
	MAX_CGROUP = 4096,
};

void ovm_log_write(void *arg, const struct ovm_write *write)
{
	ovm_log(arg, OVM_LOG_INFO, "write %s.%s of 0x%llx, at 0x%llx: 0x%llx -> 0x%llx",
		write->type, write->member, (unsigned long long)write->object,
		(unsigned long long)write->address, (unsigned long long)write->from,
		(unsigned long long)write->to);
}

struct ovm_error *ovm_make_freezer(struct ovm *ovm, unsigned int timeout_ms,
				   struct ovm_freezer **ret)
{
	struct ovm_freezer_options options = {
		.size = sizeof(options),
		.vm = ovm->vm,
		.kernel = ovm->kernel,
		.llv = ovm->llv,
		.timeout_ms = timeout_ms,
		.log = ovm_log_write,
		.log_arg = ovm,
	};

	*ret = NULL;
	if (ovm->read_only)
		return ovm_error_format(OVM_ERROR_USAGE,
					"this needs writes to guest memory, which were forbidden "
					"(--read-only)");
	return ovm_freezer_create(&options, ret);
}

/* ---- which processes ------------------------------------------------------------------------- */

static struct ovm_error *check_options(const struct ovm_processes_options *options)
{
	if (options->cgroup) {
		if (options->pid)
			return ovm_error_format(OVM_ERROR_USAGE,
						"a process and a cgroup were given: give one");
		if (options->cgroup[0] != '/' || strlen(options->cgroup) >= MAX_CGROUP)
			return ovm_error_format(OVM_ERROR_USAGE,
						"'%.64s' is no cgroup: its path begins with '/', "
						"the root of the cgroup v2 hierarchy",
						options->cgroup);
		return NULL;
	}
	if (options->pid <= 0)
		return ovm_error_format(OVM_ERROR_USAGE, "no process and no cgroup was given");
	return NULL;
}

/* The path as the kernel has it: no slash at its end, but for the root's. */
static char *copy_cgroup(const char *cgroup)
{
	char *copy = strdup(cgroup);

	for (size_t len = copy ? strlen(copy) : 0; len > 1 && copy[len - 1] == '/'; len--)
		copy[len - 1] = '\0';
	return copy;
}

/* Whether a process is in a cgroup or below it; both paths cleaned. */
static bool in_cgroup(const struct ovm_process *process, const char *cgroup)
{
	size_t len = strlen(cgroup);

	if (len == 1)
		return true;
	return !strncmp(process->cgroup, cgroup, len) &&
	       (!process->cgroup[len] || process->cgroup[len] == '/');
}

/* Processes that the kernel itself can't do without. */
static struct ovm_error *check_process(const struct ovm_process *process)
{
	struct ovm_error *err;

	if (process->pid == INIT_PID)
		err = ovm_error_format(OVM_ERROR_USAGE,
				       "process 1 (%s) is the guest's init, without which its "
				       "kernel panics: name a process or cgroup below it",
				       process->comm);
	else if (process->kernel_thread)
		err = ovm_error_format(OVM_ERROR_USAGE,
				       "process %d (%s) is a thread of the guest's kernel: these "
				       "are neither frozen nor killed",
				       process->pid, process->comm);
	else
		return NULL;
	err->pid = process->pid;
	return err;
}

static struct ovm_error *error_not_found(const struct ovm_freeze_set *set)
{
	struct ovm_error *err;

	if (set->cgroup)
		return ovm_error_format(OVM_ERROR_NOT_FOUND,
					"the guest has no process in cgroup %s: 'ovm-gpu ps "
					"--json' tells the cgroup of each",
					set->cgroup);
	err = ovm_error_format(OVM_ERROR_NOT_FOUND,
			       "the guest has no process %d: 'ovm-gpu ps' lists them", set->pid);
	err->pid = set->pid;
	return err;
}

/* Refuse what must not be touched, by name, before anything is. */
static struct ovm_error *check_set(struct ovm *ovm, const struct ovm_freeze_set *set)
{
	_cleanup_free_ char *cgroup = set->cgroup ? strdup(set->cgroup) : NULL;
	struct ovm_process_list *list = NULL;
	bool found = false;

	if (set->cgroup && !cgroup)
		return ovm_error_no_memory();
	if (cgroup)
		ovm_text_clean(cgroup, strlen(cgroup));
	struct ovm_error *err = ovm_ps(ovm, &list);

	for (size_t i = 0; !err && i < list->nr; i++) {
		const struct ovm_process *process = &list->processes[i];

		if (cgroup ? !in_cgroup(process, cgroup) : process->pid != set->pid)
			continue;
		found = true;
		err = check_process(process);
	}
	ovm_process_list_free(list);
	return err || found ? err : error_not_found(set);
}

/* ---- operations ------------------------------------------------------------------------------ */

static void fill_result(const struct ovm_freeze_stats *stats, struct ovm_processes_result *result)
{
	size_t size = result->size;
	struct ovm_processes_result whole = {
		.size = size,
		.nr_processes = stats->nr_processes,
		.nr_threads = stats->nr_threads,
		.nr_woken = stats->nr_woken,
		.nr_writes = stats->nr_writes,
		.nr_interrupts = stats->nr_interrupts,
		.nr_pauses = stats->nr_pauses,
		.paused_us_max = stats->pause_us_max,
		.paused_total_us = stats->pause_us_total,
		.total_us = stats->total_us,
	};

	memcpy(result, &whole, size < sizeof(whole) ? size : sizeof(whole));
}

static struct ovm_error *operate(struct ovm *ovm, const struct ovm_processes_options *given,
				 struct ovm_error *(*operation)(struct ovm_freezer *freezer,
								const struct ovm_freeze_set *set,
								struct ovm_freeze_stats *stats),
				 struct ovm_processes_result *result)
{
	_cleanup_free_ char *cgroup = NULL;
	struct ovm_processes_options options;
	struct ovm_freeze_stats stats = {0};
	struct ovm_freezer *freezer = NULL;
	struct ovm_error *err = ovm_options_copy(&options, sizeof(options), given);

	if (!err)
		err = check_options(&options);
	if (err)
		return err;
	cgroup = options.cgroup ? copy_cgroup(options.cgroup) : NULL;
	if (options.cgroup && !cgroup)
		return ovm_error_no_memory();
	const struct ovm_freeze_set set = {.pid = options.pid, .cgroup = cgroup};

	/* One that was meant for a dump, and came too late for that. */
	ovm_cancel_reset(ovm);
	err = check_set(ovm, &set);
	if (!err)
		err = ovm_make_freezer(ovm, options.timeout_ms, &freezer);
	if (!err)
		err = operation(freezer, &set, &stats);
	ovm_freezer_destroy(freezer);
	if (!err && result)
		fill_result(&stats, result);
	return err;
}

struct ovm_error *ovm_processes_thaw(struct ovm *ovm, const struct ovm_processes_options *options,
				     struct ovm_processes_result *result)
{
	return operate(ovm, options, ovm_thaw, result);
}

struct ovm_error *ovm_processes_kill(struct ovm *ovm, const struct ovm_processes_options *options,
				     struct ovm_processes_result *result)
{
	return operate(ovm, options, ovm_kill, result);
}
