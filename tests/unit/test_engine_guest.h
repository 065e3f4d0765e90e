/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A made-up guest for tests of the page engine: RAM in a memfd, a process' page
 * tables, and page descriptors behind the kernel's page tables.
 *
 *	0 .. 2 MiB      left alone: holes
 *	2 MiB ..        tables, in order of creation
 *	top             page descriptors, one for each page frame
 */
#ifndef OVM_TESTS_UNIT_TEST_ENGINE_GUEST_H
#define OVM_TESTS_UNIT_TEST_ENGINE_GUEST_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernels-cuda/engine.h"
#include "kernels-cuda/pageops.h"

#define GUEST_VMEMMAP UINT64_C(0xffffea0000000000)

enum {
	GUEST_PAGE_SIZE = 64,
	GUEST_COMPOUND_HEAD = 8,
	GUEST_MAPPING = 24,
	GUEST_TABLES = 2 << 20,
};

/* Bits of entries as Linux sets them. */
#define GUEST_PTE      UINT64_C(0x8000000000000067)
#define GUEST_TABLE    UINT64_C(0x67)
#define GUEST_PROTNONE UINT64_C(0x8000000000000120)

struct guest {
	struct ovm_memory *memory;
	int fd;
	uint8_t *ram;
	uint64_t size;
	unsigned int levels;
	uint64_t next_table;
	/* Physical addresses of the top tables and of the page descriptors. */
	uint64_t pgd;
	uint64_t kernel_pgd;
	uint64_t descriptors;
	struct ovm_page_layout layout;
};

static inline uint64_t *guest_words(struct guest *guest, uint64_t gpa)
{
	return (uint64_t *)(guest->ram + gpa);
}

/* A new table; 0 when the room for tables is used up. */
static inline uint64_t guest_table(struct guest *guest)
{
	uint64_t gpa = guest->next_table;

	if (gpa + OVM_PAGE_SIZE > guest->descriptors)
		return 0;
	guest->next_table += OVM_PAGE_SIZE;
	memset(guest->ram + gpa, 0, OVM_PAGE_SIZE);
	return gpa;
}

/* The entry for @va in a table of @level below @pgd; missing tables are made. */
static inline uint64_t *guest_entry(struct guest *guest, uint64_t pgd, uint64_t va,
				    unsigned int level)
{
	uint64_t table = pgd;

	for (unsigned int l = guest->levels;; l--) {
		uint64_t index = va >> ovm_level_shift(l) & (OVM_TABLE_ENTRIES - 1);
		uint64_t *entry = &guest_words(guest, table)[index];

		if (l == level)
			return entry;
		if (!*entry)
			*entry = guest_table(guest) | GUEST_TABLE;
		table = *entry & OVM_PTE_ADDRESS;
	}
}

/* Set an entry of the process. */
static inline void guest_set(struct guest *guest, uint64_t va, unsigned int level, uint64_t raw)
{
	*guest_entry(guest, guest->pgd, va, level) = raw;
}

/* Map a page of the process: 4 KiB, 2 MiB or 1 GiB by level. */
static inline void guest_map(struct guest *guest, uint64_t va, unsigned int level, uint64_t gpa)
{
	guest_set(guest, va, level, gpa | GUEST_PTE | (level > 1 ? OVM_PTE_PSE : 0));
}

/* The same, PROT_NONE. */
static inline void guest_map_none(struct guest *guest, uint64_t va, unsigned int level,
				  uint64_t gpa)
{
	uint64_t mask = OVM_PTE_ADDRESS & ~((UINT64_C(1) << ovm_level_shift(level)) - 1);

	guest_set(guest, va, level, (~gpa & mask) | GUEST_PROTNONE | (level > 1 ? OVM_PTE_PSE : 0));
}

/* A swap entry. */
static inline uint64_t guest_swap(unsigned int type, uint64_t offset)
{
	return (uint64_t)type << 59 | (~offset << 14 >> 5);
}

static inline uint64_t guest_descriptor(const struct guest *guest, uint64_t gpa)
{
	(void)guest;
	return GUEST_VMEMMAP + (gpa >> OVM_PAGE_SHIFT) * GUEST_PAGE_SIZE;
}

/* Set a word of the descriptor of the page at @gpa. */
static inline void guest_describe(struct guest *guest, uint64_t gpa, unsigned int offset,
				  uint64_t value)
{
	uint64_t at = guest->descriptors + (gpa >> OVM_PAGE_SHIFT) * GUEST_PAGE_SIZE + offset;

	*guest_words(guest, at) = value;
}

/* Make the page at @gpa anonymous, or not. */
static inline void guest_set_anon(struct guest *guest, uint64_t gpa, bool anon)
{
	guest_describe(guest, gpa, GUEST_MAPPING, UINT64_C(0xffff888000001000) | anon);
}

static inline void guest_init_descriptors(struct guest *guest, unsigned int level)
{
	uint64_t step = UINT64_C(1) << ovm_level_shift(level);
	uint64_t bytes = (guest->size >> OVM_PAGE_SHIFT) * GUEST_PAGE_SIZE;

	for (uint64_t at = 0; at < bytes; at += step)
		*guest_entry(guest, guest->kernel_pgd, GUEST_VMEMMAP + at, level) =
			(guest->descriptors + at) | GUEST_PTE | (level > 1 ? OVM_PTE_PSE : 0);
}

/* RAM of @kind: one range, from physical address 0. */
static inline struct ovm_error *guest_init_memory(struct guest *guest, enum ovm_ram_kind kind)
{
	struct ovm_ram_range range = {
		.size = guest->size,
		.kind = kind,
		.fd = kind == OVM_RAM_PROCESS ? -1 : dup(guest->fd),
		.vmm_pid = getpid(),
		.vmm_address = (uintptr_t)guest->ram,
	};

	return ovm_memory_create(&range, 1, &guest->memory);
}

/*
 * Make a guest with @size bytes of RAM, a multiple of 128 MiB. Page descriptors are mapped by
 * pages of the size of level 1 or 2.
 */
static inline struct ovm_error *guest_create(struct guest *guest, uint64_t size,
					     unsigned int levels, enum ovm_ram_kind kind,
					     unsigned int descriptor_level)
{
	memset(guest, 0, sizeof(*guest));
	guest->fd = memfd_create("guest", MFD_CLOEXEC);
	if (guest->fd < 0 || ftruncate(guest->fd, (off_t)size))
		return ovm_error_format(OVM_ERROR_OUTPUT, "can't make guest RAM");
	guest->ram = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, guest->fd, 0);
	if (guest->ram == MAP_FAILED)
		return ovm_error_no_memory();
	guest->size = size;
	guest->levels = levels;
	guest->next_table = GUEST_TABLES;
	guest->descriptors = size - (size >> OVM_PAGE_SHIFT) * GUEST_PAGE_SIZE;
	guest->pgd = guest_table(guest);
	guest->kernel_pgd = guest_table(guest);
	guest_init_descriptors(guest, descriptor_level);
	guest->layout.kernel_pgd = guest->kernel_pgd;
	guest->layout.vmemmap_base = GUEST_VMEMMAP;
	guest->layout.page_size = GUEST_PAGE_SIZE;
	guest->layout.mapping_offset = GUEST_MAPPING;
	guest->layout.compound_head_offset = GUEST_COMPOUND_HEAD;
	return guest_init_memory(guest, kind);
}

static inline void guest_destroy(struct guest *guest)
{
	ovm_memory_destroy(guest->memory);
	if (guest->ram && guest->ram != MAP_FAILED)
		munmap(guest->ram, guest->size);
	if (guest->fd >= 0)
		close(guest->fd);
}

#ifdef GUEST_ENGINE_ON_DEVICE
#include "device_model.h"
#endif

/* An engine, attached to the guest: on the CPU, or, where tests are built for that, on a device. */
static inline struct ovm_error *guest_engine(struct guest *guest, unsigned int nr_threads,
					     struct ovm_engine **ret)
{
	const struct ovm_engine_options options = {
		.size = sizeof(options),
#ifdef GUEST_ENGINE_ON_DEVICE
		.backend = OVM_BACKEND_CUDA,
#else
		.backend = OVM_BACKEND_CPU,
#endif
		.nr_threads = nr_threads,
	};
#ifdef GUEST_ENGINE_ON_DEVICE
	struct ovm_error *err = ovm_engine_create_on(&options, device_model_open, ret);
#else
	struct ovm_error *err = ovm_engine_create(&options, ret);
#endif

	if (err)
		return err;
	err = ovm_engine_attach(*ret, guest->memory);
	if (err) {
		ovm_engine_destroy(*ret);
		*ret = NULL;
	}
	return err;
}

/* A request for all of @ranges, with the guest's page descriptors. */
static inline struct ovm_walk_request guest_request(const struct guest *guest,
						    const struct ovm_walk_range *ranges, size_t nr)
{
	const struct ovm_walk_request request = {
		.size = sizeof(request),
		.pgd = guest->pgd,
		.levels = guest->levels,
		.ranges = ranges,
		.nr_ranges = nr,
		.page = &guest->layout,
	};

	return request;
}

#endif /* OVM_TESTS_UNIT_TEST_ENGINE_GUEST_H */
