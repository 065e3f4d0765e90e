/* SPDX-License-Identifier: GPL-2.0-only */
/* The parts of a dump: taking what is in the guest, and writing images of it. */
#ifndef OVM_HOST_DUMP_PRIVATE_H
#define OVM_HOST_DUMP_PRIVATE_H

#include "context.h"
#include "copier.h"
#include "host/image/image.h"
#include "output.h"
#include "pages.h"
#include "parent.h"
#include "state.h"
#include "vmi/freeze.h"
#include "vmi/pause.h"

struct ovm_dump {
	struct ovm *ovm;
	struct ovm_dump_options options;
	struct ovm_dump_result result;
	struct ovm_output *output;
	struct ovm_copier *copier;
	struct ovm_copier_options copier_options;
	/* Images of an earlier dump, or NULL. */
	struct ovm_parent *parent;
	struct ovm_state state;
	struct ovm_pages pages;
	/* The caller's progress function asked to stop. */
	bool stopped_by_caller;
	/* What pauses the VM: the freezer's, or one of our own where there is none. */
	struct ovm_pause *pause, *own_pause;
	struct ovm_freezer *freezer;
	/* When freezing began; 0: nothing is frozen by us. */
	uint64_t frozen_at;
	/* It did not stay frozen: what was copied may have changed. */
	bool freeze_lost;
	/* Attempts at which others used the memory, and pages that others may write. */
	unsigned int shared;
	uint64_t outsiders;
	/* What images lose was said once. */
	bool warned;
};

/* ---- dump.c ---------------------------------------------------------------------------------- */

void ovm_dump_progress(struct ovm_dump *dump, enum ovm_phase phase, uint64_t done, uint64_t total);
bool ovm_dump_cancelled(void *arg);
/** OVM_ERROR_CANCELLED if the dump is to stop. */
struct ovm_error *ovm_dump_check_stop(struct ovm_dump *dump);
/** How long freezing and waiting may take, ms. */
unsigned int ovm_dump_timeout_ms(const struct ovm_dump *dump);

/* ---- dump_take.c ----------------------------------------------------------------------------- */

/**
 * Copy the memory and take the state. With a freezer the process is frozen then, and the VM runs on
 * for most of it; else the VM is paused for all of it. What was taken is in @dump.
 */
struct ovm_error *ovm_dump_take(struct ovm_dump *dump);

/** Give back what was taken. */
void ovm_dump_forget(struct ovm_dump *dump);

/* ---- dump_freeze.c --------------------------------------------------------------------------- */

/** Make the freezer, unless the dump is to be made without. */
struct ovm_error *ovm_dump_prepare(struct ovm_dump *dump);

/** Freeze the process, if there is a freezer. */
struct ovm_error *ovm_dump_freeze(struct ovm_dump *dump);

/**
 * Hold the connections that were saved, unless their processes are to run on; the VM is paused.
 * They are let go when these are thawed or killed.
 */
struct ovm_error *ovm_dump_hold(struct ovm_dump *dump);

/** Let the process run on, if it was frozen. */
struct ovm_error *ovm_dump_thaw(struct ovm_dump *dump);

/** Make of the process what the caller wants, once the images are there. */
struct ovm_error *ovm_dump_leave(struct ovm_dump *dump);

/** Thaw what is still frozen and is not to be, and let the VM run on. */
void ovm_dump_release(struct ovm_dump *dump);

/* ---- dump_write.c ---------------------------------------------------------------------------- */

/** Whether images can be made of what was taken. Errors: OVM_ERROR_NOT_DUMPABLE. */
struct ovm_error *ovm_dump_check_images(struct ovm_dump *dump);

/**
 * The same for processes whose threads are not where they will be taken: what is said about
 * registers then has no meaning. Errors: OVM_ERROR_NOT_DUMPABLE.
 */
struct ovm_error *ovm_dump_check_tree(const struct ovm_dump *dump, const struct ovm_rec_tree *tree);

/** Write all images and give their directory its name. */
struct ovm_error *ovm_dump_write(struct ovm_dump *dump);

#endif /* OVM_HOST_DUMP_PRIVATE_H */
