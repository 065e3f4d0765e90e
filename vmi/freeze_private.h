/* SPDX-License-Identifier: GPL-2.0-only */
/* The parts of a freezer that its own files share. */
#ifndef OVM_VMI_FREEZE_PRIVATE_H
#define OVM_VMI_FREEZE_PRIVATE_H

#include "freeze.h"
#include "freeze_plan.h"
#include "ipi.h"

enum {
	/** How long one look may take: even large guests are looked through in milliseconds. */
	OVM_FREEZE_LOOK_MS = 2000,
};

struct ovm_freezer {
	struct ovm_freezer_options options;
	struct ovm_writer *writer;
	struct ovm_ipi *ipi;
	struct ovm_pause *pause;
	/* In shared memory. */
	struct ovm_freeze_plan *plan;
	size_t plan_bytes;
	/* What is in the plan was frozen by ovm_freeze(). */
	bool frozen, kept;
	/* Threads that the last round had no room to call. */
	uint32_t calls_left;
	struct ovm_freeze_stats stats;
};

/** Microseconds of a clock that only goes forward. */
uint64_t ovm_freeze_now_us(void);

/**
 * Look at the threads of @set, of a running guest too, whose lists may change meanwhile; NULL: at
 * the CPUs only. @rec lives in @arena.
 */
struct ovm_error *ovm_freezer_look(struct ovm_freezer *freezer, const struct ovm_freeze_set *set,
				   bool with_wchan, struct ovm_llv_arena *arena,
				   struct ovm_rec_freezer *rec);

/** Carry an action out on the threads of the plan until all are where they should be. */
struct ovm_error *ovm_freezer_carry_out(struct ovm_freezer *freezer, enum ovm_freeze_action action,
					const struct ovm_freeze_set *set, uint64_t deadline);

/** One pause: do what can be done. */
struct ovm_error *ovm_freezer_round(struct ovm_freezer *freezer, enum ovm_freeze_action action);

/** Take the threads of @set into the plan; @ret_new tells whether there were unknown ones. */
struct ovm_error *ovm_freezer_find(struct ovm_freezer *freezer, const struct ovm_freeze_set *set,
				   uint64_t deadline, bool *ret_new);

/** The error that names a thread that is late, where it is, and why. */
struct ovm_error *ovm_freezer_late(struct ovm_freezer *freezer, enum ovm_freeze_action action,
				   const struct ovm_freeze_set *set);

#endif /* OVM_VMI_FREEZE_PRIVATE_H */
