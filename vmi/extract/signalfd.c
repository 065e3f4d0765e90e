// SPDX-License-Identifier: GPL-2.0-only
/*
 * Signals that are read: signalfd(2).
 */
#include <linux/signalfd.h>

#include "extract.h"

/* Private to fs/signalfd.c. Its mask has the signals that are not read. */
struct signalfd_ctx___ovm {
	sigset_t sigmask;
};

LLV_SHARED bool ovm_file_is_signalfd(const struct file *file)
{
	u64 f_op = llv_symbol("signalfd_fops");

	return f_op && OVM_IDENTITY(file->f_op) == f_op;
}

LLV_SHARED struct ovm_rec_signalfd __host *ovm_signalfd(const struct file *file)
{
	struct ovm_rec_signalfd __host *rec = llv_new(struct ovm_rec_signalfd);
	const struct signalfd_ctx___ovm *ctx = file->private_data;

	rec->signals = ~ctx->sigmask.sig[0];
	return rec;
}
