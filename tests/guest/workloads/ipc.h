/* SPDX-License-Identifier: GPL-2.0-only */
/* System V IPC of workloads: in a namespace of their own. */
#ifndef OVM_WORKLOADS_IPC_H
#define OVM_WORKLOADS_IPC_H

#include <sched.h>
#include <sys/ipc.h>

#include "workload.h"

static inline void ipc_unshare(void)
{
	if (unshare(CLONE_NEWIPC))
		workload_skip("no IPC namespace can be had: %s", strerror(errno));
}

static inline void ipc_check_perm(const struct ipc_perm *perm, key_t key, uid_t uid, gid_t gid,
				  unsigned int mode)
{
	CHECK(perm->__key == key, "the key is %x, was %x", (unsigned)perm->__key, (unsigned)key);
	CHECK(perm->uid == uid && perm->gid == gid, "the owner is %u:%u, was %u:%u", perm->uid,
	      perm->gid, uid, gid);
	CHECK((perm->mode & 0777) == mode, "the mode is %o, was %o", perm->mode, mode);
}

#endif /* OVM_WORKLOADS_IPC_H */
