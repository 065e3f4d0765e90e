/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Extended processor state: from the form in which the kernel keeps it to the
 * standard form of the XSAVE instruction.
 *
 *	0	legacy area as FXSAVE has it: x87, MXCSR, XMM0..15	512 bytes
 *	512	header: XSTATE_BV, XCOMP_BV				64 bytes
 *	576	the other components
 *
 * In the standard form a component lies where CPUID leaf 0xd says.  In the
 * compacted form (XCOMP_BV bit 63) those named by XCOMP_BV follow each other,
 * some of them aligned to 64 bytes.  A component whose bit in XSTATE_BV is
 * clear is in its initial state, whatever bytes lie there.
 * Source: Intel SDM volume 1, 13.4 and 13.6.
 */
#ifndef OVM_HOST_XSAVE_H
#define OVM_HOST_XSAVE_H

#include <stddef.h>
#include <stdint.h>

#include "vmi/error.h"
#include "vmi/extract/record.h"
#include "vmi/kernel.h"

enum {
	OVM_XSAVE_NR_COMPONENTS = 19,
};

/** Where the guest's processor has the components in the standard form; 0: not there. */
struct ovm_xsave_layout {
	uint32_t offsets[OVM_XSAVE_NR_COMPONENTS];
};

/** Ask the guest's kernel for its layout; what it doesn't say is as on Intel processors. */
void ovm_xsave_layout_read(struct ovm_kernel *kernel, struct ovm_xsave_layout *ret);

/** A component beyond the legacy area that images have, in the standard form; bytes. */
struct ovm_xsave_component {
	uint32_t offset, size;
};

/** The component with number @nr; its size is 0 if images don't have it. */
struct ovm_xsave_component ovm_xsave_component(unsigned int nr);

/**
 * The lowest component in use (by XSTATE_BV) that images can't hold, or -1. What only the kernel
 * uses doesn't count.
 */
int ovm_xsave_unsupported(uint64_t xstate_bv);

/** What a component is: "AMX tiles"; never NULL. */
const char *ovm_xsave_name(unsigned int nr);

/**
 * Expand the state that the kernel saved for a thread into the standard form with the offsets of
 * vmi/vcpu.h, of which @out has OVM_XSAVE_BYTES. Components in their initial state are filled in
 * and left out of XSTATE_BV, but for x87 and SSE, which are always in it.
 *
 * Errors: OVM_ERROR_CORRUPT; OVM_ERROR_NOT_DUMPABLE for state that images can't hold.
 */
struct ovm_error *ovm_xsave_expand(const struct ovm_rec_thread *thread,
				   const struct ovm_xsave_layout *layout, uint8_t *out);

#endif /* OVM_HOST_XSAVE_H */
