// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who else may write the memory of a process, by counting references.
 *
 * Each task that uses an address space or a table of descriptors holds a reference to it.  Whoever
 * can get at a shared memory object holds one to a struct file: by a descriptor, a mapping, a
 * message in flight.  Each file holds one to the dentry, which holds one to the inode.  If all that
 * are counted are the process' own, there is nobody else.  One too many, for whatever reason and
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

enum {
	/* Pairs of object and file that are compared; who has more gets no answer. */
	MAX_PAIRS = 1 << 20,
};

/* Threads that have exited have given their references back. */
static bool used_by_others(u64 references, u64 identity, struct ovm_rec_process __host *rec,
			   bool files)
{
	u64 own = 0;

	for (struct ovm_rec_thread __host *t = rec->threads; t; t = t->next)
		own += (files ? t->files : t->mm) == identity;
	return references != own;
}

static void count_own(struct ovm_rec_process __host *rec)
{
	for (struct ovm_rec_fd __host *fd = rec->fds; fd; fd = fd->next)
		if (fd->file)
			fd->file->own_refs++;
	for (struct ovm_rec_vma __host *vma = rec->mm.vmas; vma; vma = vma->next)
		if (vma->file)
			vma->file->own_refs++;
}

static bool is_exclusive(struct ovm_rec_process __host *rec,
			 const struct ovm_rec_shmem __host *shmem)
{
	const struct inode *inode = (const struct inode *)shmem->inode;
	const struct dentry *dentry = NULL;
	int nr = 0;

	for (struct ovm_rec_file __host *f = rec->files; f; f = f->next) {
		if (f->inode != shmem->inode)
			continue;
		const struct file *file = (const struct file *)f->file;

		if (nr++ && dentry != file->f_path.dentry)
			return false;
		dentry = file->f_path.dentry;
		if (file_refs(file) != f->own_refs)
			return false;
	}
	return dentry && (int)dentry->d_lockref.count == nr && inode->i_count.counter == 1;
}

static bool too_many(const struct ovm_rec_process __host *rec)
{
	u64 nr_files = 0, nr_objects = 0;

	for (struct ovm_rec_file __host *f = rec->files; f; f = f->next)
		nr_files++;
	for (struct ovm_rec_shmem __host *s = rec->shmem; s; s = s->next)
		nr_objects++;
	return nr_files * nr_objects > MAX_PAIRS;
}

LLV_SHARED void ovm_sharing(const struct task_struct *leader, struct ovm_rec_process __host *rec)
{
	const struct mm_struct *mm = leader->mm;
	const struct files_struct *files = leader->files;

	if (!mm || !files)
		return;
	rec->mm.used_by_others = used_by_others(mm->mm_users.counter, OVM_IDENTITY(mm), rec, false);
	if (rec->mm.used_by_others || too_many(rec) ||
	    used_by_others(files->count.counter, OVM_IDENTITY(files), rec, true))
		return;
	count_own(rec);
	for (struct ovm_rec_shmem __host *s = rec->shmem; s; s = s->next)
		s->exclusive = is_exclusive(rec, s);
}
