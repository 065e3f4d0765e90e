// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a thread is besides its registers.
 */
#include <string.h>

#include "core.h"

enum {
	CAP_WORDS = 2,
	/* sizeof(struct robust_list_head) */
	ROBUST_LIST_SIZE = 24,
	SCHED_FIFO_POLICY = 1,
	SCHED_RR_POLICY = 2,
	/* Flags of sigaltstack(2). */
	ON_STACK = 1,
	DISABLED = 2,
};

static const uint32_t autodisarm = 1U << 31;

struct creds_parts {
	CredsEntry entry;
	uint32_t inheritable[CAP_WORDS], permitted[CAP_WORDS], effective[CAP_WORDS];
	uint32_t bounding[CAP_WORDS], ambient[CAP_WORDS];
};

static void split(uint32_t words[CAP_WORDS], uint64_t set)
{
	words[0] = (uint32_t)set;
	words[1] = (uint32_t)(set >> 32);
}

static void fill_capabilities(struct creds_parts *parts, const struct ovm_rec_creds *creds)
{
	CredsEntry *entry = &parts->entry;

	split(parts->inheritable, creds->cap_inheritable);
	split(parts->permitted, creds->cap_permitted);
	split(parts->effective, creds->cap_effective);
	split(parts->bounding, creds->cap_bounding);
	split(parts->ambient, creds->cap_ambient);
	entry->cap_inh = parts->inheritable;
	entry->cap_prm = parts->permitted;
	entry->cap_eff = parts->effective;
	entry->cap_bnd = parts->bounding;
	entry->cap_amb = parts->ambient;
	entry->n_cap_inh = entry->n_cap_prm = entry->n_cap_eff = entry->n_cap_bnd = CAP_WORDS;
	entry->n_cap_amb = creds->cap_ambient ? CAP_WORDS : 0;
}

static bool fill_groups(struct ovm_image_pool *pool, CredsEntry *entry,
			const struct ovm_rec_groups *groups)
{
	size_t nr = groups->gids.len / sizeof(*entry->groups);

	if (nr > groups->count)
		nr = groups->count;
	if (!nr)
		return true;
	entry->groups = ovm_image_alloc(pool, nr, sizeof(*entry->groups));
	if (!entry->groups)
		return false;
	memcpy(entry->groups, groups->gids.data, nr * sizeof(*entry->groups));
	entry->n_groups = nr;
	return true;
}

static CredsEntry *make_creds(struct ovm_image_pool *pool, const struct ovm_rec_creds *creds)
{
	struct creds_parts *parts = ovm_image_new(pool, struct creds_parts);

	if (!parts)
		return NULL;
	CredsEntry *entry = &parts->entry;

	creds_entry__init(entry);
	entry->uid = creds->uid;
	entry->gid = creds->gid;
	entry->euid = creds->euid;
	entry->egid = creds->egid;
	entry->suid = creds->suid;
	entry->sgid = creds->sgid;
	entry->fsuid = creds->fsuid;
	entry->fsgid = creds->fsgid;
	entry->secbits = creds->securebits;
	entry->has_no_new_privs = entry->no_new_privs = !!creds->no_new_privs;
	fill_capabilities(parts, creds);
	return fill_groups(pool, entry, &creds->groups) ? entry : NULL;
}

/* The state that sigaltstack(2) reports, which the kernel makes from the stack pointer. */
static uint32_t stack_flags(const struct ovm_rec_thread *rec, uint64_t sp)
{
	uint32_t keep = rec->sas_flags & autodisarm;

	if (!rec->sas_size)
		return keep | DISABLED;
	if (!keep && sp > rec->sas_sp && sp - rec->sas_sp <= rec->sas_size)
		return ON_STACK;
	return keep;
}

static void fill_scheduling(ThreadCoreEntry *entry, const struct ovm_rec_thread *rec)
{
	entry->has_sched_nice = entry->has_sched_policy = true;
	entry->sched_nice = rec->nice;
	entry->sched_policy = rec->policy;
	if (rec->policy != SCHED_FIFO_POLICY && rec->policy != SCHED_RR_POLICY)
		return;
	entry->has_sched_prio = true;
	entry->sched_prio = rec->rt_priority;
}

struct core_parts {
	ThreadCoreEntry entry;
	ThreadSasEntry sas;
	RseqEntry rseq;
};

static void fill_registered(struct core_parts *parts, const struct ovm_image_thread *thread)
{
	const struct ovm_rec_thread *rec = thread->rec;

	parts->entry.futex_rla = rec->robust_list;
	parts->entry.futex_rla_len = ROBUST_LIST_SIZE;
	thread_sas_entry__init(&parts->sas);
	parts->sas.ss_sp = rec->sas_sp;
	parts->sas.ss_size = rec->sas_size;
	parts->sas.ss_flags = stack_flags(rec, thread->regs.sp);
	parts->entry.sas = &parts->sas;
	if (!rec->rseq)
		return;
	rseq_entry__init(&parts->rseq);
	parts->rseq.rseq_abi_pointer = rec->rseq;
	parts->rseq.rseq_abi_size = rec->rseq_len;
	parts->rseq.signature = rec->rseq_sig;
	parts->entry.rseq_entry = &parts->rseq;
}

ThreadCoreEntry *ovm_image_thread_core(struct ovm_image_pool *pool,
				       const struct ovm_image_thread *thread, bool leader)
{
	struct core_parts *parts = ovm_image_new(pool, struct core_parts);
	const struct ovm_rec_thread *rec = thread->rec;

	if (!parts)
		return NULL;
	ThreadCoreEntry *entry = &parts->entry;

	thread_core_entry__init(entry);
	fill_registered(parts, thread);
	fill_scheduling(entry, rec);
	entry->has_blk_sigset = !leader;
	entry->blk_sigset = thread->blocked;
	entry->has_pdeath_sig = rec->pdeath_signal != 0;
	entry->pdeath_sig = (uint32_t)rec->pdeath_signal;
	entry->signals_p = ovm_image_signals(pool, rec->pending);
	entry->creds = make_creds(pool, &rec->creds);
	entry->comm = ovm_image_string(pool, rec->comm, strnlen(rec->comm, sizeof(rec->comm)));
	return entry->signals_p && entry->creds && entry->comm ? entry : NULL;
}
