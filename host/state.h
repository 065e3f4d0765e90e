/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The state of a tree of processes at one moment, taken while the VM is paused: records,
 * and what they mean together with the vCPUs and clocks of that moment.
 *
 * Of processes that the freezer holds, threads are in memory as a whole.  The
 * vCPUs are then read only if the guest's clock source needs them.
 */
#ifndef OVM_HOST_STATE_H
#define OVM_HOST_STATE_H

#include "context.h"
#include "host/image/image.h"
#include "host/settle.h"
#include "host/xsave.h"
#include "vmi/vcpu.h"

/* Of one process; of a zombie there are the record and one thread's. */
struct ovm_state_process {
	const struct ovm_rec_process *rec;
	/* Guest physical address of the process' top page table. */
	uint64_t pgd;
	struct ovm_image_thread *threads;
	struct ovm_settle_patch *patches; /* one a thread */
	size_t nr_threads;
	/* Extended state of the threads, one behind the other, in the standard form of XSAVE. */
	uint8_t *xsave;
	struct ovm_image_posix_timer *posix_timers;
	size_t nr_posix_timers;
	struct ovm_image_timer real, virt, prof;
};

struct ovm_state {
	struct ovm_llv_arena *arena;
	/* NULL when nothing of them was needed. */
	struct ovm_vcpus *vcpus;
	struct ovm_kernel_clock clock;
	struct ovm_xsave_layout xsave_layout;
	struct ovm_rec_tree *tree;
	/* In the order of the tree. */
	struct ovm_state_process *processes;
	size_t nr_processes;
};

/**
 * Take the state of the tree of processes whose root is @pid. The VM must be paused.
 *
 * Errors: OVM_ERROR_INCONSISTENT when it is to be tried again a moment later, naming the lock or
 * the thread, its system call and the reason; OVM_ERROR_NOT_FOUND; those of the extractors.
 */
struct ovm_error *ovm_state_take(struct ovm *ovm, int32_t pid, struct ovm_state *ret);

/*
 * The parts of it that need nothing of the VM but its RAM.
 */

/** Look at locks and threads. Errors: those of ovm_state_take() that don't depend on the vCPUs. */
struct ovm_error *ovm_state_look(struct ovm *ovm, int32_t pid, struct ovm_llv_arena *arena,
				 struct ovm_rec_quiescence *ret);

/** Whether each thread can be taken where it is; of the vCPUs, general registers suffice. */
struct ovm_error *ovm_state_check(struct ovm *ovm, const struct ovm_rec_quiescence *q,
				  const struct ovm_vcpus *vcpus);

/** Take a state that has been checked; arena, vCPUs and clock of @state are set. */
struct ovm_error *ovm_state_fill(struct ovm *ovm, int32_t pid, struct ovm_state *state);

/**
 * Write @len bytes at @address of the saved memory of a process; *@done tells whether that address
 * is among what is saved.
 */
typedef struct ovm_error *ovm_state_write_fn(void *arg, const struct ovm_rec_process *process,
					     uint64_t address, const void *bytes, size_t len,
					     bool *done);

struct ovm_pages_spot;

/** The pages that patches of the threads are for; the caller frees *@ret. */
struct ovm_error *ovm_state_list_patches(const struct ovm_state *state, struct ovm_pages_spot **ret,
					 size_t *ret_nr);

/**
 * Apply the patches of all threads to the saved memory, and settle for other registers where that
 * can't be done: before images of the threads are made.
 */
struct ovm_error *ovm_state_apply_patches(struct ovm *ovm, struct ovm_state *state,
					  ovm_state_write_fn *write, void *arg);

/** Release what a state holds; also one that is all zero. */
void ovm_state_deinit(struct ovm_state *state);

#endif /* OVM_HOST_STATE_H */
