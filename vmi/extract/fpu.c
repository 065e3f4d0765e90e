// SPDX-License-Identifier: GPL-2.0-only
/*
 * The floating point and vector state that the kernel saved at the last switch.
 */
#include <linux/mm.h>
#include <asm/fpu/types.h>

#include "extract.h"

/* Until 87d0e5be0fac ("x86/fpu: Provide struct fpstate", v5.16) the state was part of struct fpu.
 */
struct fpu___before_5_16 {
	union fpregs_state state;
};

/*
 * cb7ca40a3882 ("x86/fpu: Make task_struct::thread constant size", v6.16) put struct fpu behind
 * the task_struct, out of any type.
 */
struct thread_struct___fpu {
	struct fpu fpu;
};

struct task_struct___fpu {
	struct thread_struct___fpu thread;
};

/* 9782a712eb97 ("x86/fpu: Add PKRU storage outside of task XSAVE buffer", v5.14). */
struct thread_struct___pkru {
	u32 pkru;
};

struct rseq_data;

enum {
	FPSTATE_MAX = 16 << 10,
	FXSAVE_SIZE = 512,
	/*
	 * TIF_NEED_FPU_LOAD. The bits were renumbered with the generic ones of
	 * asm-generic/thread_info_tif.h, which came together with struct rseq_data (v6.19).
	 */
	NEED_FPU_LOAD_BIT = 14,
	NEED_FPU_LOAD_BIT_GENERIC = 19,
};

static const struct fpu *task_fpu(const struct task_struct *p)
{
	if (llv_field_exists(struct task_struct___fpu, thread.fpu))
		return &((const struct task_struct___fpu *)p)->thread.fpu;
	return (const struct fpu *)((unsigned long)p + llv_sizeof(struct task_struct));
}

static void copy_state(struct ovm_rec_thread __host *t, const void *regs, u64 size)
{
	if (size < FXSAVE_SIZE || size > FPSTATE_MAX)
		llv_fail(LLV_CORRUPT, regs, "size of the FPU state is out of range");
	llv_bytes(&t->fpstate, regs, size);
}

static void fpstate(const struct fpu *fpu, struct ovm_rec_thread __host *t)
{
	const struct fpstate *state = fpu->fpstate;

	t->xfeatures = state->xfeatures;
	t->user_xfeatures = state->user_xfeatures;
	copy_state(t, &state->regs, state->size);
}

static void fpstate_before_5_16(const struct fpu *fpu, struct ovm_rec_thread __host *t)
{
	const struct fpu___before_5_16 *old = (const struct fpu___before_5_16 *)fpu;
	u64 size = FXSAVE_SIZE;

	if (llv_symbol_exists("fpu_kernel_xstate_size"))
		size = llv_load_u32(llv_symbol("fpu_kernel_xstate_size"));
	if (llv_symbol_exists("xfeatures_mask_all"))
		t->xfeatures = llv_load_u64(llv_symbol("xfeatures_mask_all"));
	t->user_xfeatures = t->xfeatures;
	copy_state(t, &old->state, size);
}

LLV_SHARED void ovm_thread_fpu(struct task_struct *p, struct ovm_rec_thread __host *t)
{
	bool generic = llv_type_exists(struct rseq_data);

	/* It matters only there, and takes a while. */
	if (p->on_cpu)
		generic = ovm_has_generic_flags();
	t->need_fpu_load =
		t->tif_flags >> (generic ? NEED_FPU_LOAD_BIT_GENERIC : NEED_FPU_LOAD_BIT) & 1;
	t->has_pkru = llv_field_exists(struct thread_struct___pkru, pkru);
	if (t->has_pkru)
		t->pkru = ((const struct thread_struct___pkru *)&p->thread)->pkru;
	if (p->flags & PF_KTHREAD)
		return;
	if (llv_field_exists(struct fpu, fpstate))
		fpstate(task_fpu(p), t);
	else
		fpstate_before_5_16(task_fpu(p), t);
}
