// SPDX-License-Identifier: GPL-2.0-only
/*
 * The path of a task's cgroup in the default (version 2) hierarchy.
 */
#include <linux/cgroup-defs.h>
#include <linux/kernfs.h>

#include "extract.h"

/* 633488947ef6 ("kernfs: Use RCU to access kernfs_node::parent.", v6.15). */
struct kernfs_node___rcu_parent {
	struct kernfs_node *__parent;
};

static const struct kernfs_node *kernfs_parent_of(const struct kernfs_node *kn)
{
	if (llv_field_exists(struct kernfs_node___rcu_parent, __parent))
		return ((const struct kernfs_node___rcu_parent *)kn)->__parent;
	return kn->parent;
}

LLV_SHARED void ovm_cgroup_path(struct task_struct *p, struct ovm_rec_bytes __host *path)
{
	if (!llv_field_exists(struct task_struct, cgroups) || !p->cgroups || !p->cgroups->dfl_cgrp)
		return;
	const struct kernfs_node *kn = p->cgroups->dfl_cgrp->kn;
	unsigned int depth = 0;

	for (; kn && kernfs_parent_of(kn); kn = kernfs_parent_of(kn)) {
		if (++depth > OVM_EXTRACT_COMPONENTS_MAX || path->len > OVM_EXTRACT_PATH_MAX)
			llv_fail(LLV_CORRUPT, kn, "path of a cgroup does not end");
		ovm_path_prepend(path, kn->name, OVM_EXTRACT_NAME_MAX);
	}
	if (!path->len)
		ovm_path_root(path);
}
