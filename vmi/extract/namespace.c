// SPDX-License-Identifier: GPL-2.0-only
/*
 * Namespaces. The initial ones are those of init_task, which never leaves them.
 */
#include <linux/time_namespace.h>

#include "extract.h"

static const u64 ns_per_second = 1000000000;

static __s64 nanoseconds(const struct timespec64 *ts)
{
	return (__s64)((u64)ts->tv_sec * ns_per_second + (u64)ts->tv_nsec);
}

/* Time namespaces came with 769071ac9f20 ("ns: Introduce Time Namespace", v5.6). */
static void time_namespace(const struct nsproxy *nsproxy, const struct nsproxy *initial,
			   struct ovm_rec_namespaces __host *ns)
{
	ns->time_initial = 1;
	if (!llv_field_exists(struct nsproxy, time_ns))
		return;
	ns->time = OVM_IDENTITY(nsproxy->time_ns);
	ns->time_for_children = OVM_IDENTITY(nsproxy->time_ns_for_children);
	ns->time_initial = nsproxy->time_ns == initial->time_ns;
	if (ns->time_initial || !llv_field_exists(struct time_namespace, offsets))
		return;
	ns->time_monotonic_offset = nanoseconds(&nsproxy->time_ns->offsets.monotonic);
	ns->time_boottime_offset = nanoseconds(&nsproxy->time_ns->offsets.boottime);
}

LLV_SHARED void ovm_namespaces(struct task_struct *p, struct ovm_rec_namespaces __host *ns)
{
	const struct nsproxy *nsproxy = p->nsproxy, *initial = init_task.nsproxy;

	ns->pid = OVM_IDENTITY(ovm_task_pid_ns(p));
	ns->pid_initial = ns->pid == OVM_IDENTITY(ovm_task_pid_ns(&init_task));
	ns->user = OVM_IDENTITY(p->real_cred->user_ns);
	ns->user_initial = ns->user == OVM_IDENTITY(init_task.real_cred->user_ns);
	if (!nsproxy) /* it is exiting */
		return;
	ns->mnt = OVM_IDENTITY(nsproxy->mnt_ns);
	ns->uts = OVM_IDENTITY(nsproxy->uts_ns);
	ns->ipc = OVM_IDENTITY(nsproxy->ipc_ns);
	ns->net = OVM_IDENTITY(nsproxy->net_ns);
	ns->cgroup = OVM_IDENTITY(nsproxy->cgroup_ns);
	ns->pid_for_children = OVM_IDENTITY(nsproxy->pid_ns_for_children);
	ns->mnt_initial = nsproxy->mnt_ns == initial->mnt_ns;
	ns->uts_initial = nsproxy->uts_ns == initial->uts_ns;
	ns->ipc_initial = nsproxy->ipc_ns == initial->ipc_ns;
	ns->net_initial = nsproxy->net_ns == initial->net_ns;
	ns->cgroup_initial = nsproxy->cgroup_ns == initial->cgroup_ns;
	time_namespace(nsproxy, initial, ns);
}

LLV_SHARED bool ovm_in_initial_namespaces(struct task_struct *p)
{
	struct ovm_rec_namespaces __host *ns = llv_new(struct ovm_rec_namespaces);

	ovm_namespaces(p, ns);
	return ns->mnt_initial && ns->uts_initial && ns->ipc_initial && ns->net_initial &&
	       ns->pid_initial && ns->user_initial && ns->cgroup_initial && ns->time_initial;
}
