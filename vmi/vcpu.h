/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * State of the virtual CPUs.
 *
 * Two sources.  Notes of an (otherwise empty) guest memory dump cost under a
 * millisecond and have the general, segment and control registers, enough to
 * find the kernel.  The saved device state costs a millisecond or two and has
 * everything: MSRs, FPU and extended state, time stamp counter, clocks.  It is
 * taken with "xen-save-devices-state", which despite its name works with every
 * accelerator, writes no RAM and leaves run state and disks alone; where QEMU
 * lacks it, with "migrate" and x-ignore-shared, for which RAM must be shared.
 */
#ifndef OVM_VMI_VCPU_H
#define OVM_VMI_VCPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "vm.h"

#ifdef __cplusplus
extern "C" {
#endif

/** General registers, in the order of their numbers in instructions. */
enum ovm_vcpu_gpr {
	OVM_VCPU_RAX,
	OVM_VCPU_RCX,
	OVM_VCPU_RDX,
	OVM_VCPU_RBX,
	OVM_VCPU_RSP,
	OVM_VCPU_RBP,
	OVM_VCPU_RSI,
	OVM_VCPU_RDI,
	OVM_VCPU_R8,
	OVM_VCPU_R9,
	OVM_VCPU_R10,
	OVM_VCPU_R11,
	OVM_VCPU_R12,
	OVM_VCPU_R13,
	OVM_VCPU_R14,
	OVM_VCPU_R15,
	OVM_VCPU_NR_GPRS,
};

/** Segment registers, in the order of their numbers in instructions. */
enum ovm_vcpu_segment_register {
	OVM_VCPU_ES,
	OVM_VCPU_CS,
	OVM_VCPU_SS,
	OVM_VCPU_DS,
	OVM_VCPU_FS,
	OVM_VCPU_GS,
	OVM_VCPU_NR_SEGMENTS,
};

struct ovm_vcpu_segment {
	uint16_t selector;
	uint32_t limit;
	/** As in the upper half of a descriptor. */
	uint32_t flags;
	uint64_t base;
};

/**
 * Offsets in the extended state: the standard format with the offsets that Intel processors
 * report in CPUID leaf 0xd (SDM vol. 1, 13.4), whatever processor the guest has.
 */
enum {
	OVM_XSAVE_MXCSR = 24,
	OVM_XSAVE_ST = 32,
	OVM_XSAVE_XMM = 160,
	OVM_XSAVE_HEADER = 512,
	OVM_XSAVE_YMMH = 576,
	OVM_XSAVE_BNDREGS = 960,
	OVM_XSAVE_BNDCSR = 1024,
	OVM_XSAVE_OPMASK = 1088,
	OVM_XSAVE_ZMMH = 1152,
	OVM_XSAVE_HI16_ZMM = 1664,
	OVM_XSAVE_PKRU = 2688,
	OVM_XSAVE_TILECFG = 2752,
	OVM_XSAVE_TILEDATA = 2816,
	OVM_XSAVE_BYTES = 11008,
};

struct ovm_vcpu {
	/** QEMU's number of the vCPU ("cpu-index"). */
	uint32_t index;
	uint64_t gprs[OVM_VCPU_NR_GPRS];
	uint64_t rip, rflags;
	struct ovm_vcpu_segment segments[OVM_VCPU_NR_SEGMENTS];
	struct ovm_vcpu_segment ldt, tr, gdt, idt;
	uint64_t cr0, cr2, cr3, cr4;
	/** MSR_KERNEL_GS_BASE: what SWAPGS exchanges the GS base with. */
	uint64_t kernel_gs_base;
	/** Current privilege level: 3 in user mode. */
	unsigned int cpl;

	/** Whether what follows is set: only in full states, never in those from notes. */
	bool full;
	/** Whether the vCPU waits for an interrupt (HLT). */
	bool halted;
	uint64_t efer, star, lstar, cstar, sfmask;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t dr[8];
	/** What RDTSC would have returned while the VM was paused, and TSC_AUX (RDTSCP, RDPID). */
	uint64_t tsc;
	uint64_t tsc_aux;
	uint64_t xcr0, xss;
	uint32_t pkru;
	/**
	 * FPU and extended state as XSAVE writes it, in the standard format. XSTATE_BV (the first
	 * 8 bytes at OVM_XSAVE_HEADER) tells which components are not in their initial state;
	 * legacy and SSE state are always filled in, and so are their bits.
	 */
	uint8_t xsave[OVM_XSAVE_BYTES];
};

struct ovm_vcpus {
	/** Whether the states are full ones, and the clocks below are set. */
	bool full;
	/** QEMU's virtual clock, in ns: what a paused acpi_pm or hpet counts. */
	uint64_t vm_clock;
	/** KVM's paravirtual clock, in ns; 0 when the guest has none. */
	uint64_t kvm_clock;
	size_t nr;
	struct ovm_vcpu vcpus[];
};

/**
 * Read the vCPUs' general, segment and control registers, of a running or paused VM.
 *
 * The result is to be freed with ovm_vcpus_free(). Errors: OVM_ERROR_UNREACHABLE, and
 * OVM_ERROR_KERNEL when the guest is not in 64-bit mode.
 */
struct ovm_error *ovm_vcpus_read_notes(struct ovm_vm *vm, struct ovm_vcpus **ret);

/**
 * Read the full state of the vCPUs of a paused VM.
 *
 * Run state, migration capabilities and parameters are as before afterwards, except that where
 * "migrate" has to be used, QEMU calls the paused state "postmigrate"; "cont" works all the same.
 *
 * Errors: OVM_ERROR_USAGE when the VM runs; OVM_ERROR_UNREACHABLE; OVM_ERROR_CORRUPT when the
 * state can't be parsed.
 */
struct ovm_error *ovm_vcpus_read(struct ovm_vm *vm, struct ovm_vcpus **ret);

/** Ways to have QEMU save device state. */
enum ovm_vcpu_source {
	OVM_VCPU_SAVE_DEVICES,
	OVM_VCPU_MIGRATE,
};

/** Read the full state by one way only. */
struct ovm_error *ovm_vcpus_read_by(struct ovm_vm *vm, enum ovm_vcpu_source source,
				    struct ovm_vcpus **ret);

/** Free states; NULL is fine. */
void ovm_vcpus_free(struct ovm_vcpus *vcpus);

/* ---- Parsers, apart from where the bytes come from ----------------------- */

/** Parse an ELF core file with QEMU's notes. */
struct ovm_error *ovm_vcpus_parse_notes(const uint8_t *core, size_t len, struct ovm_vcpus **ret);

/** What of the VM the meaning of saved state depends on. */
struct ovm_vcpu_context {
	unsigned int nr_vcpus;
	/** Whether KVM ran the vCPUs. */
	bool kvm;
};

/** Parse saved device state: a migration stream when @described, else one without description. */
struct ovm_error *ovm_vcpus_parse(const uint8_t *stream, size_t len, bool described,
				  const struct ovm_vcpu_context *context, struct ovm_vcpus **ret);

#ifdef __cplusplus
}
#endif

#endif /* OVM_VMI_VCPU_H */
