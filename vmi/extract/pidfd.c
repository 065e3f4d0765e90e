// SPDX-License-Identifier: GPL-2.0-only
/*
 * Descriptors of processes: pidfd_open(2).
 */
#include "extract.h"

/* cb12fd8e0dab ("pidfd: add pidfs", v6.9): files have an inode for each process since then. */
static const struct pid *process_of(const struct file *file)
{
	u64 f_op = OVM_IDENTITY(file->f_op);

	if (!f_op)
		return NULL;
	if (f_op == llv_symbol("pidfs_file_operations"))
		return file->f_inode->i_private;
	if (f_op == llv_symbol("pidfd_fops"))
		return file->private_data;
	return NULL;
}

LLV_SHARED __s32 ovm_pidfd(const struct file *file)
{
	return ovm_pid_nr(process_of(file));
}
