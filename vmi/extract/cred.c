// SPDX-License-Identifier: GPL-2.0-only
/*
 * Credentials, as numbers of the initial user namespace: that is what the kernel keeps.
 */
#include <linux/securebits.h>

#include "extract.h"

enum {
	/* NGROUPS_MAX of linux/limits.h */
	GROUPS_MAX = 65536,
	/* PFA_NO_NEW_PRIVS of linux/sched.h */
	NO_NEW_PRIVS_BIT = 0,
};

static void ids(const struct cred *cred, struct ovm_rec_creds __host *creds)
{
	creds->uid = cred->uid.val;
	creds->gid = cred->gid.val;
	creds->euid = cred->euid.val;
	creds->egid = cred->egid.val;
	creds->suid = cred->suid.val;
	creds->sgid = cred->sgid.val;
	creds->fsuid = cred->fsuid.val;
	creds->fsgid = cred->fsgid.val;
}

/*
 * Two words of 32 bits, the low one first, or one of 64 bits since f122a08b197d ("capability: just
 * use a 'u64' instead of a 'u32[2]' array", v6.3): the same bytes.
 */
static void capabilities(const struct cred *cred, struct ovm_rec_creds __host *creds)
{
	creds->cap_inheritable = llv_load_u64(&cred->cap_inheritable);
	creds->cap_permitted = llv_load_u64(&cred->cap_permitted);
	creds->cap_effective = llv_load_u64(&cred->cap_effective);
	creds->cap_bounding = llv_load_u64(&cred->cap_bset);
	creds->cap_ambient = llv_load_u64(&cred->cap_ambient);
}

static void groups(const struct group_info *info, struct ovm_rec_groups __host *ret)
{
	int nr = info->ngroups;

	if (nr < 0 || nr > GROUPS_MAX)
		llv_fail(LLV_CORRUPT, info, "number of supplementary groups is out of range");
	ret->count = nr;
	llv_bytes(&ret->gids, info->gid, (u64)nr * sizeof(u32));
}

LLV_SHARED void ovm_creds(const struct task_struct *p, struct ovm_rec_creds __host *creds)
{
	/* The objective ones: what others see of the task. */
	const struct cred *cred = p->real_cred;

	ids(cred, creds);
	capabilities(cred, creds);
	creds->securebits = cred->securebits;
	creds->no_new_privs = p->atomic_flags >> NO_NEW_PRIVS_BIT & 1;
	creds->user_ns = OVM_IDENTITY(cred->user_ns);
	creds->user_ns_initial = cred->user_ns == init_task.real_cred->user_ns;
	groups(cred->group_info, &creds->groups);
}
