// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who else has a file open.
 *
 * A pipe, an event counter, an epoll instance, a socket, a terminal, a set of watched files or a
 * locked file that another process has open too leads out of what is saved. Counters tell whether
 * there may be one; only then the descriptor tables of all processes are looked through.
 */
#include "extract.h"

/* 90ee6ed776c0 ("fs: port files to file_ref", v6.13): one reference is a counter of 0. */
struct file_ref___ovm {
	atomic_long_t refcnt;
};

struct file___ref {
	struct file_ref___ovm f_ref;
};

static u64 references(const struct file *file)
{
	if (llv_field_exists(struct file___ref, f_ref.refcnt))
		return (u64)((const struct file___ref *)file)->f_ref.refcnt.counter + 1;
	return (u64)file->f_count.counter;
}

/* Whoever has the file open holds these too; a POSIX lock is of one process alone. */
static bool has_shared_locks(const struct ovm_rec_file __host *file)
{
	const struct ovm_rec_file_lock __host *lock = file->locks;

	while (lock && lock->kind == OVM_REC_FILE_LOCK_POSIX)
		lock = lock->next;
	return lock;
}

/* Whether it means something that others have a file open, too. */
static bool connects(const struct ovm_rec_file __host *file)
{
	return file->pipe || file->eventfd || file->epoll || file->tty || file->socket ||
	       file->fsnotify || has_shared_locks(file);
}

static bool tty_leads_out(const struct ovm_rec_tty __host *tty)
{
	return tty->nr_files != tty->own_files;
}

static bool leads_out(const struct ovm_rec_file __host *file)
{
	const struct ovm_rec_pipe __host *pipe = file->pipe;
	const struct ovm_rec_tty __host *tty = file->tty;

	if (pipe && (pipe->readers != pipe->own_readers || pipe->writers != pipe->own_writers))
		return true;
	if (tty && (tty_leads_out(tty) || (tty->other && tty_leads_out(tty->other))))
		return true;
	return connects(file) && file->nr_references != file->nr_fds + file->nr_passed;
}

static void note(struct task_struct *p, struct ovm_rec_holder __host *holder)
{
	if (holder->pid)
		return;
	holder->pid = p->tgid;
	llv_strcpy(holder->comm, p->group_leader->comm);
}

static void look_at(struct ovm_files __host *files, struct task_struct *p, const struct file *file)
{
	struct ovm_rec_file __host *rec = ovm_file_find(files, OVM_IDENTITY(file));
	struct ovm_rec_pipe __host *pipe = ovm_pipe_find(files, OVM_IDENTITY(file->f_inode));

	struct ovm_rec_tty __host *tty = ovm_file_tty_find(files, file);

	if (rec)
		note(p, &rec->holder);
	if (tty && !rec)
		note(p, &tty->holder);
	if (pipe)
		note(p, &pipe->holder);
}

static void look_through(struct ovm_files __host *files, struct task_struct *p)
{
	const struct fdtable *fdt = p->files->fdt;
	unsigned int max = fdt->max_fds;

	for (unsigned int base = 0; base < max; base += BITS_PER_LONG) {
		unsigned long open = fdt->open_fds[base / BITS_PER_LONG];

		for (unsigned int bit = 0; open; bit++, open >>= 1)
			if (open & 1 && fdt->fd[base + bit])
				look_at(files, p, fdt->fd[base + bit]);
	}
}

/* Threads nearly always share one table. */
static void look_through_group(struct ovm_files __host *files, struct task_struct *leader)
{
	struct task_struct *p;
	u64 last = 0;

	list_for_each_entry(p, &leader->signal->thread_head, thread_node) {
		u64 table = OVM_IDENTITY(p->files);

		if (!table || table == last)
			continue;
		last = table;
		look_through(files, p);
	}
}

LLV_SHARED void ovm_file_holders(struct ovm_files __host *files, pid_t root)
{
	struct ovm_rec_file __host *rec;
	struct task_struct *p;
	bool out = false;

	for (rec = files->tree->files; rec; rec = rec->next) {
		if (connects(rec))
			rec->nr_references = references((const struct file *)rec->file);
		out |= leads_out(rec);
	}
	if (!out)
		return;
	for_each_process(p)
		if (!ovm_in_tree(p, root))
			look_through_group(files, p);
}
