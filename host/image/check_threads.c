// SPDX-License-Identifier: GPL-2.0-only
/*
 * What of threads can't be represented, or is lost.
 */
#include <string.h>

#include "check.h"
#include "host/xsave.h"
#include "seccomp.h"
#include "vmi/vcpu.h"

enum {
	PF_EXITING = 4,
	USER_CS = 0x33,
	/* Scheduling policies that CRIU restores. */
	POLICY_OTHER = 0,
	POLICY_FIFO = 1,
	POLICY_RR = 2,
	POLICY_BATCH = 3,
	POLICY_IDLE = 5,
	POLICY_DEADLINE = 6,
	MAX_PRIORITY = 99,
	NICE_MIN = -20,
	NICE_MAX = 19,
};

static void check_state(struct ovm_image_report *report, const struct ovm_image_thread *thread)
{
	const struct ovm_rec_thread *rec = thread->rec;

	if (rec->exit_state || (rec->flags & PF_EXITING))
		ovm_image_reason(report, "thread %d: has exited, or is about to", rec->tid);
	if (rec->ptrace)
		ovm_image_reason(report, "thread %d: is traced: detach the debugger or tracer",
				 rec->tid);
	if (rec->compat)
		ovm_image_reason(report,
				 "thread %d: runs 32-bit code, which this version does not "
				 "save",
				 rec->tid);
	else if (thread->regs.cs != USER_CS)
		ovm_image_reason(report, "thread %d: runs with an unusual code segment (0x%llx)",
				 rec->tid, (unsigned long long)thread->regs.cs);
}

static void check_privileges(struct ovm_image_report *report, const struct ovm_rec_thread *rec)
{
	const char *problem = ovm_image_seccomp_problem(rec);

	if (problem)
		ovm_image_reason(report, "thread %d: %s", rec->tid, problem);
	if (rec->user_dispatch_mode)
		ovm_image_reason(report,
				 "thread %d: uses syscall user dispatch, which CRIU can't "
				 "restore",
				 rec->tid);
	if (rec->io_uring)
		ovm_image_reason(report, "thread %d: uses io_uring, which CRIU can't restore",
				 rec->tid);
	if (!rec->creds.user_ns_initial)
		ovm_image_reason(report, "thread %d: has credentials of another user namespace",
				 rec->tid);
	if (rec->creds.groups.gids.len / sizeof(uint32_t) < rec->creds.groups.count)
		ovm_image_reason(report, "thread %d: its supplementary groups are not known",
				 rec->tid);
}

static void check_scheduling(struct ovm_image_report *report, const struct ovm_rec_thread *rec)
{
	bool real_time = rec->policy == POLICY_FIFO || rec->policy == POLICY_RR;

	switch (rec->policy) {
	case POLICY_OTHER:
	case POLICY_FIFO:
	case POLICY_RR:
	case POLICY_BATCH:
	case POLICY_IDLE:
		break;
	case POLICY_DEADLINE:
		ovm_image_reason(report,
				 "thread %d: is scheduled by SCHED_DEADLINE, which CRIU "
				 "can't restore",
				 rec->tid);
		break;
	default:
		ovm_image_reason(report,
				 "thread %d: has scheduling policy %u, which CRIU can't "
				 "restore",
				 rec->tid, rec->policy);
	}
	if (real_time && (rec->rt_priority < 1 || rec->rt_priority > MAX_PRIORITY))
		ovm_image_reason(report, "thread %d: has an impossible priority (%u)", rec->tid,
				 rec->rt_priority);
	if (rec->nice < NICE_MIN || rec->nice > NICE_MAX)
		ovm_image_reason(report, "thread %d: has an impossible nice value (%d)", rec->tid,
				 rec->nice);
}

/* Threads may leave everything but address space and signal handlers (unshare(2)). */
static void check_sharing(struct ovm_image_report *report, const struct ovm_rec_thread *rec,
			  const struct ovm_rec_thread *leader)
{
	const struct {
		const char *name;
		bool same;
	} table[] = {
		{"memory", rec->mm == leader->mm},
		{"signal handlers", rec->sighand == leader->sighand},
		{"file descriptors", rec->files == leader->files},
		{"working directory", rec->fs == leader->fs},
		{"namespaces", rec->nsproxy == leader->nsproxy},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (!table[i].same)
			ovm_image_reason(report, "thread %d: does not share its %s with the others",
					 rec->tid, table[i].name);
}

static void check_extended_state(struct ovm_image_report *report,
				 const struct ovm_image_thread *thread)
{
	if (!thread->xsave || thread->xsave_size < OVM_XSAVE_TILECFG) {
		ovm_image_reason(report, "thread %d: its extended state is not known",
				 thread->rec->tid);
		return;
	}
	uint64_t in_use;

	memcpy(&in_use, thread->xsave + OVM_XSAVE_HEADER, sizeof(in_use));

	for (int i; (i = ovm_xsave_unsupported(in_use)) >= 0; in_use &= ~(UINT64_C(1) << i))
		ovm_image_reason(report,
				 "thread %d: uses %s (state component %d), which CRIU can't "
				 "restore",
				 thread->rec->tid, ovm_xsave_name((unsigned int)i), i);
}

/* The parents of all others come back with them. */
static void check_registered(struct ovm_image_report *report, const struct ovm_rec_thread *rec,
			     bool root)
{
	if (rec->pdeath_signal < 0 || rec->pdeath_signal > OVM_REC_NR_SIGNALS)
		ovm_image_reason(report, "thread %d: has an impossible parent-death signal (%d)",
				 rec->tid, rec->pdeath_signal);
	else if (rec->pdeath_signal && root)
		ovm_image_warn(report,
			       "thread %d: signal %d is sent to it when its parent dies, which "
			       "after a restore is 'criu restore', unless that has -d",
			       rec->tid, rec->pdeath_signal);
}

static unsigned int allowed_cpus(const struct ovm_rec_thread *rec, uint32_t nr_cpus)
{
	const size_t nr_words = sizeof(rec->cpus_allowed) / sizeof(rec->cpus_allowed[0]);
	unsigned int nr = 0;

	for (uint32_t cpu = 0; cpu < nr_cpus && cpu / 64 < nr_words; cpu++)
		nr += rec->cpus_allowed[cpu / 64] >> (cpu % 64) & 1;
	return nr;
}

static void warn_thread(struct ovm_image_report *report, const struct ovm_rec_thread *rec)
{
	const uint32_t max_cpus = sizeof(rec->cpus_allowed) * 8;
	uint32_t nr_cpus = report->set->nr_cpus;

	if (rec->creds.no_new_privs)
		ovm_image_warn(report,
			       "thread %d: no_new_privs is not restored by CRIU before 3.19",
			       rec->tid);
	if (rec->creds.cap_ambient)
		ovm_image_warn(
			report,
			"thread %d: ambient capabilities are not restored by CRIU before 4.1",
			rec->tid);
	if (nr_cpus && nr_cpus <= max_cpus && allowed_cpus(rec, nr_cpus) < nr_cpus)
		ovm_image_warn(report, "thread %d: its CPU affinity is not restored by CRIU",
			       rec->tid);
}

void ovm_image_check_threads(struct ovm_image_report *report, const struct ovm_image_process *p)
{
	const struct ovm_rec_thread *leader = p->threads[0].rec;

	if (leader->tid != p->rec->pid)
		ovm_image_reason(report, "its main thread is not known");
	for (size_t i = 0; i < p->nr_threads; i++) {
		const struct ovm_image_thread *thread = &p->threads[i];

		check_state(report, thread);
		check_privileges(report, thread->rec);
		check_scheduling(report, thread->rec);
		check_sharing(report, thread->rec, leader);
		check_extended_state(report, thread);
		check_registered(report, thread->rec, !p->rec->parent);
		ovm_image_check_policy(report, thread->rec);
		warn_thread(report, thread->rec);
	}
	if (ovm_image_seccomp_branches(p))
		ovm_image_warn(report, "its threads share some of their seccomp filters: restored, "
				       "they have their own, and SECCOMP_FILTER_FLAG_TSYNC fails");
}
