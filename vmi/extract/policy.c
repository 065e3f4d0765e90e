// SPDX-License-Identifier: GPL-2.0-only
/*
 * What security modules and others have imposed on a thread, or it on others.
 *
 * Modules keep what is theirs in one piece of memory that credentials lead to, each at an offset of
 * its own, which it is told when it is initialised.
 */
#include <linux/lsm_hooks.h>

#include "extract.h"

/* Private to security/landlock/. */
struct landlock_ruleset;

struct landlock_cred_security___ovm {
	struct landlock_ruleset *domain;
};

/* Private to security/apparmor/. */
struct aa_label___ovm {
	long flags;
	char *hname;
};

struct aa_label;

/* Where CONFIG_SCHED_CORE is set. */
struct task_struct___core {
	unsigned long core_cookie;
};

enum {
	MAX_BLOB = 1 << 16,
	MAX_LABEL = 4096,
	/* FLAG_UNCONFINED of security/apparmor/include/label.h. */
	UNCONFINED = 2,
};

/* The part of one module in the memory of @cred, 0 if there is none. */
static u64 part_of(const struct cred *cred, u64 sizes, u64 initialized)
{
	const struct lsm_blob_sizes *offsets = (const struct lsm_blob_sizes *)sizes;

	if (!sizes || !initialized || !llv_load_u8(initialized) || !cred->security)
		return 0;
	int offset = offsets->lbs_cred;

	if (offset < 0 || offset > MAX_BLOB)
		llv_fail(LLV_CORRUPT, offsets, "place of a security module is out of range");
	return OVM_IDENTITY(cred->security) + offset;
}

static bool has_landlock(const struct cred *cred)
{
	u64 part = part_of(cred, llv_symbol("landlock_blob_sizes"),
			   llv_symbol("landlock_initialized"));

	return part && ((const struct landlock_cred_security___ovm *)part)->domain;
}

static void label(const struct cred *cred, struct ovm_rec_thread __host *t)
{
	u64 part = part_of(cred, llv_symbol("apparmor_blob_sizes"),
			   llv_symbol("apparmor_initialized"));

	if (!part || !llv_type_exists(struct aa_label))
		return;
	const struct aa_label___ovm *found = (const struct aa_label___ovm *)llv_load_u64(part);

	if (found && !(found->flags & UNCONFINED) && found->hname)
		llv_string(&t->lsm_label, found->hname, MAX_LABEL);
}

LLV_SHARED void ovm_thread_policy(const struct task_struct *p, struct ovm_rec_thread __host *t)
{
	const struct cred *cred = p->real_cred;

	t->landlocked = has_landlock(cred);
	label(cred, t);
	if (llv_field_exists(struct task_struct___core, core_cookie))
		t->core_cookie = ((const struct task_struct___core *)p)->core_cookie;
	if (p->ptraced.next != &p->ptraced)
		t->tracee = list_first_entry(&p->ptraced, struct task_struct, ptrace_entry)->pid;
}
