/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files that make up struct ovm_kernel share. */
#ifndef OVM_VMI_KERNEL_PRIVATE_H
#define OVM_VMI_KERNEL_PRIVATE_H

#include "btf.h"
#include "kallsyms.h"
#include "kernel.h"
#include "pagetable.h"
#include "vmcoreinfo.h"

/** Kernel image and modules are linked above this (Documentation/arch/x86/x86_64/mm.rst). */
#define OVM_START_KERNEL_MAP 0xffffffff80000000ULL
/** Room for the image (KERNEL_IMAGE_SIZE with KASLR); modules lie behind it. */
#define OVM_KERNEL_IMAGE_ROOM 0x40000000ULL
/** Address that images are linked for: CONFIG_PHYSICAL_START, which nobody changes for 64 bits. */
#define OVM_LINKED_TEXT 0xffffffff81000000ULL

enum {
	OVM_KERNEL_MAX_CPUS = 8192,
	/* Bytes of the image that are read at a time. */
	OVM_KERNEL_MAX_IMAGE = 192 << 20,
	OVM_KERNEL_MAX_BTF = 64 << 20,
	OVM_KERNEL_BANNER_MAX = 512,
	OVM_KERNEL_RELEASE_MAX = 65,
	OVM_KERNEL_BUILD_ID_MAX = 64,
};

/** Pages of the image that are mapped alike. */
struct ovm_image_run {
	uint64_t address, size;
	bool writable, no_execute;
};

/** The image as its page table shows it. */
struct ovm_image_map {
	uint64_t pgd_gpa;
	unsigned int levels;
	uint64_t phys_base;
	uint64_t start, end;
	size_t nr;
	struct ovm_image_run runs[128];
};

/** Layout facts that verification needs, from BTF. */
struct ovm_kernel_offsets {
	uint32_t task_comm;
	uint32_t uts_release;
};

struct ovm_kernel {
	const struct ovm_memory *memory;
	struct ovm_kernel_info info;
	struct ovm_kallsyms *kallsyms;
	struct ovm_btf *btf;
	struct ovm_kernel_offsets offsets;
	/* Offset of the build id's note from the start of the image, or 0. */
	uint64_t build_id_offset;
	char banner[OVM_KERNEL_BANNER_MAX];
	char release[OVM_KERNEL_RELEASE_MAX];
	char build_id[2 * OVM_KERNEL_BUILD_ID_MAX + 1];
	uint64_t *per_cpu_offsets;
	/* Modules whose BTF has been added, by the address of their struct btf. */
	uint64_t *modules;
	size_t nr_modules;
	/* Scratch for the walks of one call. */
	struct ovm_pagetable walk;
};

/** Find out what @levels levels of page tables at @pgd_gpa map as kernel image. */
struct ovm_error *ovm_image_map(const struct ovm_memory *memory, uint64_t pgd_gpa,
				unsigned int levels, struct ovm_image_map *ret);

/** Physical address of a byte of the image. */
static inline uint64_t ovm_image_gpa(const struct ovm_image_map *map, uint64_t address)
{
	return address - OVM_START_KERNEL_MAP + map->phys_base;
}

/** Called with each note of VMCOREINFO found in RAM; returning false ends the scan. */
typedef bool ovm_note_fn(void *arg, const struct ovm_vmcoreinfo *info);

/** Look for notes in all of RAM. */
struct ovm_error *ovm_kernel_scan(const struct ovm_memory *memory, ovm_note_fn *fn, void *arg);

/**
 * Set up @kernel's facts from its symbols, and check them against guest memory.
 *
 * Errors: OVM_ERROR_KERNEL says what does not fit.
 */
struct ovm_error *ovm_kernel_verify(struct ovm_kernel *kernel, const struct ovm_image_map *map);

/** Read the value of a variable of 4 or 8 bytes by name; @missing when there is no such symbol. */
struct ovm_error *ovm_kernel_variable(struct ovm_kernel *kernel, const char *name, size_t size,
				      uint64_t missing, uint64_t *ret);

/**
 * Load symbols and offsets from the cache, if it has those of the kernel that @map shows.
 *
 * False when it has not, or when what it has does not agree with the guest.
 */
bool ovm_kernel_cache_load(const char *directory, const struct ovm_image_map *map,
			   struct ovm_kernel *kernel);

/** Save symbols and offsets of a verified kernel. */
struct ovm_error *ovm_kernel_cache_save(const char *directory, const struct ovm_image_map *map,
					const struct ovm_kernel *kernel);

#endif /* OVM_VMI_KERNEL_PRIVATE_H */
