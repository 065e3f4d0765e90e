/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pausing a VM without leaving it paused, whatever happens.
 *
 * A guardian, a small process of its own, holds its own way to the VM.  It is
 * armed before the VM is stopped and disarmed after it runs again; when the
 * process that paused the VM ends in between, even by SIGKILL, the guardian
 * cancels what was under way and resumes the VM.  It has its own session and
 * blocks all signals; only what kills all processes of a cgroup reaches it.
 */
#ifndef OVM_VMI_PAUSE_H
#define OVM_VMI_PAUSE_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "vm.h"

#ifdef __cplusplus
extern "C" {
#endif

struct ovm_pause;

/** What the guardian does for a process that has ended: see struct ovm_guardian. */
struct ovm_pause_heir {
	void (*take_over)(void *arg, int fd);
	bool (*inherit)(void *arg, int fd);
	/** Memory that is shared with the guardian's process. */
	void *arg;
	/** Handed to @inherit; -1 for none. */
	int fd;
};

/** As ovm_pause_create(), with a guardian that has an heir. */
struct ovm_error *ovm_pause_create_with_heir(struct ovm_vm *vm, const struct ovm_pause_heir *heir,
					     struct ovm_pause **ret);

/** Start the guardian of @vm, which must outlive it; the VM runs on. One at a time for each VM. */
struct ovm_error *ovm_pause_create(struct ovm_vm *vm, struct ovm_pause **ret);

/**
 * Pause the VM, unless it is paused already; then it will not be resumed, either.
 *
 * May be called again after ovm_pause_end(). On failure, the VM runs if it ran before.
 */
struct ovm_error *ovm_pause_begin(struct ovm_pause *pause);

/** Whether the VM was running when the pause began. */
bool ovm_pause_was_running(const struct ovm_pause *pause);

/** Microseconds from the command that began the latest pause to the answer to its end. */
uint64_t ovm_pause_last_us(const struct ovm_pause *pause);

/** Whether the VM is stopped now, and by us. */
bool ovm_pause_holds(const struct ovm_pause *pause);

/**
 * Resume the VM if ovm_pause_begin() paused it. Never cancelled. Without a pause, does nothing.
 *
 * Errors: OVM_ERROR_UNREACHABLE when the VM can't be resumed, not even by the guardian.
 */
struct ovm_error *ovm_pause_end(struct ovm_pause *pause);

/** Resume the VM if need be, and dismiss the guardian; NULL is fine. */
void ovm_pause_destroy(struct ovm_pause *pause);

#ifdef __cplusplus
}
#endif

#endif /* OVM_VMI_PAUSE_H */
