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

#include <stdint.h>

#include "error.h"
#include "vm.h"

struct ovm_ipi;

/**
 * Open the way; only while the VM is paused, since QEMU's stub pauses it.
 *
 * Errors: OVM_ERROR_UNREACHABLE, also when a debugger uses the stub.
 */
struct ovm_error *ovm_ipi_open(struct ovm_vm *vm, struct ovm_ipi **ret);

/**
 * Send @vector to the CPU with that APIC id (below 255); only while the VM is paused. The CPU
 * takes it when the VM runs on.
 */
struct ovm_error *ovm_ipi_send(struct ovm_ipi *ipi, uint32_t apic_id, uint8_t vector);

/** Read what QEMU reports of each stop, so that it never waits for us. */
void ovm_ipi_drain(struct ovm_ipi *ipi);

/** Close, and have QEMU forget the stub; NULL is fine. The run state stays as it is. */
void ovm_ipi_close(struct ovm_ipi *ipi);

#endif /* OVM_VMI_IPI_H */
