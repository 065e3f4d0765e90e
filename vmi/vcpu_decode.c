// SPDX-License-Identifier: GPL-2.0-only
/*
 * vCPU state out of saved device state.
 *
 * Source: QEMU 7.2, target/i386/machine.c (section "cpu", version 12, in use
 * since QEMU 0.13), migration/vmstate-types.c, softmmu/cpu-timers.c ("timer"),
 * hw/i386/kvm/clock.c ("kvmclock").  Numbers are big-endian; an fpreg is a
 * be64 mantissa and a be16 sign and exponent, a segment be32 selector, be64 base,
 * be32 limit, be32 flags, vector registers are be64 words, lowest first.
 *
 * Subsections are left out by the sender when their state is the initial one,
 * so an absent field reads as zero.
 */
#include "vcpu.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "migration_stream.h"

/* Registers as they stand in the stream. */
struct raw_vcpu {
	bool seen;
	uint8_t regs[16 * 8], eip[8], eflags[8], hflags[4];
	uint8_t fpuc[2], fpus[2], fptag[2], fpformat[2], fpregs[8 * 10];
	uint8_t segs[6 * 20], ldt[20], tr[20], gdt[20], idt[20];
	uint8_t sysenter_cs[4], sysenter_esp[8], sysenter_eip[8];
	uint8_t cr0[8], cr2[8], cr3[8], cr4[8], dr[8 * 8];
	uint8_t mxcsr[4], xmm[16 * 16];
	uint8_t efer[8], star[8], lstar[8], cstar[8], fmask[8], kernelgsbase[8];
	uint8_t tsc_offset[8], tsc[8], tsc_aux[8], xcr0[8], xstate_bv[8], ymmh[16 * 16];
	uint8_t fpop[2], fpip[8], fpdp[8];
	uint8_t bnd[4 * 16], bndcfgu[8], bndsts[8];
	uint8_t opmask[8 * 8], zmmh[16 * 32], hi16_zmm[16 * 64];
	uint8_t xss[8], pkru[4], tilecfg[64], tiledata[8192];
	uint8_t halted[4];
};

struct raw_state {
	struct raw_vcpu *vcpus;
	size_t nr;
	uint8_t ticks[8], clock[8], kvm_clock[8];
	bool timer_seen;
};

/* A field that is wanted, and where it goes. */
struct wanted {
	struct ovm_stream_field field;
	size_t offset;
};

#define WANT(name, size, count, member) {{name, size, count}, offsetof(struct raw_vcpu, member)}
#define SKIP(name, size, count)		{{name, size, count}, SIZE_MAX}

static const struct wanted cpu_fields[] = {
	WANT("env.regs", 8, 16, regs),
	WANT("env.eip", 8, 1, eip),
	WANT("env.eflags", 8, 1, eflags),
	WANT("env.hflags", 4, 1, hflags),
	WANT("env.fpuc", 2, 1, fpuc),
	WANT("env.fpus_vmstate", 2, 1, fpus),
	WANT("env.fptag_vmstate", 2, 1, fptag),
	WANT("env.fpregs_format_vmstate", 2, 1, fpformat),
	WANT("env.fpregs", 10, 8, fpregs),
	WANT("env.segs", 20, 6, segs),
	WANT("env.ldt", 20, 1, ldt),
	WANT("env.tr", 20, 1, tr),
	WANT("env.gdt", 20, 1, gdt),
	WANT("env.idt", 20, 1, idt),
	WANT("env.sysenter_cs", 4, 1, sysenter_cs),
	WANT("env.sysenter_esp", 8, 1, sysenter_esp),
	WANT("env.sysenter_eip", 8, 1, sysenter_eip),
	WANT("env.cr[0]", 8, 1, cr0),
	WANT("env.cr[2]", 8, 1, cr2),
	WANT("env.cr[3]", 8, 1, cr3),
	WANT("env.cr[4]", 8, 1, cr4),
	WANT("env.dr", 8, 8, dr),
	SKIP("env.a20_mask", 4, 1),
	WANT("env.mxcsr", 4, 1, mxcsr),
	WANT("env.xmm_regs[0]", 16, 16, xmm),
	WANT("env.efer", 8, 1, efer),
	WANT("env.star", 8, 1, star),
	WANT("env.lstar", 8, 1, lstar),
	WANT("env.cstar", 8, 1, cstar),
	WANT("env.fmask", 8, 1, fmask),
	WANT("env.kernelgsbase", 8, 1, kernelgsbase),
	SKIP("env.smbase", 4, 1),
	SKIP("env.pat", 8, 1),
	SKIP("env.hflags2", 4, 1),
	SKIP("env.vm_hsave", 8, 1),
	SKIP("env.vm_vmcb", 8, 1),
	WANT("env.tsc_offset", 8, 1, tsc_offset),
	SKIP("env.intercept", 8, 1),
	SKIP("env.intercept_cr_read", 2, 1),
	SKIP("env.intercept_cr_write", 2, 1),
	SKIP("env.intercept_dr_read", 2, 1),
	SKIP("env.intercept_dr_write", 2, 1),
	SKIP("env.intercept_exceptions", 4, 1),
	SKIP("env.v_tpr", 1, 1),
	SKIP("env.mtrr_fixed", 8, 11),
	SKIP("env.mtrr_deftype", 8, 1),
	SKIP("env.mtrr_var", 16, 8),
	SKIP("env.interrupt_injected", 4, 1),
	SKIP("env.mp_state", 4, 1),
	WANT("env.tsc", 8, 1, tsc),
	SKIP("env.exception_nr", 4, 1),
	SKIP("env.soft_interrupt", 1, 1),
	SKIP("env.nmi_injected", 1, 1),
	SKIP("env.nmi_pending", 1, 1),
	SKIP("env.has_error_code", 1, 1),
	SKIP("env.sipi_vector", 4, 1),
	SKIP("env.mcg_cap", 8, 1),
	SKIP("env.mcg_status", 8, 1),
	SKIP("env.mcg_ctl", 8, 1),
	SKIP("env.mce_banks", 8, 40),
	WANT("env.tsc_aux", 8, 1, tsc_aux),
	SKIP("env.system_time_msr", 8, 1),
	SKIP("env.wall_clock_msr", 8, 1),
	WANT("env.xcr0", 8, 1, xcr0),
	WANT("env.xstate_bv", 8, 1, xstate_bv),
	WANT("env.xmm_regs[1]", 16, 16, ymmh),
};

static const struct wanted fpop_fields[] = {
	WANT("env.fpop", 2, 1, fpop),
	WANT("env.fpip", 8, 1, fpip),
	WANT("env.fpdp", 8, 1, fpdp),
};

static const struct wanted mpx_fields[] = {
	WANT("env.bnd_regs", 16, 4, bnd),
	WANT("env.bndcs_regs.cfgu", 8, 1, bndcfgu),
	WANT("env.bndcs_regs.sts", 8, 1, bndsts),
	SKIP("env.msr_bndcfgs", 8, 1),
};

static const struct wanted avx512_fields[] = {
	WANT("env.opmask_regs", 8, 8, opmask),
	WANT("env.xmm_regs[0]", 32, 16, zmmh),
	WANT("env.xmm_regs[1]", 64, 16, hi16_zmm),
};

static const struct wanted xss_fields[] = {WANT("env.xss", 8, 1, xss)};
static const struct wanted pkru_fields[] = {WANT("env.pkru", 4, 1, pkru)};

static const struct wanted amx_fields[] = {
	WANT("env.xtilecfg", 1, 64, tilecfg),
	WANT("env.xtiledata", 1, 8192, tiledata),
};

static const struct wanted common_fields[] = {
	WANT("halted", 4, 1, halted),
	SKIP("interrupt_request", 4, 1),
};

#define WANT_STATE(name, size, count, member) \
	{{name, size, count}, offsetof(struct raw_state, member)}

static const struct wanted timer_fields[] = {
	WANT_STATE("cpu_ticks_offset", 8, 1, ticks),
	SKIP("unused", 8, 1),
	WANT_STATE("cpu_clock_offset", 8, 1, clock),
};

static const struct wanted kvmclock_fields[] = {WANT_STATE("clock", 8, 1, kvm_clock)};

/* Sections and subsections of which something is wanted. */
static const struct group {
	const char *name;
	uint32_t version;
	/* Whether offsets are into a vCPU's state, rather than into that of the whole. */
	bool per_vcpu;
	const struct wanted *fields;
	size_t nr;
} groups[] = {
#define GROUP(name, version, per_vcpu, fields) \
	{name, version, per_vcpu, fields, sizeof(fields) / sizeof(*(fields))}
	GROUP("cpu", 12, true, cpu_fields),
	GROUP("cpu/fpop_ip_dp", 1, true, fpop_fields),
	GROUP("cpu/mpx", 1, true, mpx_fields),
	GROUP("cpu/avx512", 1, true, avx512_fields),
	GROUP("cpu/xss", 1, true, xss_fields),
	GROUP("cpu/pkru", 1, true, pkru_fields),
	GROUP("cpu/intel_amx_xtile", 1, true, amx_fields),
	GROUP("cpu_common", 1, true, common_fields),
	GROUP("timer", 2, false, timer_fields),
	GROUP("kvmclock", 1, false, kvmclock_fields),
};

enum {
	NR_GROUPS = sizeof(groups) / sizeof(*groups),
	MAX_FIELDS = 80,
};

_Static_assert(sizeof(cpu_fields) / sizeof(*cpu_fields) <= MAX_FIELDS, "MAX_FIELDS is too small");

static uint16_t be16(const uint8_t *p)
{
	uint16_t value;

	memcpy(&value, p, sizeof(value));
	return be16toh(value);
}

static uint32_t be32(const uint8_t *p)
{
	uint32_t value;

	memcpy(&value, p, sizeof(value));
	return be32toh(value);
}

static uint64_t be64(const uint8_t *p)
{
	uint64_t value;

	memcpy(&value, p, sizeof(value));
	return be64toh(value);
}

static const struct wanted *find_wanted(const struct group *group, const char *name)
{
	for (size_t i = 0; i < group->nr; i++) {
		if (!strcmp(group->fields[i].field.name, name))
			return &group->fields[i];
	}
	return NULL;
}

static void collect_field(void *arg, const char *section, uint32_t instance, const char *layout,
			  const char *name, const uint8_t *data, size_t size)
{
	struct raw_state *raw = arg;

	for (size_t i = 0; i < NR_GROUPS; i++) {
		const struct group *group = &groups[i];
		/* A subsection's fields count only below the section that its name begins with. */
		size_t len = strlen(section);

		if (strcmp(group->name, layout) || strncmp(layout, section, len) ||
		    (layout[len] && layout[len] != '/'))
			continue;

		const struct wanted *wanted = find_wanted(group, name);

		if (!wanted || wanted->offset == SIZE_MAX ||
		    size != (size_t)wanted->field.size * wanted->field.count)
			return;
		if (!group->per_vcpu) {
			memcpy((uint8_t *)raw + wanted->offset, data, size);
			raw->timer_seen |= !strcmp(layout, "timer");
		} else if (instance < raw->nr) {
			memcpy((uint8_t *)&raw->vcpus[instance] + wanted->offset, data, size);
			/* The last field of the main section: all of it was there. */
			raw->vcpus[instance].seen |=
				wanted->offset == offsetof(struct raw_vcpu, ymmh);
		}
		return;
	}
}

static struct ovm_vcpu_segment decode_segment(const uint8_t *p)
{
	return (struct ovm_vcpu_segment){
		.selector = (uint16_t)be32(p),
		.base = be64(p + 4),
		.limit = be32(p + 12),
		.flags = be32(p + 16),
	};
}

static void put_le16(uint8_t *p, uint16_t value)
{
	value = htole16(value);
	memcpy(p, &value, sizeof(value));
}

static void put_le32(uint8_t *p, uint32_t value)
{
	value = htole32(value);
	memcpy(p, &value, sizeof(value));
}

static void put_le64(uint8_t *p, uint64_t value)
{
	value = htole64(value);
	memcpy(p, &value, sizeof(value));
}

/* Vector registers: words of 64 bits, big-endian there and little-endian here. */
static void put_words(uint8_t *to, const uint8_t *from, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += 8)
		put_le64(to + i, be64(from + i));
}

/*
 * The x87 part, as FXSAVE has it: tags abridged to one bit (set: not empty) by
 * physical register, contents in the order of the stack, ST(0) first.  QEMU keeps
 * contents that it emulates by physical register, but those that KVM gave it in the
 * order in which KVM gave them, which is FXSAVE's.
 */
static void decode_x87(const struct raw_vcpu *raw, bool kvm, uint8_t *xsave)
{
	uint16_t status = be16(raw->fpus);
	unsigned int top = kvm ? 0 : status >> 11 & 7;

	put_le16(xsave, be16(raw->fpuc));
	put_le16(xsave + 2, status);
	xsave[4] = (uint8_t)be16(raw->fptag);
	put_le16(xsave + 6, be16(raw->fpop));
	put_le64(xsave + 8, be64(raw->fpip));
	put_le64(xsave + 16, be64(raw->fpdp));
	for (unsigned int i = 0; i < 8; i++) {
		const uint8_t *from = raw->fpregs + (top + i) % 8 * 10;

		put_le64(xsave + OVM_XSAVE_ST + 16 * i, be64(from));
		put_le16(xsave + OVM_XSAVE_ST + 16 * i + 8, be16(from + 8));
	}
}

enum {
	XFEATURE_LEGACY = 3,
	XFEATURE_BNDREGS = 1 << 3,
	XFEATURE_BNDCSR = 1 << 4,
	MXCSR_MASK = 0xffff,
	MXCSR_MASK_OFFSET = 28,
};

static void decode_xsave(const struct raw_vcpu *raw, bool kvm, uint8_t *xsave)
{
	uint64_t features = be64(raw->xstate_bv);

	decode_x87(raw, kvm, xsave);
	put_le32(xsave + OVM_XSAVE_MXCSR, be32(raw->mxcsr));
	put_le32(xsave + MXCSR_MASK_OFFSET, MXCSR_MASK);
	put_words(xsave + OVM_XSAVE_XMM, raw->xmm, sizeof(raw->xmm));
	put_words(xsave + OVM_XSAVE_YMMH, raw->ymmh, sizeof(raw->ymmh));
	put_words(xsave + OVM_XSAVE_BNDREGS, raw->bnd, sizeof(raw->bnd));
	put_le64(xsave + OVM_XSAVE_BNDCSR, be64(raw->bndcfgu));
	put_le64(xsave + OVM_XSAVE_BNDCSR + 8, be64(raw->bndsts));
	put_words(xsave + OVM_XSAVE_OPMASK, raw->opmask, sizeof(raw->opmask));
	put_words(xsave + OVM_XSAVE_ZMMH, raw->zmmh, sizeof(raw->zmmh));
	put_words(xsave + OVM_XSAVE_HI16_ZMM, raw->hi16_zmm, sizeof(raw->hi16_zmm));
	put_le32(xsave + OVM_XSAVE_PKRU, be32(raw->pkru));
	memcpy(xsave + OVM_XSAVE_TILECFG, raw->tilecfg, sizeof(raw->tilecfg));
	memcpy(xsave + OVM_XSAVE_TILEDATA, raw->tiledata, sizeof(raw->tiledata));
	/* TCG tracks no component but MPX; what it emulates is what the guest has enabled. */
	if (!kvm)
		features = be64(raw->xcr0) & ~(uint64_t)(XFEATURE_BNDREGS | XFEATURE_BNDCSR);
	put_le64(xsave + OVM_XSAVE_HEADER, features | XFEATURE_LEGACY);
}

static void decode_msrs(const struct raw_vcpu *raw, struct ovm_vcpu *vcpu)
{
	vcpu->efer = be64(raw->efer);
	vcpu->star = be64(raw->star);
	vcpu->lstar = be64(raw->lstar);
	vcpu->cstar = be64(raw->cstar);
	vcpu->sfmask = be64(raw->fmask);
	vcpu->kernel_gs_base = be64(raw->kernelgsbase);
	vcpu->sysenter_cs = be32(raw->sysenter_cs);
	vcpu->sysenter_esp = be64(raw->sysenter_esp);
	vcpu->sysenter_eip = be64(raw->sysenter_eip);
	vcpu->tsc_aux = be64(raw->tsc_aux);
	vcpu->xcr0 = be64(raw->xcr0);
	vcpu->xss = be64(raw->xss);
	vcpu->pkru = be32(raw->pkru);
}

static void decode_vcpu(const struct raw_state *state, const struct raw_vcpu *raw, bool kvm,
			struct ovm_vcpu *vcpu)
{
	for (size_t i = 0; i < OVM_VCPU_NR_GPRS; i++)
		vcpu->gprs[i] = be64(raw->regs + 8 * i);
	for (size_t i = 0; i < OVM_VCPU_NR_SEGMENTS; i++)
		vcpu->segments[i] = decode_segment(raw->segs + 20 * i);
	for (size_t i = 0; i < 8; i++)
		vcpu->dr[i] = be64(raw->dr + 8 * i);
	vcpu->rip = be64(raw->eip);
	vcpu->rflags = be64(raw->eflags);
	vcpu->ldt = decode_segment(raw->ldt);
	vcpu->tr = decode_segment(raw->tr);
	vcpu->gdt = decode_segment(raw->gdt);
	vcpu->idt = decode_segment(raw->idt);
	vcpu->cr0 = be64(raw->cr0);
	vcpu->cr2 = be64(raw->cr2);
	vcpu->cr3 = be64(raw->cr3);
	vcpu->cr4 = be64(raw->cr4);
	vcpu->cpl = vcpu->segments[OVM_VCPU_SS].flags >> 13 & 3;
	vcpu->full = true;
	vcpu->halted = be32(raw->halted);
	decode_msrs(raw, vcpu);
	/*
	 * KVM gives the counter itself; TCG counts host ticks while the VM runs, all vCPUs alike
	 * (hw/i386/x86.c, cpu_get_tsc(); target/i386/tcg/misc_helper.c, helper_rdtsc()).
	 */
	vcpu->tsc = kvm ? be64(raw->tsc) : be64(state->ticks) + be64(raw->tsc_offset);
	decode_xsave(raw, kvm, vcpu->xsave);
}

static struct ovm_error *check_seen(const struct raw_state *raw)
{
	for (size_t i = 0; i < raw->nr; i++) {
		if (!raw->vcpus[i].seen)
			return ovm_error_format(
				OVM_ERROR_CORRUPT,
				"QEMU's device state is not understood: no state of "
				"vCPU %zu, or in another format",
				i);
		if (be16(raw->vcpus[i].fpformat))
			return ovm_error_format(OVM_ERROR_CORRUPT,
						"QEMU's device state is not understood: unknown "
						"format of FPU registers");
	}
	if (!raw->timer_seen)
		return ovm_error_format(
			OVM_ERROR_CORRUPT,
			"QEMU's device state is not understood: no section \"timer\"");
	return NULL;
}

static struct ovm_error *visit_plain(const uint8_t *stream, size_t len,
				     const struct ovm_stream_visitor *visitor)
{
	struct ovm_stream_field fields[NR_GROUPS][MAX_FIELDS];
	struct ovm_stream_layout layouts[NR_GROUPS];

	for (size_t i = 0; i < NR_GROUPS; i++) {
		for (size_t j = 0; j < groups[i].nr; j++)
			fields[i][j] = groups[i].fields[j].field;
		layouts[i] = (struct ovm_stream_layout){groups[i].name, groups[i].version,
							fields[i], groups[i].nr};
	}
	return ovm_stream_visit_plain(stream, len, layouts, NR_GROUPS, visitor);
}

struct ovm_error *ovm_vcpus_parse(const uint8_t *stream, size_t len, bool described,
				  const struct ovm_vcpu_context *context, struct ovm_vcpus **ret)
{
	struct raw_state raw = {.nr = context->nr_vcpus};
	const struct ovm_stream_visitor visitor = {collect_field, &raw};
	struct ovm_vcpus *vcpus =
		calloc(1, sizeof(*vcpus) + context->nr_vcpus * sizeof(vcpus->vcpus[0]));
	struct ovm_error *err;

	*ret = NULL;
	raw.vcpus = calloc(context->nr_vcpus + 1, sizeof(*raw.vcpus));
	if (!vcpus || !raw.vcpus)
		err = ovm_error_no_memory();
	else if (described)
		err = ovm_stream_visit_described(stream, len, &visitor);
	else
		err = visit_plain(stream, len, &visitor);
	if (!err)
		err = check_seen(&raw);
	if (!err) {
		vcpus->full = true;
		vcpus->nr = context->nr_vcpus;
		vcpus->vm_clock = be64(raw.clock);
		vcpus->kvm_clock = be64(raw.kvm_clock);
		for (uint32_t i = 0; i < vcpus->nr; i++) {
			vcpus->vcpus[i].index = i;
			decode_vcpu(&raw, &raw.vcpus[i], context->kvm, &vcpus->vcpus[i]);
		}
		*ret = vcpus;
		vcpus = NULL;
	}
	free(raw.vcpus);
	free(vcpus);
	return err;
}

void ovm_vcpus_free(struct ovm_vcpus *vcpus)
{
	free(vcpus);
}
