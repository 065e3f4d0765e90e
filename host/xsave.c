// SPDX-License-Identifier: GPL-2.0-only
#include "xsave.h"

#include <stdbool.h>
#include <string.h>

#include "vmi/vcpu.h"

enum {
	XSTATE_X87 = 0,
	XSTATE_SSE = 1,
	XSTATE_FIRST_EXTENDED = 2,
	XSTATE_PKRU = 9,
	XSTATE_TILEDATA = 18,
	LEGACY_SIZE = 512,
	EXTENDED_START = 576,
	XCOMP_BV_OFFSET = OVM_XSAVE_HEADER + 8,
	/* Initial values of the control words. */
	FCW_INIT = 0x37f,
	MXCSR_INIT = 0x1f80,
	/* Of the legacy area, the x87 part: up to MXCSR, and the registers. */
	X87_HEAD = 24,
	MXCSR_PAIR = 8,
	XMM_SIZE = 256,
};

#define XCOMP_BV_COMPACTED (UINT64_C(1) << 63)

struct component {
	uint32_t size;
	/* In the standard form on Intel processors, and where ovm_xsave_expand() puts it; 0:
	 * dropped. */
	uint32_t offset;
	bool aligned;
};

/* By number in XSTATE_BV; CPUID leaf 0xd tells the same. Those without offset are supervisor state.
 */
static const struct component components[OVM_XSAVE_NR_COMPONENTS] = {
	[2] = {256, OVM_XSAVE_YMMH, false},
	[3] = {64, OVM_XSAVE_BNDREGS, false},
	[4] = {64, OVM_XSAVE_BNDCSR, false},
	[5] = {64, OVM_XSAVE_OPMASK, false},
	[6] = {512, OVM_XSAVE_ZMMH, false},
	[7] = {1024, OVM_XSAVE_HI16_ZMM, false},
	[8] = {128, 0, false},
	[XSTATE_PKRU] = {8, OVM_XSAVE_PKRU, false},
	[10] = {8, 0, false},
	[11] = {16, 0, false},
	[12] = {24, 0, false},
	[13] = {8, 0, false},
	[14] = {48, 0, false},
	[15] = {808, 0, false},
	[16] = {8, 0, false},
	[17] = {64, OVM_XSAVE_TILECFG, true},
	[XSTATE_TILEDATA] = {8192, OVM_XSAVE_TILEDATA, true},
};

/* Components that belong to the kernel, or hold nothing that a thread could tell. */
static const uint64_t kernels_own = 1u << 8 | 1u << 12 | 1u << 13 | 1u << 15 | 1u << 16;

struct ovm_xsave_component ovm_xsave_component(unsigned int nr)
{
	if (nr > XSTATE_PKRU || !components[nr].offset)
		return (struct ovm_xsave_component){0};
	return (struct ovm_xsave_component){components[nr].offset, components[nr].size};
}

int ovm_xsave_unsupported(uint64_t xstate_bv)
{
	for (unsigned int i = XSTATE_FIRST_EXTENDED; i < 64; i++)
		if ((xstate_bv & ~kernels_own) >> i & 1 && !ovm_xsave_component(i).size)
			return (int)i;
	return -1;
}

const char *ovm_xsave_name(unsigned int nr)
{
	static const char *const names[] = {
		"x87 state",
		"SSE state",
		"AVX state",
		"MPX bounds",
		"MPX configuration",
		"AVX-512 masks",
		"AVX-512 state",
		"AVX-512 state",
		"processor trace",
		"protection keys",
		"a PASID (ENQCMD)",
		"a shadow stack",
		"kernel shadow stacks",
		"hardware duty cycling",
		"user interrupts",
		"last branch records",
		"hardware P-states",
		"AMX tile registers",
		"AMX tile registers",
		"APX registers",
	};

	return nr < sizeof(names) / sizeof(names[0]) ? names[nr] : "an unknown state component";
}

static uint64_t load_u64(const uint8_t *p)
{
	uint64_t value;

	memcpy(&value, p, sizeof(value));
	return value;
}

void ovm_xsave_layout_read(struct ovm_kernel *kernel, struct ovm_xsave_layout *ret)
{
	uint32_t offsets[OVM_XSAVE_NR_COMPONENTS];
	uint64_t address;

	for (unsigned int i = 0; i < OVM_XSAVE_NR_COMPONENTS; i++)
		ret->offsets[i] = components[i].offset;
	/* An array of arch/x86/kernel/fpu/xstate.c since v4.1; ~0 stands for no such component. */
	if (!ovm_kernel_symbol(kernel, "xstate_offsets", &address))
		return;
	struct ovm_error *err = ovm_kernel_read(kernel, address, offsets, sizeof(offsets));

	for (unsigned int i = XSTATE_FIRST_EXTENDED; !err && i < OVM_XSAVE_NR_COMPONENTS; i++)
		if (offsets[i] >= EXTENDED_START && offsets[i] < OVM_XSAVE_BYTES)
			ret->offsets[i] = offsets[i];
	ovm_error_free(err);
}

static void fill_initial(uint8_t *out)
{
	const uint16_t fcw = FCW_INIT;
	const uint32_t mxcsr = MXCSR_INIT;

	memset(out, 0, OVM_XSAVE_BYTES);
	memcpy(out, &fcw, sizeof(fcw));
	memcpy(out + OVM_XSAVE_MXCSR, &mxcsr, sizeof(mxcsr));
}

/* MXCSR belongs to SSE and AVX alike. */
static void copy_legacy(const uint8_t *from, uint64_t xstate_bv, uint8_t *out)
{
	if (xstate_bv & 1u << XSTATE_X87) {
		memcpy(out, from, X87_HEAD);
		memcpy(out + OVM_XSAVE_ST, from + OVM_XSAVE_ST, OVM_XSAVE_XMM - OVM_XSAVE_ST);
	}
	if (xstate_bv & (1u << XSTATE_SSE | 1u << XSTATE_FIRST_EXTENDED))
		memcpy(out + OVM_XSAVE_MXCSR, from + OVM_XSAVE_MXCSR, MXCSR_PAIR);
	if (xstate_bv & 1u << XSTATE_SSE)
		memcpy(out + OVM_XSAVE_XMM, from + OVM_XSAVE_XMM, XMM_SIZE);
}

/* Offset of component @nr in a compacted buffer. */
static uint32_t compacted_offset(uint64_t xcomp_bv, unsigned int nr)
{
	uint32_t offset = EXTENDED_START;

	for (unsigned int i = XSTATE_FIRST_EXTENDED; i <= nr; i++) {
		if (!(xcomp_bv >> i & 1))
			continue;
		if (components[i].aligned)
			offset = (offset + 63) & ~63u;
		if (i < nr)
			offset += components[i].size;
	}
	return offset;
}

static struct ovm_error *copy_extended(const struct ovm_rec_bytes *fpstate,
				       const struct ovm_xsave_layout *layout, uint64_t xstate_bv,
				       uint8_t *out)
{
	uint64_t xcomp_bv = load_u64(fpstate->data + XCOMP_BV_OFFSET);

	for (unsigned int i = XSTATE_FIRST_EXTENDED; i < OVM_XSAVE_NR_COMPONENTS; i++) {
		const struct component *component = &components[i];
		uint32_t from = layout->offsets[i];

		if (!(xstate_bv >> i & 1) || !component->offset)
			continue;
		if (xcomp_bv & XCOMP_BV_COMPACTED) {
			if (!(xcomp_bv >> i & 1))
				return ovm_error_format(OVM_ERROR_CORRUPT,
							"XSTATE_BV has component %u, XCOMP_BV has "
							"not",
							i);
			from = compacted_offset(xcomp_bv, i);
		}
		if (!from || from > fpstate->len || component->size > fpstate->len - from)
			return ovm_error_format(OVM_ERROR_CORRUPT,
						"component %u lies outside the FPU state", i);
		memcpy(out + component->offset, fpstate->data + from, component->size);
	}
	return NULL;
}

/* Since v5.14 the kernel keeps PKRU apart, and what the buffer says of it is stale. */
static uint64_t set_pkru(uint32_t pkru, uint64_t xstate_bv, uint8_t *out)
{
	const uint64_t value = pkru;

	memcpy(out + OVM_XSAVE_PKRU, &value, sizeof(value));
	return xstate_bv | 1u << XSTATE_PKRU;
}

struct ovm_error *ovm_xsave_expand(const struct ovm_rec_thread *thread,
				   const struct ovm_xsave_layout *layout, uint8_t *out)
{
	const struct ovm_rec_bytes *fpstate = &thread->fpstate;
	const uint64_t legacy_bits = 1u << XSTATE_X87 | 1u << XSTATE_SSE;
	uint64_t xstate_bv = legacy_bits, kept = legacy_bits;

	fill_initial(out);
	if (fpstate->len < LEGACY_SIZE)
		return ovm_error_format(OVM_ERROR_CORRUPT, "the FPU state is too short");
	/* Without XSAVE the kernel has what FXSAVE writes. */
	bool extended = fpstate->len >= EXTENDED_START && thread->xfeatures >> 2;

	if (extended)
		xstate_bv = load_u64(fpstate->data + OVM_XSAVE_HEADER);
	int unsupported = ovm_xsave_unsupported(xstate_bv);

	if (unsupported >= 0)
		return ovm_error_format(OVM_ERROR_NOT_DUMPABLE,
					"it uses %s (state component %d), which images can't hold",
					ovm_xsave_name((unsigned int)unsupported), unsupported);
	copy_legacy(fpstate->data, xstate_bv, out);
	if (extended) {
		struct ovm_error *err = copy_extended(fpstate, layout, xstate_bv, out);

		if (err)
			return err;
	}
	for (unsigned int i = XSTATE_FIRST_EXTENDED; i < OVM_XSAVE_NR_COMPONENTS; i++)
		if (components[i].offset)
			kept |= xstate_bv & UINT64_C(1) << i;
	if (thread->has_pkru && thread->xfeatures >> XSTATE_PKRU & 1)
		kept = set_pkru(thread->pkru, kept, out);
	memcpy(out + OVM_XSAVE_HEADER, &kept, sizeof(kept));
	return NULL;
}
