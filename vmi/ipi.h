/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Interrupts for the guest's CPUs, from outside.
 *
 * QMP has no command for that but "inject-nmi".  What it has is a way to write
 * guest physical memory, QEMU's gdb stub, and there a message-signalled
 * interrupt is but a write to 0xfee00000 (Intel SDM vol. 3, 11.11): with KVM's
 * interrupt controller and with QEMU's own alike.  The stub talks to a socket
 * pair passed over QMP, so that nobody else can connect to it.
 */
#ifndef OVM_VMI_IPI_H
#define OVM_VMI_IPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "vm.h"

enum {
	/** Highest APIC id that a message's address has room for; the one above means all. */
	OVM_IPI_APIC_ID_MAX = 254,
};

struct ovm_ipi;

/** Make the sockets. Nothing is said to QEMU yet. */
struct ovm_error *ovm_ipi_create(struct ovm_vm *vm, struct ovm_ipi **ret);

/** Our end of the connection with the stub, for ovm_ipi_send(); owned by @ipi. */
int ovm_ipi_fd(const struct ovm_ipi *ipi);

/**
 * Prepare everything that can be while the VM runs; does nothing the second time.
 *
 * Errors: OVM_ERROR_UNREACHABLE, also when a debugger uses the stub.
 */
struct ovm_error *ovm_ipi_prepare(struct ovm_ipi *ipi);

/**
 * Open the way, after ovm_ipi_prepare(); only while the VM is paused, since QEMU's stub pauses it.
 * Does nothing the second time.
 */
struct ovm_error *ovm_ipi_start(struct ovm_ipi *ipi);

/**
 * Send @vector to the CPUs with these APIC ids; only while the VM is paused. They take it when the
 * VM runs on. Async-signal-safe; returns false when some may not have been sent.
 */
bool ovm_ipi_send(int fd, const uint32_t *apic_ids, size_t nr, uint8_t vector);

/**
 * Have the stub finish with what a dead process has sent, as another one that holds the connection:
 * bytes that reached it when the VM runs would stop that. Leaves the VM paused. Async-signal-safe;
 * returns false when the stub doesn't answer.
 */
bool ovm_ipi_take_over(int fd);

/** Read what QEMU reports of each stop, so that it never waits for us. Async-signal-safe. */
void ovm_ipi_drain(int fd);

/** Close, and have QEMU forget the stub; NULL is fine. The run state stays as it is. */
void ovm_ipi_destroy(struct ovm_ipi *ipi);

#endif /* OVM_VMI_IPI_H */
