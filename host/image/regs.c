// SPDX-License-Identifier: GPL-2.0-only
/*
 * Registers of a thread: general, x87 and SSE, extended, TLS descriptors.
 */
#include <string.h>

#include "core.h"
#include "host/xsave.h"
#include "vmi/vcpu.h"

enum {
	/* 8 registers of 16 bytes, 16 of 16 bytes: 32-bit words. */
	ST_WORDS = 32,
	XMM_WORDS = 64,
	/* Numbers of state components, and all of them that images have. */
	YMM = 2,
	BNDREGS = 3,
	BNDCSR = 4,
	OPMASK = 5,
	ZMM_HI256 = 6,
	HI16_ZMM = 7,
	PKRU = 9,
	ALL_COMPONENTS = 0x2ff,
	/* First of the three GDT entries for set_thread_area(2). */
	GDT_ENTRY_TLS_MIN = 12,
};

static void fill_gpregs(UserX86RegsEntry *to, const struct ovm_image_thread *thread)
{
	const struct ovm_rec_regs *from = &thread->regs;

	user_x86_regs_entry__init(to);
	to->r15 = from->r15;
	to->r14 = from->r14;
	to->r13 = from->r13;
	to->r12 = from->r12;
	to->bp = from->bp;
	to->bx = from->bx;
	to->r11 = from->r11;
	to->r10 = from->r10;
	to->r9 = from->r9;
	to->r8 = from->r8;
	to->ax = from->ax;
	to->cx = from->cx;
	to->dx = from->dx;
	to->si = from->si;
	to->di = from->di;
	to->orig_ax = from->orig_ax;
	to->ip = from->ip;
	to->cs = from->cs;
	to->flags = from->flags;
	to->sp = from->sp;
	to->ss = from->ss;
	to->fs_base = thread->fs_base;
	to->gs_base = thread->gs_base;
	to->ds = thread->rec->seg_ds;
	to->es = thread->rec->seg_es;
	to->fs = thread->rec->seg_fs;
	to->gs = thread->rec->seg_gs;
	to->has_mode = true;
	to->mode = USER_X86_REGS_MODE__NATIVE;
}

/* The first 416 bytes of FXSAVE64's area (SDM volume 1, table 10-2). */
struct legacy_region {
	uint16_t cwd, swd, twd, fop;
	uint64_t rip, rdp;
	uint32_t mxcsr, mxcsr_mask;
	uint32_t st[ST_WORDS], xmm[XMM_WORDS];
};

static bool fill_legacy(struct ovm_image_pool *pool, UserX86FpregsEntry *to, const uint8_t *xsave)
{
	struct legacy_region *from = ovm_image_new(pool, struct legacy_region);

	if (!from)
		return false;
	memcpy(from, xsave, sizeof(*from));
	to->cwd = from->cwd;
	to->swd = from->swd;
	to->twd = from->twd;
	to->fop = from->fop;
	to->rip = from->rip;
	to->rdp = from->rdp;
	to->mxcsr = from->mxcsr;
	to->mxcsr_mask = from->mxcsr_mask;
	to->st_space = from->st;
	to->n_st_space = ST_WORDS;
	to->xmm_space = from->xmm;
	to->n_xmm_space = XMM_WORDS;
	return true;
}

/* A component that the guest's CPU has; NULL when memory is out. */
static void *copy_component(struct ovm_image_pool *pool, const struct ovm_image_thread *thread,
			    struct ovm_xsave_component component)
{
	void *ret = ovm_image_alloc(pool, 1, component.size);

	if (ret)
		memcpy(ret, thread->xsave + component.offset, component.size);
	return ret;
}

static bool fill_xsave(struct ovm_image_pool *pool, UserX86XsaveEntry *to,
		       const struct ovm_image_thread *thread, uint64_t features)
{
	const struct {
		unsigned int number;
		void *words;
		size_t *nr, width;
	} parts[] = {
		{YMM, &to->ymmh_space, &to->n_ymmh_space, sizeof(uint32_t)},
		{BNDREGS, &to->bndreg_state, &to->n_bndreg_state, sizeof(uint64_t)},
		{BNDCSR, &to->bndcsr_state, &to->n_bndcsr_state, sizeof(uint64_t)},
		{OPMASK, &to->opmask_reg, &to->n_opmask_reg, sizeof(uint64_t)},
		{ZMM_HI256, &to->zmm_upper, &to->n_zmm_upper, sizeof(uint64_t)},
		{HI16_ZMM, &to->hi16_zmm, &to->n_hi16_zmm, sizeof(uint64_t)},
		{PKRU, &to->pkru, &to->n_pkru, sizeof(uint32_t)},
	};

	memcpy(&to->xstate_bv, thread->xsave + OVM_XSAVE_HEADER, sizeof(to->xstate_bv));
	to->xstate_bv &= features;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		struct ovm_xsave_component component = ovm_xsave_component(parts[i].number);

		if (!(features >> parts[i].number & 1))
			continue;
		void *copy = copy_component(pool, thread, component);

		if (!copy)
			return false;
		memcpy(parts[i].words, &copy, sizeof(copy));
		*parts[i].nr = component.size / parts[i].width;
	}
	return true;
}

/* struct user_desc from an 8-byte descriptor (SDM volume 3, 3.4.5). */
static void fill_tls(UserDescT *to, uint32_t number, uint64_t descriptor)
{
	user_desc_t__init(to);
	to->entry_number = number;
	to->base_addr = (uint32_t)((descriptor >> 16 & 0xffffff) | (descriptor >> 56 & 0xff) << 24);
	to->limit = (uint32_t)((descriptor & 0xffff) | (descriptor >> 48 & 0xf) << 16);
	to->read_exec_only = !(descriptor >> 41 & 1);
	to->contents_l = descriptor >> 42 & 1;
	to->contents_h = descriptor >> 43 & 1;
	to->seg_not_present = !(descriptor >> 47 & 1);
	to->usable = descriptor >> 52 & 1;
	to->seg_32bit = descriptor >> 54 & 1;
	to->limit_in_pages = descriptor >> 55 & 1;
}

struct thread_parts {
	ThreadInfoX86 info;
	UserX86RegsEntry gpregs;
	UserX86FpregsEntry fpregs;
	UserX86XsaveEntry xsave;
	UserDescT tls[OVM_REC_NR_TLS], *tls_pointers[OVM_REC_NR_TLS];
};

ThreadInfoX86 *ovm_image_thread_info(struct ovm_image_pool *pool,
				     const struct ovm_image_thread *thread)
{
	struct thread_parts *parts = ovm_image_new(pool, struct thread_parts);
	uint64_t features = thread->rec->user_xfeatures & ALL_COMPONENTS;

	if (!parts)
		return NULL;
	thread_info_x86__init(&parts->info);
	user_x86_fpregs_entry__init(&parts->fpregs);
	user_x86_xsave_entry__init(&parts->xsave);
	fill_gpregs(&parts->gpregs, thread);
	if (!fill_legacy(pool, &parts->fpregs, thread->xsave))
		return NULL;
	/* No extended state: the CPU knows FXSAVE only. */
	if (features) {
		if (!fill_xsave(pool, &parts->xsave, thread, features))
			return NULL;
		parts->fpregs.xsave = &parts->xsave;
	}
	for (uint32_t i = 0; i < OVM_REC_NR_TLS; i++) {
		fill_tls(&parts->tls[i], GDT_ENTRY_TLS_MIN + i, thread->rec->tls[i]);
		parts->tls_pointers[i] = &parts->tls[i];
	}
	parts->info.clear_tid_addr = thread->rec->clear_child_tid;
	parts->info.gpregs = &parts->gpregs;
	parts->info.fpregs = &parts->fpregs;
	parts->info.tls = parts->tls_pointers;
	parts->info.n_tls = OVM_REC_NR_TLS;
	return &parts->info;
}
