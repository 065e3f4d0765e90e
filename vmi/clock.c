// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's clocks, from its timekeeper and a counter.
 *
 * At the last tick the kernel stored a count of its clock source and the time
 * that belongs to it.  Now is (source: kernel/time/timekeeping.c, v6.12):
 *
 *	monotonic = tkr_mono.base +
 *		(((counter - cycle_last) & mask) * mult + xtime_nsec) >> shift
 *	realtime = monotonic + offs_real, boottime = monotonic + offs_boot
 */
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "kernel_private.h"
#include "text.h"

enum {
	/* Frequency of the ACPI power management timer, and its width. */
	ACPI_PM_HZ = 3579545,
	ACPI_PM_BITS = 24,
	HPET_MAIN_COUNTER = 0xf0,
	NS_PER_S = 1000000000,
};

/* struct pvclock_vcpu_time_info, an interface between KVM and its guests (asm/pvclock-abi.h). */
struct pvclock {
	uint32_t version, pad0;
	uint64_t tsc_timestamp, system_time;
	uint32_t tsc_to_system_mul;
	int8_t tsc_shift;
	uint8_t flags, pad[2];
};

/* What is read of struct timekeeper. */
struct timekeeper {
	uint64_t clock, mask, cycle_last, xtime_nsec, base;
	uint32_t mult, shift;
	uint64_t offs_real, offs_boot;
};

struct timekeeper_place {
	uint64_t timekeeper;
	/* A sequence count that is odd while the timekeeper is written, or 0. */
	uint64_t sequence;
};

static bool member_offset(const struct ovm_btf *btf, const char *type, const char *path,
			  uint64_t *ret)
{
	struct ovm_btf_member member;
	struct ovm_error *err = ovm_btf_find_member(btf, type, path, &member);

	if (err) {
		ovm_error_free(err);
		return false;
	}
	*ret = member.bit_offset / 8;
	return true;
}

/*
 * struct tk_data has a name since v6.13, and there is an array of them, the first for the system's
 * clocks, since v6.17. Before, tk_core is an anonymous structure of a sequence count and the
 * timekeeper, which is aligned to 8 bytes.
 */
static struct ovm_error *find_timekeeper(struct ovm_kernel *kernel, const struct ovm_btf *btf,
					 struct timekeeper_place *ret)
{
	uint64_t core, timekeeper, sequence;

	if ((ovm_kernel_symbol(kernel, "timekeeper_data", &core) ||
	     ovm_kernel_symbol(kernel, "tk_core", &core)) &&
	    member_offset(btf, "struct tk_data", "timekeeper", &timekeeper) &&
	    member_offset(btf, "struct tk_data", "seq", &sequence)) {
		*ret = (struct timekeeper_place){core + timekeeper, core + sequence};
		return NULL;
	}
	if (ovm_kernel_symbol(kernel, "tk_core", &core)) {
		uint64_t size;
		struct ovm_error *err = ovm_btf_sizeof(btf, "struct seqcount_raw_spinlock", &size);

		/* A plain sequence count before v5.10. */
		if (err) {
			ovm_error_free(err);
			err = ovm_btf_sizeof(btf, "struct seqcount", &size);
		}
		if (err)
			return err;
		*ret = (struct timekeeper_place){core + (size + 7) / 8 * 8, core};
		return NULL;
	}
	if (!ovm_kernel_symbol(kernel, "shadow_timekeeper", &ret->timekeeper))
		return ovm_error_format(OVM_ERROR_KERNEL,
					"the guest's kernel has neither timekeeper_data nor "
					"tk_core nor shadow_timekeeper");
	ret->sequence = 0;
	return NULL;
}

struct field {
	const char *path;
	void *value;
	size_t size;
};

/* Read members of a structure at @address in one batch. */
static struct ovm_error *read_fields(struct ovm_kernel *kernel, const struct ovm_btf *btf,
				     const char *type, uint64_t address, const struct field *fields,
				     size_t nr)
{
	struct ovm_kernel_read reads[16];

	for (size_t i = 0; i < nr; i++) {
		struct ovm_btf_member member;
		struct ovm_error *err = ovm_btf_find_member(btf, type, fields[i].path, &member);

		if (!err && member.size != fields[i].size)
			err = ovm_error_format(OVM_ERROR_KERNEL, "%s.%s has an unexpected size",
					       type, fields[i].path);
		if (err)
			return err;
		reads[i] = (struct ovm_kernel_read){address + member.bit_offset / 8,
						    fields[i].value, fields[i].size};
	}
	return ovm_kernel_read_batch(kernel, reads, nr);
}

static struct ovm_error *read_sequence(struct ovm_kernel *kernel,
				       const struct timekeeper_place *place)
{
	uint32_t sequence;

	if (!place->sequence)
		return NULL;

	struct ovm_error *err =
		ovm_kernel_read(kernel, place->sequence, &sequence, sizeof(sequence));

	if (!err && sequence & 1)
		err = ovm_error_format(OVM_ERROR_INCONSISTENT,
				       "the guest was paused while it set its clocks");
	return err;
}

static struct ovm_error *read_timekeeper(struct ovm_kernel *kernel, struct timekeeper *ret)
{
	struct timekeeper_place place;
	struct ovm_btf *btf;
	const struct field fields[] = {
		{"tkr_mono.clock", &ret->clock, 8},
		{"tkr_mono.mask", &ret->mask, 8},
		{"tkr_mono.cycle_last", &ret->cycle_last, 8},
		{"tkr_mono.xtime_nsec", &ret->xtime_nsec, 8},
		{"tkr_mono.base", &ret->base, 8},
		{"tkr_mono.mult", &ret->mult, 4},
		{"tkr_mono.shift", &ret->shift, 4},
		{"offs_real", &ret->offs_real, 8},
		{"offs_boot", &ret->offs_boot, 8},
	};
	struct ovm_error *err = ovm_kernel_load_btf(kernel, &btf);

	if (!err)
		err = find_timekeeper(kernel, btf, &place);
	if (!err)
		err = read_sequence(kernel, &place);
	if (!err)
		err = read_fields(kernel, btf, "struct timekeeper", place.timekeeper, fields,
				  sizeof(fields) / sizeof(fields[0]));
	if (!err && ret->shift > 32)
		err = ovm_error_address(OVM_ERROR_CORRUPT, place.timekeeper,
					"no timekeeper (it shifts by %u) at", ret->shift);
	return ovm_error_prepend(err, "the guest's clocks");
}

static struct ovm_error *read_name(struct ovm_kernel *kernel, uint64_t clock, char *buf,
				   size_t size)
{
	uint64_t address;
	const struct field field = {"name", &address, 8};
	struct ovm_error *err =
		read_fields(kernel, ovm_kernel_btf(kernel), "struct clocksource", clock, &field, 1);

	memset(buf, 0, size);
	/* The string may be the last thing in its page. */
	for (size_t i = 0; !err && i + 1 < size; i++) {
		err = ovm_kernel_read(kernel, address + i, &buf[i], 1);
		if (!buf[i])
			break;
	}
	ovm_text_clean(buf, strlen(buf));
	return ovm_error_prepend(err, "the guest's clock source");
}

static struct ovm_error *identify_source(struct ovm_kernel *kernel, uint64_t clock,
					 struct ovm_kernel_clock_info *ret)
{
	static const struct {
		const char *name;
		enum ovm_kernel_clock_source source;
	} sources[] = {
		{"tsc", OVM_CLOCK_TSC},
		{"tsc-early", OVM_CLOCK_TSC},
		{"kvm-clock", OVM_CLOCK_KVM},
		{"acpi_pm", OVM_CLOCK_ACPI_PM},
		{"hpet", OVM_CLOCK_HPET},
		{"jiffies", OVM_CLOCK_MEMORY},
		{"refined-jiffies", OVM_CLOCK_MEMORY},
	};
	struct ovm_error *err = read_name(kernel, clock, ret->name, sizeof(ret->name));

	if (err)
		return err;
	ret->source = OVM_CLOCK_OTHER;
	ret->register_gpa = 0;
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		if (!strcmp(sources[i].name, ret->name))
			ret->source = sources[i].source;
	}
	if (ret->source != OVM_CLOCK_HPET)
		return NULL;
	err = ovm_kernel_variable(kernel, "hpet_address", 8, 0, &ret->register_gpa);
	if (!err && ret->register_gpa)
		ret->register_gpa += HPET_MAIN_COUNTER;
	return err;
}

struct ovm_error *ovm_kernel_clock_info(struct ovm_kernel *kernel,
					struct ovm_kernel_clock_info *ret)
{
	struct timekeeper timekeeper;
	struct ovm_error *err = read_timekeeper(kernel, &timekeeper);

	return err ?: identify_source(kernel, timekeeper.clock, ret);
}

/*
 * What a kvm-clock counts: nanoseconds that KVM wrote for a moment, plus the TSC since then. The
 * first CPU's structure is the first in hv_clock_boot; those of all CPUs agree on a host with a
 * stable TSC. Source: Documentation/virt/kvm/x86/msr.rst.
 */
static struct ovm_error *read_kvm_clock(struct ovm_kernel *kernel, uint64_t tsc, uint64_t *ret)
{
	struct pvclock pvclock;
	uint64_t address;

	_Static_assert(sizeof(pvclock) == 32, "layout of the interface");
	if (!ovm_kernel_symbol(kernel, "hv_clock_boot", &address))
		return ovm_error_format(OVM_ERROR_KERNEL,
					"the guest's kernel has no hv_clock_boot");

	struct ovm_error *err = ovm_kernel_read(kernel, address, &pvclock, sizeof(pvclock));

	if (err)
		return err;
	if (pvclock.version & 1)
		return ovm_error_format(OVM_ERROR_INCONSISTENT,
					"the guest was paused while KVM set its clock");
	if (pvclock.tsc_shift < -63 || pvclock.tsc_shift > 63)
		return ovm_error_address(OVM_ERROR_CORRUPT, address, "no KVM clock at");

	uint64_t delta = tsc > pvclock.tsc_timestamp ? tsc - pvclock.tsc_timestamp : 0;

	if (pvclock.tsc_shift < 0)
		delta >>= -pvclock.tsc_shift;
	else
		delta <<= pvclock.tsc_shift;
	*ret = pvclock.system_time +
	       (uint64_t)((unsigned __int128)delta * pvclock.tsc_to_system_mul >> 32);
	return NULL;
}

/* Find the counter's value; *@known tells whether it could be. */
static struct ovm_error *read_counter(struct ovm_kernel *kernel,
				      enum ovm_kernel_clock_source source,
				      const struct ovm_kernel_counters *counters, uint64_t *ret,
				      bool *known)
{
	*known = true;
	switch (source) {
	case OVM_CLOCK_MEMORY:
		return ovm_kernel_variable(kernel, "jiffies", 8, 0, ret);
	case OVM_CLOCK_TSC:
		*ret = counters->tsc;
		*known = counters->tsc;
		return NULL;
	case OVM_CLOCK_KVM:
		*known = counters->tsc;
		return *known ? read_kvm_clock(kernel, counters->tsc, ret) : NULL;
	case OVM_CLOCK_ACPI_PM:
		*ret = (uint64_t)((unsigned __int128)counters->vm_clock * ACPI_PM_HZ / NS_PER_S) %
		       (1 << ACPI_PM_BITS);
		*known = counters->vm_clock;
		return NULL;
	case OVM_CLOCK_HPET:
		*ret = counters->hpet;
		*known = counters->hpet;
		return NULL;
	case OVM_CLOCK_OTHER:
		break;
	}
	*known = false;
	return NULL;
}

/* Longest time that the kernel may sleep without reading its clock source. */
static struct ovm_error *read_max_idle(struct ovm_kernel *kernel, uint64_t clock, uint64_t *ret)
{
	const struct field field = {"max_idle_ns", ret, 8};

	return read_fields(kernel, ovm_kernel_btf(kernel), "struct clocksource", clock, &field, 1);
}

struct ovm_error *ovm_kernel_read_clock(struct ovm_kernel *kernel,
					const struct ovm_kernel_counters *counters,
					struct ovm_kernel_clock *ret)
{
	struct timekeeper timekeeper;
	struct ovm_kernel_clock_info info;
	uint64_t counter = 0, delta = 0;
	bool known = false;
	struct ovm_error *err = read_timekeeper(kernel, &timekeeper);

	*ret = (struct ovm_kernel_clock){0};
	if (!err)
		err = identify_source(kernel, timekeeper.clock, &info);
	if (!err)
		err = read_counter(kernel, info.source, counters, &counter, &known);
	if (!err && !known)
		err = read_max_idle(kernel, timekeeper.clock, &ret->uncertainty);
	if (err)
		return err;
	if (known)
		delta = (counter - timekeeper.cycle_last) & timekeeper.mask;
	/* A counter behind the last tick's: the CPUs' counters are not quite the same. */
	if (delta > timekeeper.mask / 2)
		delta = 0;
	ret->monotonic =
		timekeeper.base +
		(uint64_t)(((unsigned __int128)delta * timekeeper.mult + timekeeper.xtime_nsec) >>
			   timekeeper.shift);
	ret->realtime = ret->monotonic + timekeeper.offs_real;
	ret->boottime = ret->monotonic + timekeeper.offs_boot;
	return NULL;
}
