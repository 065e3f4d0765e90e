// SPDX-License-Identifier: GPL-2.0-only
/* Page tables made by hand in a small memory. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test.h"
#include "vmi/pagetable.h"

enum {
	RAM_BYTES = 4 << 20,
	ROOT = 0x10000,
	P4D = 0x11000,
	PUD = 0x12000,
	PMD = 0x13000,
	PTE = 0x14000,
};

struct model {
	uint64_t *ram;
	struct ovm_memory *memory;
	struct ovm_pagetable table;
};

static const uint64_t table_flags = OVM_PTE_PRESENT | OVM_PTE_WRITABLE | OVM_PTE_USER;
static const uint64_t address = 0x123456789000;

static void start(struct model *model, unsigned int levels, uint64_t sme_mask)
{
	int fd = memfd_create("ram", MFD_CLOEXEC);
	struct ovm_ram_range range = {.size = RAM_BYTES, .kind = OVM_RAM_MAPPED, .fd = fd};

	memset(model, 0, sizeof(*model));
	ASSERT_TRUE(fd >= 0 && !ftruncate(fd, RAM_BYTES));
	model->ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_TRUE(model->ram != MAP_FAILED);
	ASSERT_OK(ovm_memory_create(&range, 1, &model->memory));
	ovm_pagetable_init(&model->table, model->memory, ROOT, levels, sme_mask);
}

static void stop(struct model *model)
{
	ovm_memory_destroy(model->memory);
	munmap(model->ram, RAM_BYTES);
}

static uint64_t *entry(struct model *model, uint64_t table, uint64_t at, unsigned int level)
{
	return &model->ram[table / 8 + ovm_pagetable_index(at, level)];
}

/* Tables for four levels, down to the entry of @level, which is set. */
static void map4(struct model *model, uint64_t at, unsigned int level, uint64_t value)
{
	static const uint64_t tables[] = {0, PTE, PMD, PUD, ROOT};

	for (unsigned int l = 4; l > level; l--)
		*entry(model, tables[l], at, l) = tables[l - 1] | table_flags;
	*entry(model, tables[level], at, level) = value;
}

static void expect(struct model *model, uint64_t at, uint64_t gpa, uint64_t size)
{
	struct ovm_mapping mapping;

	ASSERT_OK(ovm_pagetable_lookup(&model->table, at, &mapping));
	ASSERT_TRUE(mapping.mapped);
	ASSERT_EQ_U64(mapping.address, at);
	ASSERT_EQ_U64(mapping.gpa, gpa);
	ASSERT_EQ_U64(mapping.size, size);
}

static void expect_none(struct model *model, uint64_t at, uint64_t size)
{
	struct ovm_mapping mapping;

	ASSERT_OK(ovm_pagetable_lookup(&model->table, at, &mapping));
	ASSERT_FALSE(mapping.mapped);
	ASSERT_EQ_U64(mapping.size, size);
}

OVM_TEST(pagetable, translates_pages_of_all_sizes)
{
	struct model model;

	start(&model, 4, 0);
	map4(&model, address, 1, 0x7654000 | table_flags);
	expect(&model, address + 0x123, 0x7654123, 0x1000 - 0x123);
	map4(&model, address, 2, 0x7600000 | table_flags | OVM_PTE_PAGE_SIZE);
	expect(&model, address + 0x123, 0x7600000 + (address + 0x123) % (2 << 20),
	       (2 << 20) - (address + 0x123) % (2 << 20));
	map4(&model, address, 3, 0x40000000 | table_flags | OVM_PTE_PAGE_SIZE);
	expect(&model, address, 0x40000000 + address % (1 << 30), (1 << 30) - address % (1 << 30));
	stop(&model);
}

OVM_TEST(pagetable, masks_the_bits_that_are_no_address)
{
	const uint64_t more = OVM_PTE_NO_EXECUTE | 0x7ff0000000000000; /* keys and software bits */
	const uint64_t pat = 1 << 12;
	struct model model;

	start(&model, 4, 0);
	map4(&model, address, 1, 0xffffffffff000 | more | OVM_PTE_PROT_NONE | 0xfff);
	expect(&model, address, 0xffffffffff000, 0x1000);
	map4(&model, address, 2, 0x7600000 | pat | more | table_flags | OVM_PTE_PAGE_SIZE);
	expect(&model, address & ~0x1fffffULL, 0x7600000, 2 << 20);
	map4(&model, address, 3, 0x40000000 | pat | more | table_flags | OVM_PTE_PAGE_SIZE);
	expect(&model, address & ~0x3fffffffULL, 0x40000000, 1 << 30);
	stop(&model);
}

OVM_TEST(pagetable, tells_permissions_of_all_levels_together)
{
	struct ovm_mapping mapping;
	struct model model;

	start(&model, 4, 0);
	map4(&model, address, 1, 0x7654000 | table_flags);
	ASSERT_OK(ovm_pagetable_lookup(&model.table, address, &mapping));
	ASSERT_TRUE(mapping.writable && mapping.user && !mapping.no_execute);
	*entry(&model, PUD, address, 3) &= ~OVM_PTE_WRITABLE;
	*entry(&model, ROOT, address, 4) |= OVM_PTE_NO_EXECUTE;
	*entry(&model, PTE, address, 1) &= ~OVM_PTE_USER;
	ASSERT_OK(ovm_pagetable_lookup(&model.table, address, &mapping));
	ASSERT_TRUE(!mapping.writable && !mapping.user && mapping.no_execute);
	stop(&model);
}

OVM_TEST(pagetable, translates_pages_that_are_not_present)
{
	const uint64_t none = OVM_PTE_PROT_NONE;
	/* The bits below 21 of a large page's address stay clear. */
	const uint64_t large = (~0x7600000ULL & 0xfffffffe00000) | OVM_PTE_PAGE_SIZE;
	struct model model;

	start(&model, 4, 0);
	/* PROT_NONE, whose address bits are inverted. */
	map4(&model, address, 1, (~0x7654000ULL & OVM_PTE_ADDRESS_MASK) | none);
	expect(&model, address, 0x7654000, 0x1000);
	map4(&model, address, 2, large | none);
	expect(&model, address & ~0x1fffffULL, 0x7600000, 2 << 20);
	/* A huge page that is being split is neither present nor PROT_NONE. */
	map4(&model, address, 2, large);
	expect(&model, address & ~0x1fffffULL, 0x7600000, 2 << 20);
	stop(&model);
}

OVM_TEST(pagetable, tells_how_far_nothing_is_mapped)
{
	struct model model;

	start(&model, 4, 0);
	expect_none(&model, address, (1ULL << 39) - address % (1ULL << 39));
	map4(&model, address, 1, 0);
	expect_none(&model, address + 1, 0xfff);
	/* A swap entry: inverted offset, type, no PROT_NONE bit. */
	map4(&model, address, 1, 0xfffffffffffc0002);
	*entry(&model, PTE, address, 1) &= ~(OVM_PTE_PROT_NONE | OVM_PTE_PRESENT);
	expect_none(&model, address, 0x1000);
	stop(&model);
}

OVM_TEST(pagetable, walks_five_levels)
{
	const uint64_t high = 0xff11000012345000;
	struct model model;

	start(&model, 5, 0);
	*entry(&model, ROOT, high, 5) = P4D | table_flags;
	*entry(&model, P4D, high, 4) = PUD | table_flags;
	*entry(&model, PUD, high, 3) = PMD | table_flags;
	*entry(&model, PMD, high, 2) = PTE | table_flags;
	*entry(&model, PTE, high, 1) = 0x8000 | table_flags;
	expect(&model, high + 8, 0x8008, 0xff8);
	stop(&model);
}

static void expect_error(struct model *model, uint64_t at, enum ovm_error_code code)
{
	struct ovm_mapping mapping;

	ASSERT_ERROR(ovm_pagetable_lookup(&model->table, at, &mapping), code, NULL);
}

OVM_TEST(pagetable, refuses_what_can_not_be)
{
	struct model model;

	start(&model, 4, 0);
	/* Not canonical. */
	expect_error(&model, 0x0000800000000000, OVM_ERROR_FAULT);
	expect_error(&model, 0xff11000012345000, OVM_ERROR_FAULT);
	/* Reserved address bits of a large page. */
	map4(&model, address, 2, 0x7602000 | table_flags | OVM_PTE_PAGE_SIZE);
	expect_error(&model, address, OVM_ERROR_CORRUPT);
	/* The top level has no pages. */
	map4(&model, address, 4, table_flags | OVM_PTE_PAGE_SIZE);
	expect_error(&model, address, OVM_ERROR_CORRUPT);
	/* A table outside of RAM. */
	map4(&model, address, 3, 0x40000000 | table_flags);
	expect_error(&model, address, OVM_ERROR_FAULT);
	stop(&model);
}

OVM_TEST(pagetable, ends_in_tables_that_refer_to_themselves)
{
	struct model model;

	start(&model, 4, 0);
	for (unsigned int i = 0; i < OVM_PAGETABLE_ENTRIES; i++)
		model.ram[ROOT / 8 + i] = ROOT | table_flags;
	expect(&model, address, ROOT, 0x1000);
	stop(&model);
}

OVM_TEST(pagetable, leaves_the_encryption_bit_out)
{
	const uint64_t bit = 1ULL << 47;
	struct model model;

	start(&model, 4, bit);
	map4(&model, address, 1, 0x7654000 | bit | table_flags);
	*entry(&model, PUD, address, 3) |= bit;
	expect(&model, address, 0x7654000, 0x1000);
	stop(&model);
}

/* Tables in holes of the RAM file map nothing, and stay holes. */
OVM_TEST(pagetable, leaves_holes_alone)
{
	struct model model;

	start(&model, 4, 0);
	*entry(&model, ROOT, address, 4) = 0x200000 | table_flags;
	expect_none(&model, address, (1ULL << 30) - address % (1 << 30));

	const struct ovm_ram_range *range;

	ovm_memory_ranges(model.memory, &range);
	ASSERT_TRUE(lseek(range->fd, 0x200000, SEEK_DATA) < 0);
	stop(&model);
}

/* The same through system calls, where a table is read once for many entries. */
OVM_TEST(pagetable, reads_memory_that_is_not_mapped)
{
	struct ovm_ram_range range = {.size = RAM_BYTES, .kind = OVM_RAM_PROCESS, .fd = -1};
	struct ovm_memory *memory;
	struct model model;

	start(&model, 4, 0);
	map4(&model, address, 1, 0x7654000 | table_flags);
	*entry(&model, PTE, address + 0x1000, 1) = 0x9000 | table_flags;
	range.vmm_pid = getpid();
	range.vmm_address = (uint64_t)(uintptr_t)model.ram;
	ASSERT_OK(ovm_memory_create(&range, 1, &memory));
	ovm_pagetable_init(&model.table, memory, ROOT, 4, 0);
	expect(&model, address, 0x7654000, 0x1000);
	expect(&model, address + 0x1000, 0x9000, 0x1000);
	/* What was read counts until the next preparation. */
	*entry(&model, PTE, address, 1) = 0;
	expect(&model, address, 0x7654000, 0x1000);
	ovm_pagetable_init(&model.table, memory, ROOT, 4, 0);
	expect_none(&model, address, 0x1000);
	ovm_memory_destroy(memory);
	stop(&model);
}
