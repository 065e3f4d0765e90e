// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who else may write the memory of a tree of processes, by counting references.
 *
 * Each task that uses an address space or a table of descriptors holds a reference to it.  Whoever
 * can get at a shared memory object holds one to a struct file: by a descriptor, a mapping, a
 * message in flight.  Each file holds one to the dentry, which holds one to the inode.  If all that
 * are counted are the tree's own, there is nobody else.  One too many, for whatever reason and
 * however short a time, says that there may be.
 */
#include <linux/dcache.h>

#include "extract.h"

/* 90ee6ed776c0 ("fs: port files to file_ref", v6.13): one less than there are. */
struct file___ref {
	u64 f_ref;
};

static u64 file_refs(const struct file *file)
{
	if (llv_field_exists(struct file___ref, f_ref))
		return llv_load_u64(&((const struct file___ref *)file)->f_ref) + 1;
	return file->f_count.counter;
}

/* Threads that have exited have given their references back. */
static u64 count_users(const struct ovm_rec_process __host *rec, u64 identity, bool files)
{
	u64 nr = 0;

	for (struct ovm_rec_thread __host *t = rec->threads; t; t = t->next)
		nr += (files ? t->files : t->mm) == identity;
	return nr;
}

/* Who else uses the memory; and how many of the tree use the descriptor tables. */
static void users(struct ovm_rec_process __host *rec)
{
	const struct task_struct *leader = (const struct task_struct *)rec->task;
	const struct mm_struct *mm = leader->mm;

	if (mm)
		rec->mm.used_by_others =
			mm->mm_users.counter != count_users(rec, OVM_IDENTITY(mm), false);
	if (rec->files_owner)
		rec->files_owner->nr_files_users += count_users(rec, rec->files_identity, true);
}

/* Whether anybody else could lead to one of the tree's files by way of its processes. */
static bool has_others(const struct ovm_rec_tree __host *tree)
{
	for (struct ovm_rec_process __host *p = tree->processes; p; p = p->next) {
		const struct files_struct *files = (const struct files_struct *)p->files_identity;

		if (p->mm.used_by_others)
			return true;
		if (p->files_owner == p && files->count.counter != p->nr_files_users)
			return true;
	}
	return false;
}

static void look_at(const struct ovm_rec_file __host *rec, struct ovm_shmem_node __host *node)
{
	const struct file *file = (const struct file *)rec->file;
	u64 dentry = OVM_IDENTITY(file->f_path.dentry);

	if (node->nr_files++ && node->dentry != dentry)
		node->has_others = 1;
	node->dentry = dentry;
	if (file_refs(file) != rec->nr_fds + rec->nr_areas)
		node->has_others = 1;
}

static bool is_exclusive(const struct ovm_shmem_node __host *node)
{
	const struct inode *inode = (const struct inode *)node->shmem->inode;
	const struct dentry *dentry = (const struct dentry *)node->dentry;

	return !node->has_others && node->nr_files &&
	       (u32)dentry->d_lockref.count == node->nr_files && inode->i_count.counter == 1;
}

LLV_SHARED void ovm_sharing(struct ovm_files __host *files)
{
	const struct ovm_rec_tree __host *tree = files->tree;

	for (struct ovm_rec_process __host *p = tree->processes; p; p = p->next)
		if (!p->zombie)
			users(p);
	if (has_others(tree))
		return;
	for (struct ovm_rec_file __host *f = tree->files; f; f = f->next) {
		struct ovm_shmem_node __host *node = ovm_shmem_find(files, f->inode);

		if (node)
			look_at(f, node);
	}
	for (unsigned int i = 0; i < OVM_FILE_BUCKETS; i++)
		for (struct ovm_shmem_node __host *node = files->shmem[i]; node; node = node->next)
			node->shmem->exclusive = is_exclusive(node);
}
