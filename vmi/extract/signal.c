// SPDX-License-Identifier: GPL-2.0-only
/*
 * Signals: what is done about them, and which are pending.
 */
#include <linux/signal.h>

#include "extract.h"

enum {
	/* Kernel and user space have the same layout in the first bytes of siginfo_t; the rest of
	 * its 128 bytes are zero (copy_siginfo_to_user() of kernel/signal.c). */
	KERNEL_SIGINFO_SIZE = 48,
	/* Offsets in siginfo_t of x86-64 (asm-generic/siginfo.h). */
	SIGINFO_CODE = 8,
	SIGINFO_TIMER_PRIVATE = 32,
	MAX_QUEUED = 1 << 20,
};

/* A timer's signal carries a word for the kernel's own use, which user space never gets. */
static void hide_timer_private(struct ovm_rec_signal __host *sig, int code)
{
	if (code != SI_TIMER)
		return;
	for (unsigned int i = 0; i < 4; i++)
		sig->info[SIGINFO_TIMER_PRIVATE + i] = 0;
}

static struct ovm_rec_signal __host *queued(const struct sigqueue *q)
{
	struct ovm_rec_signal __host *sig = llv_new(struct ovm_rec_signal);
	u64 size = llv_sizeof(struct kernel_siginfo);

	sig->signo = q->info.si_signo;
	llv_copy_part(sig->info, &q->info, size < KERNEL_SIGINFO_SIZE ? size : KERNEL_SIGINFO_SIZE);
	hide_timer_private(sig, q->info.si_code);
	return sig;
}

/* A signal whose queue entry could not be allocated is delivered as if sent by kill(2). */
static struct ovm_rec_signal __host *unqueued(int signo)
{
	struct ovm_rec_signal __host *sig = llv_new(struct ovm_rec_signal);

	sig->signo = signo;
	sig->info[0] = signo;
	return sig;
}

LLV_SHARED struct ovm_rec_signal __host *ovm_pending(const struct sigpending *pending)
{
	struct ovm_rec_signal __host *first = NULL;
	struct ovm_rec_signal __host *__host *link = NULL;
	struct ovm_rec_signal __host *sig;
	u64 left = pending->signal.sig[0];
	unsigned int nr = 0;
	const struct sigqueue *q;

	list_for_each_entry(q, &pending->list, list) {
		if (++nr > MAX_QUEUED)
			llv_fail(LLV_CORRUPT, pending, "list of pending signals does not end");
		sig = queued(q);
		if (sig->signo < 1 || sig->signo > OVM_REC_NR_SIGNALS)
			llv_fail(LLV_CORRUPT, q, "pending signal with a number out of range");
		left &= ~(1ULL << (sig->signo - 1));
		if (link)
			*link = sig;
		else
			first = sig;
		link = &sig->next;
	}
	for (int signo = 1; signo <= OVM_REC_NR_SIGNALS; signo++) {
		if (!(left >> (signo - 1) & 1))
			continue;
		sig = unqueued(signo);
		if (link)
			*link = sig;
		else
			first = sig;
		link = &sig->next;
	}
	return first;
}

LLV_SHARED void ovm_sigactions(const struct sighand_struct *sighand,
			       struct ovm_rec_process __host *rec)
{
	rec->sighand_identity = OVM_IDENTITY(sighand);
	for (unsigned int i = 0; i < OVM_REC_NR_SIGNALS; i++) {
		const struct sigaction *sa = &sighand->action[i].sa;
		struct ovm_rec_sigaction __host *to = &rec->sigactions[i];

		to->handler = OVM_IDENTITY(sa->sa_handler);
		to->flags = sa->sa_flags;
		to->restorer = OVM_IDENTITY(sa->sa_restorer);
		to->mask = sa->sa_mask.sig[0];
	}
}
