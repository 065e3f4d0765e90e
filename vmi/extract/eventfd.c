// SPDX-License-Identifier: GPL-2.0-only
/*
 * Event counters: eventfd(2).
 */
#include <linux/eventfd.h>
#include <linux/wait.h>

#include "extract.h"

/* Private to fs/eventfd.c. */
struct eventfd_ctx___ovm {
	wait_queue_head_t wqh;
	__u64 count;
	unsigned int flags;
};

LLV_SHARED bool ovm_file_is_eventfd(const struct file *file)
{
	u64 f_op = llv_symbol("eventfd_fops");

	return f_op && OVM_IDENTITY(file->f_op) == f_op;
}

static struct eventfd_ctx___ovm *context(const struct file *file)
{
	return file->private_data;
}

LLV_SHARED spinlock_t *ovm_eventfd_lock(const struct file *file)
{
	return &context(file)->wqh.lock;
}

LLV_SHARED struct ovm_rec_eventfd __host *ovm_eventfd(const struct file *file)
{
	struct ovm_rec_eventfd __host *rec = llv_new(struct ovm_rec_eventfd);

	rec->count = context(file)->count;
	rec->semaphore = !!(context(file)->flags & EFD_SEMAPHORE);
	return rec;
}
