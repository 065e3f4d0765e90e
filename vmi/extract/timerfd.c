// SPDX-License-Identifier: GPL-2.0-only
/*
 * Timers behind descriptors: timerfd_create(2).
 */
#include <linux/hrtimer.h>
#include <linux/timerfd.h>
#include <linux/wait.h>

#include "extract.h"
#include "timer.h"

/* Private to fs/timerfd.c. Clocks that wake the machine have a struct alarm in this place. */
struct timerfd_ctx___ovm {
	union {
		struct hrtimer tmr;
	} t;
	ktime_t tintv;
	ktime_t moffs;
	wait_queue_head_t wqh;
	u64 ticks;
	int clockid;
	short unsigned int expired;
	short unsigned int settime_flags;
	bool might_cancel;
};

LLV_SHARED bool ovm_file_is_timerfd(const struct file *file)
{
	u64 f_op = llv_symbol("timerfd_fops");

	return f_op && OVM_IDENTITY(file->f_op) == f_op;
}

static struct timerfd_ctx___ovm *context(const struct file *file)
{
	return file->private_data;
}

static bool is_alarm(const struct timerfd_ctx___ovm *ctx)
{
	return ctx->clockid == CLOCK_REALTIME_ALARM || ctx->clockid == CLOCK_BOOTTIME_ALARM;
}

LLV_SHARED spinlock_t *ovm_timerfd_lock(const struct file *file)
{
	return &context(file)->wqh.lock;
}

LLV_SHARED bool ovm_timerfd_fires(const struct file *file)
{
	const struct timerfd_ctx___ovm *ctx = context(file);

	return !is_alarm(ctx) && ctx->t.tmr.base->running == &ctx->t.tmr;
}

static void expiry(const struct timerfd_ctx___ovm *ctx, struct ovm_rec_timerfd __host *rec)
{
	rec->armed = ovm_hrtimer_queued(&ctx->t.tmr);
	rec->expires = ctx->t.tmr.node.expires;
	rec->base_clock = ovm_hrtimer_clock(ctx->t.tmr.base);
}

LLV_SHARED struct ovm_rec_timerfd __host *ovm_timerfd(const struct file *file)
{
	struct ovm_rec_timerfd __host *rec = llv_new(struct ovm_rec_timerfd);
	const struct timerfd_ctx___ovm *ctx = context(file);

	rec->clock = ctx->clockid;
	rec->settime_flags = ctx->settime_flags;
	rec->ticks = ctx->ticks;
	rec->interval = ctx->tintv;
	rec->expired = ctx->expired != 0;
	/* timerfd_clock_was_set() */
	rec->cancelled = ctx->might_cancel && ctx->moffs == KTIME_MAX;
	if (!is_alarm(ctx))
		expiry(ctx, rec);
	return rec;
}
