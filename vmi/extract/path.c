// SPDX-License-Identifier: GPL-2.0-only
/*
 * Paths: up from a dentry to the root of its mount, from there to where that is mounted.
 */
#include <linux/dcache.h>
#include <linux/mount.h>

#include "extract.h"

/* struct mount is private to the kernel's fs/ (fs/mount.h). */
struct mount___ovm {
	struct mount___ovm *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
	struct mnt_namespace *mnt_ns;
	/* What is mounted on it, linked by mnt_child. */
	struct list_head mnt_mounts;
	struct list_head mnt_child;
	int mnt_id;
};

enum { MAX_MOUNTS = 1 << 20 };

static const struct mount___ovm *real_mount(const struct vfsmount *mnt)
{
	return (const struct mount___ovm *)((unsigned long)mnt -
					    llv_offsetof(struct mount___ovm, mnt));
}

LLV_SHARED __s32 ovm_mnt_id(struct vfsmount *mnt)
{
	return real_mount(mnt)->mnt_id;
}

LLV_SHARED void ovm_path_root(struct ovm_rec_bytes __host *path)
{
	struct ovm_text __host *text = llv_new(struct ovm_text);

	text->text[0] = '/';
	llv_bytes_from_array(path, text->text, 1);
}

LLV_SHARED void ovm_path_prepend(struct ovm_rec_bytes __host *path, const void *name, __u64 max)
{
	struct ovm_rec_bytes __host *component = llv_new(struct ovm_rec_bytes);
	struct ovm_rec_bytes __host *separator = llv_new(struct ovm_rec_bytes);

	llv_string(component, name, max);
	ovm_path_root(separator);
	llv_concat(component, separator, component);
	llv_concat(path, component, path);
}

/* The namespace of a mount that is in none (detached, or internal) is NULL or an error code. */
static u64 namespace_of(const struct mount___ovm *mount)
{
	u64 ns = OVM_IDENTITY(mount->mnt_ns);

	return ns >= (u64)-MAX_ERRNO ? 0 : ns;
}

static bool is_at_or_below(const struct dentry *dentry, const struct dentry *top,
			   const struct dentry *root)
{
	for (unsigned int i = 0; dentry != top; i++) {
		if (dentry == root || dentry == dentry->d_parent)
			return false;
		if (i > OVM_EXTRACT_COMPONENTS_MAX)
			llv_fail(LLV_CORRUPT, dentry, "path does not end");
		dentry = dentry->d_parent;
	}
	return true;
}

/* Whether the way from the root of @mount to @dentry leads into what was mounted there since. */
static bool is_hidden(const struct dentry *dentry, const struct mount___ovm *mount)
{
	const struct mount___ovm *child;
	unsigned int nr = 0;

	list_for_each_entry(child, &mount->mnt_mounts, mnt_child) {
		if (++nr > MAX_MOUNTS)
			llv_fail(LLV_CORRUPT, mount, "list of mounts does not end");
		if (is_at_or_below(dentry, child->mnt_mountpoint, mount->mnt.mnt_root))
			return true;
	}
	return false;
}

LLV_SHARED void ovm_path(struct dentry *dentry, struct vfsmount *mnt,
			 struct ovm_rec_bytes __host *path, __u64 __host *ns)
{
	const struct mount___ovm *mount = real_mount(mnt);
	bool hidden = is_hidden(dentry, mount);

	for (unsigned int i = 0;; i++) {
		if (i > OVM_EXTRACT_COMPONENTS_MAX || path->len > OVM_EXTRACT_PATH_MAX)
			llv_fail(LLV_CORRUPT, dentry, "path does not end");
		if (dentry == mount->mnt.mnt_root) {
			if (mount->mnt_parent == mount)
				break;
			dentry = mount->mnt_mountpoint;
			mount = mount->mnt_parent;
			if (dentry != mount->mnt.mnt_root)
				hidden |= is_hidden(dentry->d_parent, mount);
			continue;
		}
		if (dentry == dentry->d_parent)
			break; /* the root of the mount was moved below it */
		ovm_path_prepend(path, dentry->d_name.name, OVM_EXTRACT_NAME_MAX);
		dentry = dentry->d_parent;
	}
	*ns = dentry == mount->mnt.mnt_root && !hidden ? namespace_of(mount) : 0;
	if (!path->len)
		ovm_path_root(path);
}
