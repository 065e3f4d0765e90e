// SPDX-License-Identifier: GPL-2.0-only
/*
 * Filters of system calls: seccomp(2).
 *
 * A thread refers to the filter that it was given last, each filter to the one before. Threads that
 * come from one another, or that were synchronised, share them. Beside what a filter was compiled
 * to, the kernel keeps it as it was installed, if it can save processes
 * (CONFIG_CHECKPOINT_RESTORE).
 */
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "extract.h"

/* Private to kernel/seccomp.c. */
struct notification;

struct seccomp_filter___ovm {
	bool log;
	struct seccomp_filter___ovm *prev;
	struct bpf_prog *prog;
	struct notification *notif;
};

enum {
	FILTER_INSN_SIZE = 8,
	/* BPF_MAXINSNS of linux/bpf_common.h */
	MAX_FILTER_INSNS = 4096,
	/* MAX_INSNS_PER_PATH of kernel/seccomp.c; each filter counts for its own length and 4. */
	MAX_FILTERS = (1 << 18) / 8 / 5,
};

static struct ovm_rec_seccomp __host *one(const struct seccomp_filter___ovm *filter)
{
	struct ovm_rec_seccomp __host *rec = llv_new(struct ovm_rec_seccomp);
	const struct sock_fprog_kern *prog = filter->prog->orig_prog;

	rec->filter = OVM_IDENTITY(filter);
	rec->log = filter->log;
	rec->listened = filter->notif != NULL;
	if (!prog)
		return rec;
	if (prog->len > MAX_FILTER_INSNS)
		llv_fail(LLV_CORRUPT, prog, "seccomp filter is too long");
	llv_bytes(&rec->code, prog->filter, (u64)prog->len * FILTER_INSN_SIZE);
	return rec;
}

static struct ovm_rec_seccomp __host *known_as(const struct ovm_rec_thread __host *t, u64 filter)
{
	return t && t->seccomp && t->seccomp->filter == filter ? t->seccomp : NULL;
}

LLV_SHARED struct ovm_rec_seccomp __host *ovm_seccomp(const struct task_struct *p,
						      const struct ovm_rec_thread __host *leader,
						      const struct ovm_rec_thread __host *before)
{
	const struct seccomp_filter___ovm *filter = (const void *)p->seccomp.filter;
	struct ovm_rec_seccomp __host *first = NULL;
	struct ovm_rec_seccomp __host *__host *link = NULL;

	for (unsigned int nr = 0; filter; filter = filter->prev) {
		struct ovm_rec_seccomp __host *rec = known_as(leader, OVM_IDENTITY(filter));

		if (++nr > MAX_FILTERS)
			llv_fail(LLV_CORRUPT, filter, "list of seccomp filters does not end");
		if (!rec)
			rec = known_as(before, OVM_IDENTITY(filter));
		bool known = rec != NULL;

		if (!rec)
			rec = one(filter);
		if (link)
			*link = rec;
		else
			first = rec;
		if (known)
			break;
		link = &rec->prev;
	}
	return first;
}
