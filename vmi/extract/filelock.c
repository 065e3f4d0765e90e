// SPDX-License-Identifier: GPL-2.0-only
/*
 * Locks on files that a process holds: POSIX, of open file descriptions, flock(2), leases.
 */
#include <linux/fs.h>

#include "extract.h"

/* a69ce85ec9af ("filelock: split common fields into struct file_lock_core", v6.9). */
struct file_lock_core___ovm {
	struct list_head flc_list;
	void *flc_owner;
	struct file *flc_file;
};

struct file_lock_core;

enum { MAX_LOCKS = 1 << 20 };

static bool is_of(u64 lock_owner, u64 lock_file, const struct file *file, u64 owner)
{
	return lock_file == OVM_IDENTITY(file) || (owner && lock_owner == owner);
}

static bool list_has_ours(const struct list_head *list, const struct file *file, u64 owner)
{
	const struct file_lock_core___ovm *core;
	const struct file_lock *lock;
	unsigned int nr = 0;

	if (llv_type_exists(struct file_lock_core)) {
		list_for_each_entry(core, list, flc_list) {
			if (is_of(OVM_IDENTITY(core->flc_owner), OVM_IDENTITY(core->flc_file), file,
				  owner))
				return true;
			if (++nr > MAX_LOCKS)
				llv_fail(LLV_CORRUPT, list, "list of file locks does not end");
		}
		return false;
	}
	list_for_each_entry(lock, list, fl_list) {
		if (is_of(OVM_IDENTITY(lock->fl_owner), OVM_IDENTITY(lock->fl_file), file, owner))
			return true;
		if (++nr > MAX_LOCKS)
			llv_fail(LLV_CORRUPT, list, "list of file locks does not end");
	}
	return false;
}

LLV_SHARED bool ovm_file_has_locks(const struct file *file, __u64 owner)
{
	const struct file_lock_context *context = file->f_inode->i_flctx;

	if (!context)
		return false;
	return list_has_ours(&context->flc_posix, file, owner) ||
	       list_has_ours(&context->flc_flock, file, 0) ||
	       list_has_ours(&context->flc_lease, file, 0);
}
