/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A running virtual machine, attached to with nothing but its QMP socket.
 *
 * Where RAM lies comes from QEMU ("info mtree -f", "gpa2hva") and from the
 * mappings of its process, never from a formula: several memory back ends, RAM
 * on both sides of the PCI hole and hot-plugged RAM are all the same to it.
 *
 * A struct ovm_vm is used by one thread at a time; its memory by any number.
 */
#ifndef OVM_VMI_VM_H
#define OVM_VMI_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"
#include "memory.h"
#include "qmp.h"

#ifdef __cplusplus
extern "C" {
#endif

struct ovm_vm;

struct ovm_vm_options {
	/** sizeof(struct ovm_vm_options) */
	size_t size;
	/** How to reach QMP. */
	struct ovm_qmp_options qmp;
	/** QEMU's process, or 0 to find it through the socket and the vCPU threads. */
	pid_t pid;
};

/** Facts that don't change while the VM runs. */
struct ovm_vm_info {
	struct ovm_qmp_version version;
	/** QEMU's process. */
	pid_t pid;
	unsigned int nr_vcpus;
	/** Whether KVM runs the guest, rather than TCG. */
	bool kvm;
	/** Whether all RAM is in shared files, so that it can be mapped. */
	bool ram_shared;
	/** Bytes of RAM that QEMU says the guest has, hot-plugged RAM included. */
	uint64_t ram_size;
};

/** Run state as "query-status" has it. */
struct ovm_vm_status {
	bool running;
	/** "running", "paused", "postmigrate", "io-error", ... */
	char name[32];
};

/**
 * Attach: connect to QMP and open the guest's RAM. The VM runs on.
 *
 * Errors: OVM_ERROR_UNREACHABLE, with a remedy where there is one.
 */
struct ovm_error *ovm_vm_attach(const struct ovm_vm_options *options, struct ovm_vm **ret);

/** Let go of the VM; its run state stays as it is. NULL is fine. */
void ovm_vm_detach(struct ovm_vm *vm);

/** The QMP connection, owned by the VM. */
struct ovm_qmp *ovm_vm_qmp(struct ovm_vm *vm);

/** The guest's RAM, owned by the VM. */
const struct ovm_memory *ovm_vm_memory(const struct ovm_vm *vm);

const struct ovm_vm_info *ovm_vm_info(const struct ovm_vm *vm);

/** Ask for the run state. */
struct ovm_error *ovm_vm_status(struct ovm_vm *vm, struct ovm_vm_status *ret);

/**
 * Have @hook called before and after QEMU's migration machinery is used to read device state, so
 * that a guardian knows what it would have to undo: before with the JSON list of capabilities to
 * set back, afterwards with NULL. It may be NULL.
 */
void ovm_vm_set_migration_hook(struct ovm_vm *vm,
			       struct ovm_error *(*hook)(void *arg, const char *undo), void *arg);

/** Call the hook, if there is one. */
struct ovm_error *ovm_vm_note_migration(struct ovm_vm *vm, const char *undo);

#ifdef __cplusplus
}
#endif

#endif /* OVM_VMI_VM_H */
