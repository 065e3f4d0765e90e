// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the threads of a process share: signal actions, limits, attributes.
 */
#include <signal.h>
#include <string.h>

#include "core.h"
#include "namespaces.h"

enum {
	TASK_ALIVE = 1,
	TASK_DEAD = 2,
	TASK_STOPPED = 3,
	/* task_struct.jobctl: the signal that stopped the process last. */
	JOBCTL_STOP_SIGMASK = 0xffff,
	/* SIGKILL and SIGSTOP have no action. */
	NR_SIGACTIONS = OVM_REC_NR_SIGNALS - 2,
};

struct signal_parts {
	SiginfoEntry entry;
	uint8_t info[OVM_REC_SIGINFO_LEN];
};

static SiginfoEntry *make_siginfo(struct ovm_image_pool *pool, const struct ovm_rec_signal *signal)
{
	struct signal_parts *parts = ovm_image_new(pool, struct signal_parts);

	if (!parts)
		return NULL;
	siginfo_entry__init(&parts->entry);
	memcpy(parts->info, signal->info, sizeof(parts->info));
	/* si_signo comes first. */
	memcpy(parts->info, &signal->signo, sizeof(signal->signo));
	parts->entry.siginfo.data = parts->info;
	parts->entry.siginfo.len = sizeof(parts->info);
	return &parts->entry;
}

SignalQueueEntry *ovm_image_signals(struct ovm_image_pool *pool,
				    const struct ovm_rec_signal *signals)
{
	SignalQueueEntry *queue = ovm_image_new(pool, SignalQueueEntry);
	size_t nr = 0;

	for (const struct ovm_rec_signal *signal = signals; signal; signal = signal->next)
		nr++;
	if (!queue)
		return NULL;
	signal_queue_entry__init(queue);
	queue->signals = ovm_image_alloc(pool, nr, sizeof(*queue->signals));
	if (!queue->signals)
		return NULL;
	for (const struct ovm_rec_signal *signal = signals; signal; signal = signal->next) {
		SiginfoEntry *entry = make_siginfo(pool, signal);

		if (!entry)
			return NULL;
		queue->signals[queue->n_signals++] = entry;
	}
	return queue;
}

struct task_parts {
	TaskCoreEntry entry;
	SaEntry actions[NR_SIGACTIONS], *action_pointers[NR_SIGACTIONS];
	TaskRlimitsEntry rlimits;
	RlimitEntry limits[OVM_REC_NR_RLIMITS], *limit_pointers[OVM_REC_NR_RLIMITS];
};

static void fill_sigactions(struct task_parts *parts, const struct ovm_rec_process *rec)
{
	for (int signo = 1; signo <= OVM_REC_NR_SIGNALS; signo++) {
		const struct ovm_rec_sigaction *action = &rec->sigactions[signo - 1];

		if (signo == SIGKILL || signo == SIGSTOP)
			continue;
		SaEntry *entry = &parts->actions[parts->entry.n_sigactions];

		sa_entry__init(entry);
		entry->sigaction = action->handler;
		entry->flags = action->flags;
		entry->restorer = action->restorer;
		entry->mask = action->mask;
		entry->has_compat_sigaction = true;
		parts->action_pointers[parts->entry.n_sigactions++] = entry;
	}
	parts->entry.sigactions = parts->action_pointers;
}

static void fill_rlimits(struct task_parts *parts, const struct ovm_rec_process *rec)
{
	task_rlimits_entry__init(&parts->rlimits);
	for (size_t i = 0; i < OVM_REC_NR_RLIMITS; i++) {
		rlimit_entry__init(&parts->limits[i]);
		parts->limits[i].cur = rec->rlimits[i].cur;
		parts->limits[i].max = rec->rlimits[i].max;
		parts->limit_pointers[i] = &parts->limits[i];
	}
	parts->rlimits.rlimits = parts->limit_pointers;
	parts->rlimits.n_rlimits = OVM_REC_NR_RLIMITS;
	parts->entry.rlimits = &parts->rlimits;
}

static void fill_attributes(TaskCoreEntry *entry, const struct ovm_rec_process *rec)
{
	entry->task_state = rec->stopped ? TASK_STOPPED : TASK_ALIVE;
	entry->has_stop_signo = rec->stopped;
	if (rec->stopped)
		entry->stop_signo = (int32_t)(rec->threads->jobctl & JOBCTL_STOP_SIGMASK);
	entry->personality = rec->personality;
	entry->flags = rec->threads->flags;
	entry->has_cg_set = true;
	entry->cg_set = OVM_IMAGE_CGROUP_SET;
	entry->has_loginuid = true;
	entry->loginuid = rec->loginuid;
	entry->has_oom_score_adj = true;
	entry->oom_score_adj = rec->oom_score_adj;
	entry->has_child_subreaper = true;
	entry->child_subreaper = rec->child_subreaper;
}

static char *comm(struct ovm_image_pool *pool, const struct ovm_image_process *process)
{
	const struct ovm_rec_thread *leader = process->threads[0].rec;

	return ovm_image_string(pool, leader->comm, strnlen(leader->comm, sizeof(leader->comm)));
}

TaskCoreEntry *ovm_image_zombie_core(struct ovm_image_pool *pool,
				     const struct ovm_image_process *process)
{
	TaskCoreEntry *entry = ovm_image_new(pool, TaskCoreEntry);

	if (!entry)
		return NULL;
	task_core_entry__init(entry);
	entry->task_state = TASK_DEAD;
	entry->exit_code = (uint32_t)process->rec->exit_code;
	entry->comm = comm(pool, process);
	return entry->comm ? entry : NULL;
}

TaskCoreEntry *ovm_image_task_core(struct ovm_image_pool *pool,
				   const struct ovm_image_process *process)
{
	struct task_parts *parts = ovm_image_new(pool, struct task_parts);
	const struct ovm_image_thread *leader = &process->threads[0];

	if (!parts)
		return NULL;
	TaskCoreEntry *entry = &parts->entry;

	task_core_entry__init(entry);
	fill_attributes(entry, process->rec);
	fill_sigactions(parts, process->rec);
	fill_rlimits(parts, process->rec);
	entry->blk_sigset = leader->blocked;
	entry->comm = comm(pool, process);
	entry->timers = ovm_image_timers(pool, process);
	entry->signals_s = ovm_image_signals(pool, process->rec->shared_pending);
	return entry->comm && entry->timers && entry->signals_s ? entry : NULL;
}
