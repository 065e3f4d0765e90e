/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is known of the guest's kernel, found in guest RAM alone: where it lies
 * (KASLR), its symbols (kallsyms), its types (BTF), its page tables, its
 * per-CPU areas, its clock.
 *
 * Everything here comes from guest memory and was verified against itself; it
 * is still the guest's word.  A kernel is used by one thread at a time.
 */
#ifndef OVM_VMI_KERNEL_H
#define OVM_VMI_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "btf.h"
#include "error.h"
#include "memory.h"

struct ovm_kernel;

/** What a vCPU tells of where the kernel is; any field may be zero (unknown). */
struct ovm_kernel_hint {
	uint64_t cr3;
	uint64_t cr4;
	/** MSR_LSTAR, the kernel's system call entry. */
	uint64_t lstar;
	/** Base of the interrupt descriptor table. */
	uint64_t idt_base;
	/** GS base and MSR_KERNEL_GS_BASE: one of them is the per-CPU base. */
	uint64_t gs_base;
	uint64_t kernel_gs_base;
	/** Instruction pointer; the kernel's when negative. */
	uint64_t rip;
};

struct ovm_kernel_options {
	/** sizeof(struct ovm_kernel_options) */
	size_t size;
	const struct ovm_kernel_hint *hints;
	size_t nr_hints;
	/** Directory for facts cached by build id, or NULL for none. */
	const char *cache_dir;
	/** Never scan all of RAM, not even as the last resort. */
	bool no_scan;
};

/**
 * Find and verify the kernel in @memory, which must outlive the result.
 *
 * Errors: OVM_ERROR_KERNEL says which anchor is missing and what would help.
 */
struct ovm_error *ovm_kernel_attach(const struct ovm_memory *memory,
				    const struct ovm_kernel_options *options,
				    struct ovm_kernel **ret);

/** Forget a kernel; NULL is fine. */
void ovm_kernel_detach(struct ovm_kernel *kernel);

/** Facts that are read often. Addresses are guest virtual unless the name says otherwise. */
struct ovm_kernel_info {
	/** linux_banner without the newline, and the release ("6.1.0-56-cloud-amd64"). */
	const char *banner;
	const char *release;
	/** Lower-case hexadecimal of the GNU build id, or "". */
	const char *build_id;
	/** Difference between run-time and link-time addresses of the kernel image. */
	uint64_t kaslr_offset;
	/** Physical address = virtual address - 0xffffffff80000000 + phys_base, in the image. */
	uint64_t phys_base;
	/** First addresses of the image and behind it (_text, _end). */
	uint64_t image_start, image_end;
	/** Bases of the direct map, vmalloc and vmemmap areas. */
	uint64_t page_offset_base, vmalloc_base, vmemmap_base;
	/** Guest physical address of the kernel's top page table. */
	uint64_t pgd_gpa;
	/** 4 or 5. */
	unsigned int pgtable_levels;
	/** Mask of the memory encryption bit in page-table entries, or 0. */
	uint64_t sme_mask;
	unsigned int nr_cpu_ids;
};

const struct ovm_kernel_info *ovm_kernel_info(const struct ovm_kernel *kernel);

/**
 * Load the types of vmlinux, unless they are; @ret may be NULL. They are owned by the kernel.
 *
 * Attaching does not load them when the cache has what it needs of them.
 */
struct ovm_error *ovm_kernel_load_btf(struct ovm_kernel *kernel, struct ovm_btf **ret);

/** The same without a reason: NULL when they can't be loaded. */
struct ovm_btf *ovm_kernel_btf(struct ovm_kernel *kernel);

/**
 * Add the types of the guest's modules, as far as they are not known yet: of the module of that
 * name, or of all modules when @name is NULL. A kernel without module BTF (before v5.11) adds none.
 *
 * Errors: OVM_ERROR_NOT_FOUND when no module of that name is loaded; OVM_ERROR_CORRUPT,
 * OVM_ERROR_BUDGET when the list of modules is broken or endless.
 */
struct ovm_error *ovm_kernel_load_module_btf(struct ovm_kernel *kernel, const char *name);

/** Address of a symbol of vmlinux; false when there is none of that name. */
bool ovm_kernel_symbol(const struct ovm_kernel *kernel, const char *name, uint64_t *ret);

/**
 * Nearest symbol at or below @address, whose distance goes to @offset; NULL when the address is
 * outside the image. The name lives as long as the kernel.
 */
const char *ovm_kernel_symbol_at(const struct ovm_kernel *kernel, uint64_t address,
				 uint64_t *offset);

/** Base of a CPU's per-CPU area, to be added to a per-CPU symbol; false for an unknown CPU. */
bool ovm_kernel_per_cpu_offset(const struct ovm_kernel *kernel, unsigned int cpu, uint64_t *ret);

/** One piece of a batched read of virtual memory. */
struct ovm_kernel_read {
	/** Guest virtual address. */
	uint64_t address;
	void *buf;
	size_t len;
};

/**
 * Read pieces of kernel memory: image and direct map by arithmetic, the rest by page walk.
 *
 * Errors: OVM_ERROR_FAULT with the guest virtual address.
 */
struct ovm_error *ovm_kernel_read_batch(struct ovm_kernel *kernel,
					const struct ovm_kernel_read *reads, size_t nr);

/** Read one piece of kernel memory. */
struct ovm_error *ovm_kernel_read(struct ovm_kernel *kernel, uint64_t address, void *buf,
				  size_t len);

/** Where @len bytes of kernel memory are mapped here, or NULL; see ovm_memory_peek(). */
const void *ovm_kernel_peek(struct ovm_kernel *kernel, uint64_t address, size_t len);

/** Translate a kernel address to a guest physical one. */
struct ovm_error *ovm_kernel_translate(struct ovm_kernel *kernel, uint64_t address, uint64_t *ret);

/**
 * Translate @address through the page table whose top lies at @pgd_gpa (a process'); @run, if not
 * NULL, receives the bytes from there to the end of the page that maps it. Entries whose page is
 * present though inaccessible (PROT_NONE) are translated too.
 */
struct ovm_error *ovm_kernel_translate_in(struct ovm_kernel *kernel, uint64_t pgd_gpa,
					  uint64_t address, uint64_t *ret, uint64_t *run);

/** Read user memory through the page table at @pgd_gpa. */
struct ovm_error *ovm_kernel_read_user(struct ovm_kernel *kernel, uint64_t pgd_gpa,
				       uint64_t address, void *buf, size_t len);

/** Guest clocks at a moment, in nanoseconds. */
struct ovm_kernel_clock {
	uint64_t monotonic;
	uint64_t boottime;
	uint64_t realtime;
	/** How far the truth may be ahead of these: non-zero when the clock source can't be read.
	 */
	uint64_t uncertainty;
};

/** What the guest's clock source counts. */
enum ovm_kernel_clock_source {
	/** Something that can't be read from outside. */
	OVM_CLOCK_OTHER,
	/** A variable of the kernel (jiffies). */
	OVM_CLOCK_MEMORY,
	OVM_CLOCK_TSC,
	/** kvm-clock: the TSC, scaled by what KVM wrote to guest memory. */
	OVM_CLOCK_KVM,
	/** ACPI power management timer: the virtual machine's clock at 3.579545 MHz, 24 bits. */
	OVM_CLOCK_ACPI_PM,
	/** HPET: its main counter, at @register_gpa of struct ovm_kernel_clock_info. */
	OVM_CLOCK_HPET,
};

struct ovm_kernel_clock_info {
	enum ovm_kernel_clock_source source;
	/** Its name in the guest. */
	char name[32];
	/** OVM_CLOCK_HPET: guest physical address of the 64-bit main counter. */
	uint64_t register_gpa;
};

/** Tell which clock source the guest uses now. */
struct ovm_error *ovm_kernel_clock_info(struct ovm_kernel *kernel,
					struct ovm_kernel_clock_info *ret);

/** Counters of a paused guest, from its virtual machine. */
struct ovm_kernel_counters {
	/** Time stamp counter, as RDTSC returns it in the guest; 0 when unknown. */
	uint64_t tsc;
	/** The virtual machine's clock in ns, which the ACPI timer counts; 0 when unknown. */
	uint64_t vm_clock;
	/** The HPET's main counter; 0 when unknown. */
	uint64_t hpet;
};

/**
 * Read the guest's clocks while it is paused. Without the counter that the clock source needs, the
 * clocks are those of the last timer tick, and the uncertainty says so.
 *
 * Errors: OVM_ERROR_INCONSISTENT when the guest was paused while it set its clocks; let it run on.
 */
struct ovm_error *ovm_kernel_read_clock(struct ovm_kernel *kernel,
					const struct ovm_kernel_counters *counters,
					struct ovm_kernel_clock *ret);

#endif /* OVM_VMI_KERNEL_H */
