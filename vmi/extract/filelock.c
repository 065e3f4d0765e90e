// SPDX-License-Identifier: GPL-2.0-only
/*
 * Locks on files that processes hold: POSIX, of open file descriptions, flock(2), leases.
 *
 * An inode has a list of each; those of one kind that belong to the same owner don't overlap. The
 * owner of a POSIX lock is the descriptor table that it was taken with, and it goes when any
 * descriptor of the inode is closed; the owner of all others is the open file.
 */
#include <linux/fcntl.h>
#include <linux/fs.h>

#include "extract.h"

/* a69ce85ec9af ("filelock: split common fields into struct file_lock_core", v6.9). */
struct file_lock_core___ovm {
	struct list_head flc_list;
	struct list_head flc_blocked_requests;
	struct list_head flc_blocked_member;
	int flc_pid;
	void *flc_owner;
	unsigned int flc_flags;
	unsigned char flc_type;
	struct file *flc_file;
};

struct file_lock_core;

struct file_lock___core {
	struct file_lock_core___ovm c;
	loff_t fl_start;
	loff_t fl_end;
};

enum {
	MAX_LOCKS = 1 << 20,
	/* Waiters that wait for one another are looked at so deep. */
	MAX_WAITERS = 1 << 16,
	MAX_DEPTH = 32,
	K_FL_POSIX = 1,
	K_FL_FLOCK = 2,
	K_FL_LEASE = 32,
	K_FL_BREAKING = 64 | 128, /* FL_DOWNGRADE_PENDING, FL_UNLOCK_PENDING */
	K_FL_OFDLCK = 1024,
};

/* Where the locks of one file are put. */
struct found {
	struct ovm_rec_file_lock __host *first;
	struct ovm_rec_file_lock __host *__host *link;
	u64 file;
	u32 nr;
};

static enum ovm_rec_file_lock_kind kind_of(u32 flags)
{
	if (flags & K_FL_OFDLCK)
		return OVM_REC_FILE_LOCK_OFD;
	if (flags & K_FL_POSIX)
		return OVM_REC_FILE_LOCK_POSIX;
	if (flags & K_FL_FLOCK)
		return OVM_REC_FILE_LOCK_FLOCK;
	if (flags & K_FL_LEASE && !(flags & K_FL_BREAKING))
		return OVM_REC_FILE_LOCK_LEASE;
	return OVM_REC_FILE_LOCK_OTHER;
}

static struct ovm_rec_file_lock __host *add(struct found __host *found, u32 flags, u32 type,
					    u64 owner)
{
	struct ovm_rec_file_lock __host *rec = llv_new(struct ovm_rec_file_lock);

	rec->kind = kind_of(flags);
	rec->owner = owner;
	rec->exclusive = type == F_WRLCK;
	if (type != F_WRLCK && type != F_RDLCK)
		rec->kind = OVM_REC_FILE_LOCK_OTHER;
	*found->link = rec;
	found->link = &rec->next;
	return rec;
}

static void add_waiter(struct ovm_rec_file_lock __host *rec, __s32 pid)
{
	struct ovm_rec_lock_waiter __host *waiter = llv_new(struct ovm_rec_lock_waiter);

	waiter->pid = pid;
	waiter->next = rec->waiters;
	rec->waiters = waiter;
}

/*
 * Requests that wait for a lock, and those that wait for them. Locks of open files are nobody's:
 * their requests have the pid -1.
 */
LLV_SHARED u32 ovm_lock_waiters(struct ovm_rec_file_lock __host *rec,
				const struct list_head *requests, u32 nr, u32 depth)
{
	const struct file_lock_core___ovm *core;
	const struct file_lock *lock;

	if (requests->next == requests)
		return nr;
	if (depth > MAX_DEPTH) {
		add_waiter(rec, 0);
		return nr + 1;
	}
	if (llv_type_exists(struct file_lock_core)) {
		list_for_each_entry(core, requests, flc_blocked_member) {
			if (++nr > MAX_WAITERS)
				llv_fail(LLV_CORRUPT, requests, "list of waiters does not end");
			add_waiter(rec, core->flc_pid);
			nr = ovm_lock_waiters(rec, &core->flc_blocked_requests, nr, depth + 1);
		}
		return nr;
	}
	list_for_each_entry(lock, requests, fl_blocked_member) {
		if (++nr > MAX_WAITERS)
			llv_fail(LLV_CORRUPT, requests, "list of waiters does not end");
		add_waiter(rec, (__s32)lock->fl_pid);
		nr = ovm_lock_waiters(rec, &lock->fl_blocked_requests, nr, depth + 1);
	}
	return nr;
}

static void count(struct found __host *found, const struct list_head *list)
{
	if (++found->nr > MAX_LOCKS)
		llv_fail(LLV_CORRUPT, list, "list of file locks does not end");
}

static void one_with_core(struct found __host *found, const struct file_lock_core___ovm *core)
{
	const struct file_lock___core *lock;
	struct ovm_rec_file_lock __host *rec;

	if (OVM_IDENTITY(core->flc_file) != found->file)
		return;
	rec = add(found, core->flc_flags, core->flc_type, OVM_IDENTITY(core->flc_owner));
	ovm_lock_waiters(rec, &core->flc_blocked_requests, 0, 0);
	/* Leases have a structure of their own, and no range. */
	if (core->flc_flags & K_FL_POSIX) {
		lock = (const struct file_lock___core *)((unsigned long)core -
							 llv_offsetof(struct file_lock___core, c));
		rec->start = (u64)lock->fl_start;
		rec->end = (u64)lock->fl_end;
	}
}

static void one(struct found __host *found, const struct file_lock *lock)
{
	struct ovm_rec_file_lock __host *rec;

	if (OVM_IDENTITY(lock->fl_file) != found->file)
		return;
	rec = add(found, lock->fl_flags, lock->fl_type, OVM_IDENTITY(lock->fl_owner));
	ovm_lock_waiters(rec, &lock->fl_blocked_requests, 0, 0);
	if (lock->fl_flags & K_FL_POSIX) {
		rec->start = (u64)lock->fl_start;
		rec->end = (u64)lock->fl_end;
	}
}

static void find(struct found __host *found, const struct list_head *list)
{
	const struct file_lock_core___ovm *core;
	const struct file_lock *lock;

	if (llv_type_exists(struct file_lock_core)) {
		list_for_each_entry(core, list, flc_list) {
			one_with_core(found, core);
			count(found, list);
		}
		return;
	}
	list_for_each_entry(lock, list, fl_list) {
		one(found, lock);
		count(found, list);
	}
}

LLV_SHARED spinlock_t *ovm_file_locks_lock(const struct inode *inode)
{
	return inode->i_flctx ? &inode->i_flctx->flc_lock : NULL;
}

LLV_SHARED struct ovm_rec_file_lock __host *ovm_file_locks(const struct file *file)
{
	const struct file_lock_context *context = file->f_inode->i_flctx;
	struct found __host *found;

	if (!context)
		return NULL;
	found = llv_new(struct found);
	found->link = &found->first;
	found->file = OVM_IDENTITY(file);
	find(found, &context->flc_flock);
	find(found, &context->flc_posix);
	find(found, &context->flc_lease);
	return found->first;
}
