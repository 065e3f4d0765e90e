// SPDX-License-Identifier: GPL-2.0-only
/*
 * What of a process as a whole can't be represented, or is lost.
 */
#include <signal.h>

#include "check.h"

enum {
	/* signal_struct.flags */
	SIGNAL_GROUP_EXIT = 4,
};

static void check_namespaces(struct ovm_image_report *report, const struct ovm_rec_namespaces *ns)
{
	const struct {
		const char *name;
		bool initial;
	} table[] = {
		{"mount", ns->mnt_initial},   {"UTS", ns->uts_initial},
		{"network", ns->net_initial}, {"PID", ns->pid_initial},
		{"user", ns->user_initial},   {"cgroup", ns->cgroup_initial},
		{"time", ns->time_initial},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (!table[i].initial)
			ovm_image_reason(report,
					 "is in a %s namespace of its own: this version saves "
					 "processes in the initial namespaces",
					 table[i].name);
	if (ns->pid_initial && ns->pid_for_children != ns->pid)
		ovm_image_reason(report, "has set a PID namespace for its children");
	if (ns->time_initial && ns->time_for_children != ns->time)
		ovm_image_reason(report, "has set a time namespace for its children");
}

static void check_state(struct ovm_image_report *report, const struct ovm_rec_process *rec)
{
	if (rec->signal_flags & SIGNAL_GROUP_EXIT)
		ovm_image_reason(report, "is exiting");
}

static void check_resources(struct ovm_image_report *report, const struct ovm_rec_process *rec)
{
	if (rec->has_sysv_undo)
		ovm_image_reason(report, "has System V semaphores to undo on exit (SEM_UNDO)");
	if (rec->has_io_uring)
		ovm_image_reason(report, "uses io_uring, which CRIU can't restore");
	if (rec->mm.has_uprobes)
		ovm_image_reason(report, "has uprobes in its code: remove the probes");
}

static void check_signals(struct ovm_image_report *report, const struct ovm_rec_signal *signal)
{
	for (; signal; signal = signal->next) {
		if (signal->signo == SIGKILL) {
			ovm_image_reason(report, "is being killed");
			return;
		}
		if (signal->signo < 1 || signal->signo > OVM_REC_NR_SIGNALS) {
			ovm_image_reason(report, "has a pending signal with the number %d",
					 signal->signo);
			return;
		}
	}
}

static void warn_process(struct ovm_image_report *report, const struct ovm_rec_process *rec)
{
	if (rec->personality)
		ovm_image_warn(report, "personality 0x%x is not restored by CRIU",
			       rec->personality);
	if (rec->mm.thp_disabled)
		ovm_image_warn(report, "that it refuses huge pages (PR_SET_THP_DISABLE) is not "
				       "restored by CRIU");
	if (rec->mm.membarrier_state)
		ovm_image_warn(report, "its registration for membarrier(2) is not restored by "
				       "CRIU before 3.19, nor is it in the images");
}

void ovm_image_check_process(struct ovm_image_report *report, const struct ovm_image_process *p)
{
	check_state(report, p->rec);
	check_namespaces(report, &p->rec->ns);
	check_resources(report, p->rec);
	check_signals(report, p->rec->shared_pending);
	for (size_t i = 0; i < p->nr_threads; i++)
		check_signals(report, p->threads[i].rec->pending);
	warn_process(report, p->rec);
}
