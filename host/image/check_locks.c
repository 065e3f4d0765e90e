// SPDX-License-Identifier: GPL-2.0-only
/*
 * Locks that can't be represented.
 *
 * CRIU takes the locks of a process once its descriptors are there, then opens what it maps by
 * path, and closes that again: with any descriptor of a file that is closed, all POSIX locks on the
 * file go.
 */
#include <stdlib.h>

#include "check.h"
#include "files.h"
#include "mm.h"
#include "vmi/cleanup.h"

enum {
	/* Looked at, once for each descriptor: a guest must not keep the tool busy for ever. */
	MAX_LOOKS = 1 << 24,
};

/* Inodes that are opened by their paths. */
struct opened {
	uint64_t *inodes;
	size_t nr;
	size_t nr_looks;
};

static int compare_inodes(const void *left, const void *right)
{
	const uint64_t *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

static void add(struct opened *opened, const struct ovm_rec_file *file)
{
	if (file)
		opened->inodes[opened->nr++] = file->inode;
}

static bool find_opened(struct opened *opened, const struct ovm_rec_process *rec)
{
	size_t max = 3;

	for (const struct ovm_rec_vma *vma = rec->mm.vmas; vma; vma = vma->next)
		max++;
	opened->inodes = calloc(max, sizeof(*opened->inodes));
	if (!opened->inodes)
		return false;
	for (const struct ovm_rec_vma *vma = rec->mm.vmas; vma; vma = vma->next)
		add(opened, vma->file);
	add(opened, rec->mm.exe);
	add(opened, rec->fs.cwd);
	add(opened, rec->fs.root);
	qsort(opened->inodes, opened->nr, sizeof(*opened->inodes), compare_inodes);
	return true;
}

/* Those of the set that wait make their calls again. */
static bool is_waited_for(const struct ovm_image_report *report, struct opened *opened,
			  const struct ovm_rec_file_lock *lock)
{
	for (const struct ovm_rec_lock_waiter *w = lock->waiters; w; w = w->next)
		if (++opened->nr_looks > MAX_LOOKS || !ovm_image_set_has_thread(report, w->pid))
			return true;
	return false;
}

static const char *problem(const struct ovm_image_report *report, struct opened *opened,
			   const struct ovm_rec_process *rec, const struct ovm_rec_file *file)
{
	for (const struct ovm_rec_file_lock *lock = file->locks; lock; lock = lock->next) {
		const char *text = ovm_image_file_lock_problem(lock);

		if (++opened->nr_looks > MAX_LOOKS)
			return "and the files before it have too many locks";
		if (!ovm_image_holds_lock(rec, lock))
			continue;
		if (text)
			return text;
		if (is_waited_for(report, opened, lock))
			return "is locked, and a process that is not saved waits for that, or is "
			       "about to: let it get the lock, or end it";
		if (lock->kind == OVM_REC_FILE_LOCK_POSIX &&
		    bsearch(&file->inode, opened->inodes, opened->nr, sizeof(*opened->inodes),
			    compare_inodes))
			return "has a POSIX lock, which CRIU would lose again, since the file is "
			       "also mapped, run or a directory of the process";
	}
	return NULL;
}

/* True, too, when there are too many to tell. */
static bool holds_any(struct opened *opened, const struct ovm_rec_process *rec,
		      const struct ovm_rec_file *file)
{
	const struct ovm_rec_file_lock *lock = file->locks;

	while (lock && ++opened->nr_looks <= MAX_LOOKS && !ovm_image_holds_lock(rec, lock))
		lock = lock->next;
	return lock;
}

void ovm_image_check_file_locks(struct ovm_image_report *report, const struct ovm_image_process *p)
{
	_cleanup_free_ uint64_t *inodes = NULL;
	struct opened opened = {0};
	bool any = false;

	for (const struct ovm_rec_fd *fd = p->rec->fds; fd && !any; fd = fd->next)
		any = fd->file && holds_any(&opened, p->rec, fd->file);
	if (!any)
		return;
	if (!find_opened(&opened, p->rec)) {
		report->out_of_memory = true;
		return;
	}
	inodes = opened.inodes;
	for (const struct ovm_rec_fd *fd = p->rec->fds; fd; fd = fd->next) {
		const char *text = fd->file ? problem(report, &opened, p->rec, fd->file) : NULL;
		char quoted[OVM_IMAGE_QUOTED_MAX];

		if (text)
			ovm_image_reason(
				report, "fd %d: %s %s", fd->fd,
				ovm_image_quote(fd->file->path.data, fd->file->path.len, quoted),
				text);
	}
	ovm_image_warn(report, "holds locks on files: they come back with 'criu restore "
			       "--file-locks' only");
}
