// SPDX-License-Identifier: GPL-2.0-only
/*
 * Paths of inodes: what is watched, for example, is known by its inode alone.
 *
 * A name of it may be among the dentries that the kernel has in memory. It is worth something if a
 * mount of the process leads to it, and nothing is mounted on the way.
 */
#include <linux/dcache.h>
#include <linux/mount.h>

#include "extract.h"

struct super_block___mounts {
	struct list_head s_mounts;
};

struct mount___instance {
	struct vfsmount mnt;
	struct list_head mnt_instance;
};

/* By v6.18, the mounts of a file system are linked by plain pointers. */
struct mount___next {
	struct vfsmount mnt;
	struct mount___next *mnt_next_for_sb;
};

struct super_block___first {
	struct mount___next *s_mounts;
};

struct mount___tree {
	struct mount___tree *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
	struct list_head mnt_mounts;
	struct list_head mnt_child;
};

enum {
	MAX_MOUNTS = 1 << 16,
	MAX_ALIASES = 1 << 16,
	MAX_DEPTH = 256,
};

/* Whether something is mounted on a place in a mount. */
static bool is_covered(struct mount___tree *mount, const struct dentry *dentry)
{
	struct mount___tree *child;
	unsigned int nr = 0;

	list_for_each_entry(child, &mount->mnt_mounts, mnt_child) {
		if (nr++ >= MAX_MOUNTS)
			llv_fail(LLV_CORRUPT, mount, "list of mounts does not end");
		if (child->mnt_mountpoint == dentry)
			return true;
	}
	return false;
}

/* Whether @dentry is in the mount, and nothing is mounted on it or above it. */
static bool is_open(struct mount___tree *mount, const struct dentry *dentry)
{
	const struct dentry *root = mount->mnt.mnt_root;

	for (unsigned int i = 0; i < OVM_EXTRACT_COMPONENTS_MAX; i++) {
		if (is_covered(mount, dentry))
			return false;
		if (dentry == root)
			return true;
		if (dentry == dentry->d_parent)
			return false;
		dentry = dentry->d_parent;
	}
	return false;
}

/* Whether the path from the root of the namespace to @dentry in a mount leads there. */
static bool is_reachable(const struct vfsmount *mnt, const struct dentry *dentry)
{
	struct mount___tree *mount =
		(struct mount___tree *)((u64)mnt - llv_offsetof(struct mount___tree, mnt));

	if (!is_open(mount, dentry))
		return false;
	for (unsigned int i = 0; i < MAX_DEPTH; i++) {
		const struct dentry *mountpoint = mount->mnt_mountpoint;
		struct mount___tree *parent = mount->mnt_parent;

		if (parent == mount)
			return true;
		/* The mountpoint itself is covered by what was just looked at. */
		if (mountpoint != parent->mnt.mnt_root && !is_open(parent, mountpoint->d_parent))
			return false;
		mount = parent;
	}
	return false;
}

static bool try_mount(struct ovm_files __host *files, struct dentry *dentry, struct vfsmount *mnt,
		      struct ovm_rec_bytes __host *path)
{
	struct ovm_rec_bytes __host *found = llv_new(struct ovm_rec_bytes);
	__u64 __host *ns = llv_new(__u64);

	if (!is_reachable(mnt, dentry))
		return false;
	ovm_path(dentry, mnt, found, ns);
	if (!*ns || *ns != files->mnt_ns)
		return false;
	path->data = found->data;
	path->len = found->len;
	return true;
}

static bool try_mounts(struct ovm_files __host *files, struct dentry *dentry,
		       struct ovm_rec_bytes __host *path)
{
	const struct super_block *sb = dentry->d_sb;
	unsigned int nr = 0;

	if (llv_field_exists(struct mount___next, mnt_next_for_sb)) {
		struct mount___next *mount = ((const struct super_block___first *)sb)->s_mounts;

		for (; mount && nr++ < MAX_MOUNTS; mount = mount->mnt_next_for_sb)
			if (try_mount(files, dentry, &mount->mnt, path))
				return true;
		return false;
	}
	struct mount___instance *mount;

	list_for_each_entry(mount, &((const struct super_block___mounts *)sb)->s_mounts,
			    mnt_instance)
		if (nr++ >= MAX_MOUNTS)
			llv_fail(LLV_CORRUPT, sb, "list of mounts does not end");
		else if (try_mount(files, dentry, &mount->mnt, path))
			return true;
	return false;
}

/* In the hash of names, or the root of a tree. */
static bool has_name(const struct dentry *dentry)
{
	return dentry->d_hash.pprev || dentry == dentry->d_parent;
}

LLV_SHARED void ovm_inode_path(struct ovm_files __host *files, const struct inode *inode,
			       struct ovm_rec_bytes __host *path)
{
	struct dentry *dentry;
	unsigned int nr = 0;

	hlist_for_each_entry(dentry, &inode->i_dentry, d_u.d_alias) {
		if (nr++ >= MAX_ALIASES)
			llv_fail(LLV_CORRUPT, inode, "list of names does not end");
		if (has_name(dentry) && try_mounts(files, dentry, path))
			return;
	}
}
