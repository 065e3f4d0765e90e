// SPDX-License-Identifier: GPL-2.0-only
/* The walker: what each kind of page-table entry becomes. */
#include <stddef.h>
#include <sys/wait.h>

#include "test_engine_guest.h"
#include "test.h"

enum {
	MIB = 1 << 20,
	RAM_SIZE = 128 * MIB,
};

#define GIB UINT64_C(0x40000000)

/* A guest, an engine, and the result of the last walk. */
struct fixture {
	struct guest guest;
	struct ovm_engine *engine;
	struct ovm_walk_request request;
	struct ovm_walk_range range;
	struct ovm_walk_result *result;
};

static void fixture_deinit(struct fixture *f)
{
	ovm_walk_result_free(f->result);
	ovm_engine_destroy(f->engine);
	guest_destroy(&f->guest);
}

#define _cleanup_fixture_ __attribute__((cleanup(fixture_deinit)))

static struct ovm_error *fixture_init_kind(struct fixture *f, unsigned int levels,
					   enum ovm_ram_kind kind, unsigned int descriptor_level)
{
	struct ovm_error *err = guest_create(&f->guest, RAM_SIZE, levels, kind, descriptor_level);

	if (err)
		return err;
	/* All of user space. */
	f->range.end = levels == 5 ? UINT64_C(1) << 56 : UINT64_C(1) << 47;
	f->request = guest_request(&f->guest, &f->range, 1);
	f->request.nr_swap_types = 2;
	f->request.migration_types = 1 << 30 | 1U << 31;
	f->request.marker_types = 1 << 28;
	return guest_engine(&f->guest, 2, &f->engine);
}

static struct ovm_error *fixture_init(struct fixture *f)
{
	return fixture_init_kind(f, 4, OVM_RAM_MAPPED, 2);
}

static struct ovm_error *walk(struct fixture *f)
{
	ovm_walk_result_free(f->result);
	f->result = NULL;
	return ovm_engine_walk(f->engine, &f->request, &f->result);
}

#define ASSERT_RUN(index, run_va, run_gpa, run_pages, run_kind)           \
	do {                                                              \
		ASSERT_TRUE((index) < f.result->nr_runs);                 \
		ASSERT_EQ_U64(f.result->runs[index].va, run_va);          \
		ASSERT_EQ_U64(f.result->runs[index].gpa, run_gpa);        \
		ASSERT_EQ_U64(f.result->runs[index].nr_pages, run_pages); \
		ASSERT_EQ_U64(f.result->runs[index].kind, run_kind);      \
	} while (0)

OVM_TEST(engine_walk, finds_nothing_in_an_empty_address_space)
{
	_cleanup_fixture_ struct fixture f = {0};

	ASSERT_OK(fixture_init(&f));
	ASSERT_OK(walk(&f));
	ASSERT_EQ_U64(f.result->nr_runs, 0);
	ASSERT_EQ_U64(f.result->tables, 1);
}

OVM_TEST(engine_walk, merges_pages_that_follow_each_other_in_both_address_spaces)
{
	_cleanup_fixture_ struct fixture f = {0};

	ASSERT_OK(fixture_init(&f));
	for (uint64_t i = 0; i < 3; i++) {
		guest_set_anon(&f.guest, 64 * MIB + (i << 12), true);
		guest_map(&f.guest, 0x400000 + (i << 12), 1, 64 * MIB + (i << 12));
	}
	guest_set_anon(&f.guest, 32 * MIB, true);
	guest_map(&f.guest, 0x403000, 1, 32 * MIB);
	ASSERT_OK(walk(&f));
	ASSERT_EQ_U64(f.result->nr_runs, 2);
	ASSERT_RUN(0, 0x400000, 64 * MIB, 3, OVM_PAGE_ANON);
	ASSERT_RUN(1, 0x403000, 32 * MIB, 1, OVM_PAGE_ANON);
	ASSERT_EQ_U64(f.result->pages[OVM_PAGE_ANON], 4);
	ASSERT_EQ_U64(f.result->tables, 4);
}

OVM_TEST(engine_walk, merges_across_tables)
{
	_cleanup_fixture_ struct fixture f = {0};

	ASSERT_OK(fixture_init(&f));
	f.range.flags = OVM_RANGE_ANON;
	/* More tables than a worker takes at a time. */
	for (uint64_t i = 0; i < 150 * 512; i++)
		guest_map(&f.guest, 1 * GIB + (i << 12), 1, i % 5000 << 12);
	ASSERT_OK(walk(&f));
	ASSERT_EQ_U64(f.result->nr_runs, 150 * 512 / 5000 + 1);
	for (uint64_t i = 0; i < 15; i++)
		ASSERT_RUN(i, 1 * GIB + i * 5000 * 4096, 0, 5000, OVM_PAGE_ANON);
	ASSERT_EQ_U64(f.result->pages[OVM_PAGE_ANON], 150 * 512);
}

OVM_TEST(engine_walk, returns_as_many_runs_as_there_are_pages)
{
	_cleanup_fixture_ struct fixture f = {0};
	const uint64_t nr = 300 * 512;

	ASSERT_OK(fixture_init(&f));
	f.range.flags = OVM_RANGE_ANON;
	for (uint64_t i = 0; i < nr; i++)
		guest_map(&f.guest, 1 * GIB + (i << 12), 1, i * 2 % 30000 << 12);
	ASSERT_OK(walk(&f));
	ASSERT_EQ_U64(f.result->nr_runs, nr);
	for (uint64_t i = 0; i < nr; i++)
		ASSERT_RUN(i, 1 * GIB + (i << 12), i * 2 % 30000 << 12, 1, OVM_PAGE_ANON);
}

OVM_TEST(engine_walk, decodes_huge_pages)
{
	_cleanup_fixture_ struct fixture f = {0};

	ASSERT_OK(fixture_init(&f));
	guest_set_anon(&f.guest, 16 * MIB, true);
	guest_map(&f.guest, 2 * GIB, 2, 16 * MIB);
	/* PAT is not part of the address. */
	guest_set(&f.guest, 2 * GIB + 2 * MIB, 2,
		  16 * MIB | GUEST_PTE | OVM_PTE_PSE | UINT64_C(1) << 12);
	f.guest.layout.page_size = 0;
	f.request.page = NULL;
	guest_map(&f.guest, 8 * GIB, 3, 0);
	f.range.end = 8 * GIB + 64 * MIB;
	ASSERT_OK(walk(&f));
	ASSERT_EQ_U64(f.result->nr_runs, 3);
	ASSERT_RUN(0, 2 * GIB, 16 * MIB, 512, OVM_PAGE_MAPPED);
	ASSERT_RUN(1, 2 * GIB + 2 * MIB, 16 * MIB, 512, OVM_PAGE_MAPPED);
	ASSERT_RUN(2, 8 * GIB, 0, 64 * 256, OVM_PAGE_MAPPED);
}

OVM_TEST(engine_walk, says_when_a_huge_page_reaches_beyond_ram)
{
	_cleanup_fixture_ struct fixture f = {0};

	ASSERT_OK(fixture_init(&f));
	guest_map(&f.guest, 8 * GIB, 3, 0);
	ASSERT_OK(walk(&f));
	ASSERT_EQ_U64(f.result->nr_runs, 1);
	ASSERT_RUN(0, 8 * GIB, 0, 512 * 512, OVM_PAGE_DEVICE);
}

OVM_TEST(engine_walk, takes_prot_none_pages_for_present)
{
	_cleanup_fixture_ struct fixture f = {0};

	ASSERT_OK(fixture_init(&f));
	f.range.flags = OVM_RANGE_ANON;
	guest_map_none(&f.guest, 0x1000, 1, 0);
	guest_map_none(&f.guest, 0x2000, 1, 77 << 12);
	guest_map(&f.guest, 0x3000, 1, 78 << 12);
	guest_map_none(&f.guest, 4 * MIB, 2, 8 * MIB);
	/* A huge page while it is split: neither present nor PROT_NONE, but there. */
	guest_set(&f.guest, 6 * MIB, 2,
		  (~(uint64_t)(10 * MIB) & OVM_PTE_ADDRESS & ~UINT64_C(0x1fffff)) | OVM_PTE_PSE);
	ASSERT_OK(walk(&f));
	ASSERT_EQ_U64(f.result->nr_runs, 4);
	ASSERT_RUN(0, 0x1000, 0, 1, OVM_PAGE_ANON);
	ASSERT_RUN(1, 0x2000, 77 << 12, 1, OVM_PAGE_ANON);
	ASSERT_RUN(2, 0x3000, 78 << 12, 1, OVM_PAGE_ANON);
	ASSERT_RUN(3, 4 * MIB, 8 * MIB, 1024, OVM_PAGE_ANON);
	ASSERT_EQ_U64(f.result->runs[1].flags, OVM_RUN_PROT_NONE);
	ASSERT_EQ_U64(f.result->runs[2].flags, 0);
	ASSERT_EQ_U64(f.result->prot_none_pages, 2 + 1024);
}

OVM_TEST(engine_walk, tells_entries_that_are_not_present_apart)
{
	_cleanup_fixture_ struct fixture f = {0};

	ASSERT_OK(fixture_init(&f));
	guest_set(&f.guest, 0x1000, 1, guest_swap(1, 1000));
	guest_set(&f.guest, 0x2000, 1, guest_swap(1, 1001));
	/* With the soft-dirty, userfaultfd and exclusive bits. */
	guest_set(&f.guest, 0x3000, 1, guest_swap(0, 1002) | 0xe);
	guest_set(&f.guest, 0x4000, 1, guest_swap(31, 5));
	guest_set(&f.guest, 0x5000, 1, guest_swap(28, 1));
	guest_set(&f.guest, 0x6000, 1, guest_swap(28, 1));
	guest_set(&f.guest, 0x7000, 1, guest_swap(22, 7));
	guest_set(&f.guest, 2 * MIB, 2, guest_swap(30, 512));
	/* Accessed and dirty alone: nothing is there. */
	guest_set(&f.guest, 0x9000, 1, OVM_PTE_ACCESSED | OVM_PTE_DIRTY);
	guest_set(&f.guest, 4 * MIB, 2, OVM_PTE_ACCESSED);
	ASSERT_OK(walk(&f));
	ASSERT_EQ_U64(f.result->nr_runs, 6);
	ASSERT_RUN(0, 0x1000, 1000, 2, OVM_PAGE_SWAP);
	ASSERT_EQ_U64(f.result->runs[0].swap_type, 1);
	ASSERT_RUN(1, 0x3000, 1002, 1, OVM_PAGE_SWAP);
	ASSERT_RUN(2, 0x4000, 5, 1, OVM_PAGE_MIGRATION);
	ASSERT_EQ_U64(f.result->runs[2].swap_type, 31);
	ASSERT_RUN(3, 0x5000, 1, 2, OVM_PAGE_MARKER);
	ASSERT_RUN(4, 0x7000, 7, 1, OVM_PAGE_OTHER);
	ASSERT_RUN(5, 2 * MIB, 512, 512, OVM_PAGE_MIGRATION);
}

OVM_TEST(engine_walk, knows_the_zero_pages)
{
	_cleanup_fixture_ struct fixture f = {0};
	const struct ovm_gpa_range zero[] = {{5 << 12, 1 << 12}, {4 * MIB, 2 * MIB}};

	ASSERT_OK(fixture_init(&f));
	f.request.zero_pages = zero;
	f.request.nr_zero_pages = 2;
	f.range.flags = OVM_RANGE_ANON;
	for (uint64_t i = 0; i < 4; i++)
		guest_map(&f.guest, i << 12, 1, 5 << 12);
	guest_map(&f.guest, 4 << 12, 1, 6 << 12);
	guest_map(&f.guest, 2 * MIB, 2, 4 * MIB);
	ASSERT_OK(walk(&f));
	ASSERT_EQ_U64(f.result->nr_runs, 3);
	ASSERT_RUN(0, 0, 5 << 12, 4, OVM_PAGE_ZERO);
	ASSERT_RUN(1, 4 << 12, 6 << 12, 1, OVM_PAGE_ANON);
	ASSERT_RUN(2, 2 * MIB, 4 * MIB, 512, OVM_PAGE_ZERO);
	ASSERT_EQ_U64(f.result->pages[OVM_PAGE_ZERO], 516);
}

static void check_classes(enum ovm_ram_kind kind, unsigned int descriptor_level)
{
	_cleanup_fixture_ struct fixture f = {0};
	const uint64_t head = 20 * MIB;

	ASSERT_OK(fixture_init_kind(&f, 4, kind, descriptor_level));
	guest_set_anon(&f.guest, 7 << 12, true);
	guest_set_anon(&f.guest, 8 << 12, false);
	/* The tail of an anonymous compound page. */
	guest_set_anon(&f.guest, head, true);
	guest_describe(&f.guest, head + 0x3000, GUEST_COMPOUND_HEAD,
		       guest_descriptor(&f.guest, head) + 1);
	/* Tails of nonsense. */
	guest_describe(&f.guest, 9 << 12, GUEST_COMPOUND_HEAD, 0xffff888000001001);
	guest_describe(&f.guest, 10 << 12, GUEST_COMPOUND_HEAD,
		       guest_descriptor(&f.guest, head) + 9);
	guest_describe(&f.guest, 11 << 12, GUEST_COMPOUND_HEAD, 0x4141414141414141);
	guest_map(&f.guest, 0x1000, 1, 7 << 12);
	guest_map(&f.guest, 0x2000, 1, 8 << 12);
	guest_map(&f.guest, 0x3000, 1, head + 0x3000);
	guest_map(&f.guest, 0x4000, 1, 9 << 12);
	guest_map(&f.guest, 0x5000, 1, 10 << 12);
	guest_map(&f.guest, 0x6000, 1, 11 << 12);
	ASSERT_OK(walk(&f));
	ASSERT_EQ_U64(f.result->nr_runs, 4);
	ASSERT_RUN(0, 0x1000, 7 << 12, 1, OVM_PAGE_ANON);
	ASSERT_RUN(1, 0x2000, 8 << 12, 1, OVM_PAGE_FILE);
	ASSERT_RUN(2, 0x3000, head + 0x3000, 1, OVM_PAGE_ANON);
	ASSERT_RUN(3, 0x4000, 0, 3, OVM_PAGE_BAD);
}

OVM_TEST(engine_walk, classifies_by_page_descriptor)
{
	check_classes(OVM_RAM_MAPPED, 2);
}

OVM_TEST(engine_walk, classifies_where_descriptors_are_mapped_by_small_pages)
{
	check_classes(OVM_RAM_MAPPED, 1);
}

OVM_TEST(engine_walk, classifies_where_ram_can_not_be_mapped)
{
	check_classes(OVM_RAM_FILE, 2);
	check_classes(OVM_RAM_FILE, 1);
}

OVM_TEST(engine_walk, classifies_in_memory_of_another_process)
{
	check_classes(OVM_RAM_PROCESS, 2);
}

OVM_TEST(engine_walk, says_bad_where_descriptors_are_not_mapped)
{
	_cleanup_fixture_ struct fixture f = {0};

	ASSERT_OK(fixture_init(&f));
	guest_map(&f.guest, 0x1000, 1, 7 << 12);
	*guest_entry(&f.guest, f.guest.kernel_pgd, GUEST_VMEMMAP, 2) = 0;
	ASSERT_OK(walk(&f));
	ASSERT_RUN(0, 0x1000, 0, 1, OVM_PAGE_BAD);

	/* The kernel's table is outside RAM. */
	*guest_entry(&f.guest, f.guest.kernel_pgd, GUEST_VMEMMAP, 3) = GUEST_TABLE | 64 * GIB;
	ASSERT_OK(walk(&f));
	ASSERT_RUN(0, 0x1000, 0, 1, OVM_PAGE_BAD);
	f.guest.layout.kernel_pgd = 64 * GIB;
	ASSERT_OK(walk(&f));
	ASSERT_RUN(0, 0x1000, 0, 1, OVM_PAGE_BAD);
}

OVM_TEST(engine_walk, says_when_the_other_process_is_gone)
{
	_cleanup_fixture_ struct fixture f = {0};
	struct ovm_ram_range range = {.size = RAM_SIZE, .kind = OVM_RAM_PROCESS};

	ASSERT_OK(fixture_init(&f));
	ovm_memory_destroy(f.guest.memory);
	f.guest.memory = NULL;
	range.vmm_address = (uintptr_t)f.guest.ram;
	range.vmm_pid = fork();
	if (!range.vmm_pid)
		_exit(0);
	ASSERT_TRUE(waitpid(range.vmm_pid, NULL, 0) == range.vmm_pid);
	ASSERT_OK(ovm_memory_create(&range, 1, &f.guest.memory));
	ASSERT_OK(ovm_engine_attach(f.engine, f.guest.memory));
	ASSERT_ERROR(walk(&f), OVM_ERROR_UNREACHABLE, "is the virtual machine still there?");
}

OVM_TEST(engine_walk, keeps_holes_of_guest_ram)
{
	_cleanup_fixture_ struct fixture f = {0};
	uint8_t before[RAM_SIZE >> 12], after[RAM_SIZE >> 12];

	ASSERT_OK(fixture_init(&f));
	/* A table, a page and its descriptor that were never written. */
	guest_set(&f.guest, 0x40000000, 2, GUEST_TABLE | 0x5000);
	guest_map(&f.guest, 0x1000, 1, 0x6000);
	memset(before, 0, sizeof(before));
	ASSERT_TRUE(!mincore(f.guest.ram, RAM_SIZE, before));
	ASSERT_OK(walk(&f));
	ASSERT_TRUE(!mincore(f.guest.ram, RAM_SIZE, after));
	ASSERT_MEMEQ(after, before, sizeof(before));
	ASSERT_RUN(0, 0x1000, 0x6000, 1, OVM_PAGE_FILE);
}

OVM_TEST(engine_walk, refuses_damaged_entries_by_kind)
{
	_cleanup_fixture_ struct fixture f = {0};

	ASSERT_OK(fixture_init(&f));
	f.request.phys_bits = 40;
	/* Reserved address bits, in a page and in a table. */
	guest_set(&f.guest, 0x1000, 1, GUEST_PTE | UINT64_C(1) << 45);
	guest_set(&f.guest, 1 * GIB, 3, GUEST_TABLE | UINT64_C(1) << 51);
	/* Low address bits of a huge page. */
	guest_set(&f.guest, 2 * MIB, 2, GUEST_PTE | OVM_PTE_PSE | 0x3000 | 4 * MIB);
	/* PROT_NONE without being huge. */
	guest_set(&f.guest, 4 * MIB, 2, GUEST_PROTNONE);
	/* Tables outside RAM. */
	guest_set(&f.guest, 6 * MIB, 2, GUEST_TABLE | 4 * GIB);
	guest_set(&f.guest, UINT64_C(1) << 39, 4, GUEST_TABLE | 5 * GIB);
	/* A huge page and a swap entry at the top. */
	guest_set(&f.guest, UINT64_C(2) << 39, 4, GUEST_PTE | OVM_PTE_PSE);
	guest_set(&f.guest, UINT64_C(3) << 39, 4, guest_swap(1, 1));
	ASSERT_OK(walk(&f));
	ASSERT_EQ_U64(f.result->nr_runs, 4);
	ASSERT_RUN(0, 0x1000, 0, 1, OVM_PAGE_BAD);
	ASSERT_RUN(1, 2 * MIB, 0, 3 * 512, OVM_PAGE_BAD);
	ASSERT_RUN(2, 1 * GIB, 0, 512 * 512, OVM_PAGE_BAD);
	ASSERT_RUN(3, UINT64_C(1) << 39, 0, 3 * (UINT64_C(1) << 27), OVM_PAGE_BAD);
}

OVM_TEST(engine_walk, reports_page_frames_outside_ram)
{
	_cleanup_fixture_ struct fixture f = {0};

	ASSERT_OK(fixture_init(&f));
	guest_map(&f.guest, 0x1000, 1, UINT64_C(0xfed00000));
	guest_map(&f.guest, 0x2000, 1, OVM_PTE_ADDRESS);
	guest_map(&f.guest, 0x3000, 1, RAM_SIZE);
	ASSERT_OK(walk(&f));
	ASSERT_EQ_U64(f.result->nr_runs, 3);
	ASSERT_RUN(0, 0x1000, UINT64_C(0xfed00000), 1, OVM_PAGE_DEVICE);
	ASSERT_RUN(1, 0x2000, OVM_PTE_ADDRESS, 1, OVM_PAGE_DEVICE);
	ASSERT_RUN(2, 0x3000, RAM_SIZE, 1, OVM_PAGE_DEVICE);
}

OVM_TEST(engine_walk, ignores_the_encryption_bit)
{
	_cleanup_fixture_ struct fixture f = {0};
	const uint64_t c_bit = UINT64_C(1) << 47;

	ASSERT_OK(fixture_init(&f));
	f.request.sme_mask = c_bit;
	f.request.phys_bits = 40;
	f.range.flags = OVM_RANGE_ANON;
	guest_map(&f.guest, 0x1000, 1, 7 << 12 | c_bit);
	*guest_entry(&f.guest, f.guest.pgd, 0x1000, 2) |= c_bit;
	ASSERT_OK(walk(&f));
	ASSERT_EQ_U64(f.result->nr_runs, 1);
	ASSERT_RUN(0, 0x1000, 7 << 12, 1, OVM_PAGE_ANON);
}

OVM_TEST(engine_walk, walks_five_levels)
{
	_cleanup_fixture_ struct fixture f = {0};
	const uint64_t top = UINT64_C(0x00ffffffffffe000);

	ASSERT_OK(fixture_init_kind(&f, 5, OVM_RAM_MAPPED, 2));
	guest_set_anon(&f.guest, 7 << 12, true);
	guest_map(&f.guest, top, 1, 7 << 12);
	guest_map(&f.guest, 0x1000, 1, 7 << 12);
	ASSERT_OK(walk(&f));
	ASSERT_EQ_U64(f.result->nr_runs, 2);
	ASSERT_RUN(0, 0x1000, 7 << 12, 1, OVM_PAGE_ANON);
	ASSERT_RUN(1, top, 7 << 12, 1, OVM_PAGE_ANON);
}

OVM_TEST(engine_walk, ends_in_tables_that_point_to_themselves)
{
	_cleanup_fixture_ struct fixture f = {0};

	ASSERT_OK(fixture_init(&f));
	/* The top table is also the table of all lower levels, in one slot. */
	guest_set(&f.guest, 0, 4, GUEST_TABLE | f.guest.pgd);
	ASSERT_OK(walk(&f));
	ASSERT_EQ_U64(f.result->nr_runs, 1);
	ASSERT_RUN(0, 0, f.guest.pgd, 1, OVM_PAGE_FILE);

	/* In all slots: 2^35 pages, beyond any budget. */
	for (int i = 0; i < 512; i++)
		guest_words(&f.guest, f.guest.pgd)[i] = GUEST_TABLE | f.guest.pgd;
	ASSERT_ERROR(walk(&f), OVM_ERROR_BUDGET, "damaged");

	/* But a small range of it is fine. */
	f.range.start = 0x1234567000;
	f.range.end = f.range.start + (100 << 12);
	ASSERT_OK(walk(&f));
	ASSERT_EQ_U64(f.result->pages[OVM_PAGE_FILE], 100);
}

OVM_TEST(engine_walk, keeps_to_its_budgets)
{
	_cleanup_fixture_ struct fixture f = {0};

	ASSERT_OK(fixture_init(&f));
	f.range.flags = OVM_RANGE_ANON;
	for (uint64_t i = 0; i < 1024; i++)
		guest_map(&f.guest, i << 12, 1, i << 13);
	f.request.max_entries = 5 * 512;
	f.request.max_runs = 1024;
	ASSERT_OK(walk(&f));
	f.request.max_entries = 5 * 512 - 1;
	ASSERT_ERROR(walk(&f), OVM_ERROR_BUDGET, "entries");
	f.request.max_entries = 0;
	f.request.max_runs = 1000;
	ASSERT_ERROR(walk(&f), OVM_ERROR_BUDGET, "runs");
}

OVM_TEST(engine_walk, clips_to_ranges_and_wanted_kinds)
{
	_cleanup_fixture_ struct fixture f = {0};
	const struct ovm_walk_range ranges[] = {
		{0x1000, 0x3000, 0, OVM_RANGE_ANON},
		{0x3000, 0x4000, 0, OVM_RANGE_ANON},
		{0x5000, 0x6000, OVM_PAGE_BIT(OVM_PAGE_ANON), 0},
		{0x6000, 0x8000, OVM_PAGE_BIT(OVM_PAGE_FILE), 0},
		{2 * MIB + 0x1000, 2 * MIB + 0x2000, 0, OVM_RANGE_ANON},
		{2 * MIB + 0x3000, 4 * MIB + 0x1000, 0, OVM_RANGE_ANON},
	};

	ASSERT_OK(fixture_init(&f));
	for (uint64_t i = 0; i < 16; i++)
		guest_map(&f.guest, i << 12, 1, (i + 100) << 12);
	guest_map(&f.guest, 2 * MIB, 2, 16 * MIB);
	guest_map(&f.guest, 4 * MIB, 2, 18 * MIB);
	f.request.ranges = ranges;
	f.request.nr_ranges = 6;
	ASSERT_OK(walk(&f));
	ASSERT_EQ_U64(f.result->nr_runs, 5);
	ASSERT_RUN(0, 0x1000, 101 << 12, 2, OVM_PAGE_ANON);
	ASSERT_RUN(1, 0x3000, 103 << 12, 1, OVM_PAGE_ANON);
	ASSERT_RUN(2, 0x6000, 106 << 12, 2, OVM_PAGE_FILE);
	ASSERT_RUN(3, 2 * MIB + 0x1000, 16 * MIB + 0x1000, 1, OVM_PAGE_ANON);
	ASSERT_RUN(4, 2 * MIB + 0x3000, 16 * MIB + 0x3000, 510, OVM_PAGE_ANON);
	ASSERT_EQ_U64(f.result->runs[2].range, 3);
	ASSERT_EQ_U64(f.result->pages[OVM_PAGE_FILE], 3);
	/* Tables shared by ranges are read once. */
	ASSERT_EQ_U64(f.result->tables, 4);
}

OVM_TEST(engine_walk, refuses_malformed_requests)
{
	_cleanup_fixture_ struct fixture f = {0};
	struct ovm_walk_range ranges[] = {{0x1000, 0x3000, 0, 0}, {0x2000, 0x4000, 0, 0}};

	ASSERT_OK(fixture_init(&f));
	f.request.ranges = ranges;
	f.request.nr_ranges = 2;
	ASSERT_ERROR(walk(&f), OVM_ERROR_CORRUPT, "0x2000");
	ranges[1].start = 0x3800;
	ASSERT_ERROR(walk(&f), OVM_ERROR_CORRUPT, "0x3800");
	ranges[1].start = 0x3000;
	ranges[1].end = UINT64_C(0xffff800000000000);
	ASSERT_ERROR(walk(&f), OVM_ERROR_CORRUPT, "user space");
	f.request.nr_ranges = 1;
	f.request.levels = 3;
	ASSERT_ERROR(walk(&f), OVM_ERROR_USAGE, "levels");
	f.request.levels = 4;
	f.request.pgd = RAM_SIZE;
	ASSERT_ERROR(walk(&f), OVM_ERROR_CORRUPT, "0x8000000");
	f.request.pgd = f.guest.pgd;
	f.request.phys_bits = 53;
	ASSERT_ERROR(walk(&f), OVM_ERROR_USAGE, "52 bits");
	f.request.phys_bits = 0;
	f.request.size = 4;
	ASSERT_ERROR(walk(&f), OVM_ERROR_USAGE, "version");
	f.request.size = sizeof(f.request);
	f.guest.layout.mapping_offset = 60;
	ASSERT_ERROR(walk(&f), OVM_ERROR_KERNEL, "struct page");
}

static bool always(void *arg)
{
	(void)arg;
	return true;
}

OVM_TEST(engine_walk, takes_requests_of_other_versions)
{
	_cleanup_fixture_ struct fixture f = {0};
	struct {
		struct ovm_walk_request request;
		uint64_t more;
	} newer;

	ASSERT_OK(fixture_init(&f));
	guest_map(&f.guest, 0x1000, 1, 7 << 12);
	/* An older one ends before the budgets; a newer one has a field that is not used. */
	f.request.size = offsetof(struct ovm_walk_request, max_entries);
	f.request.max_runs = 0;
	ASSERT_OK(walk(&f));
	ASSERT_EQ_U64(f.result->nr_runs, 1);
	newer.request = f.request;
	newer.request.size = sizeof(newer);
	newer.more = 0;
	ovm_walk_result_free(f.result);
	f.result = NULL;
	ASSERT_OK(ovm_engine_walk(f.engine, &newer.request, &f.result));
	newer.more = 1;
	ovm_walk_result_free(f.result);
	f.result = NULL;
	ASSERT_ERROR(ovm_engine_walk(f.engine, &newer.request, &f.result), OVM_ERROR_USAGE,
		     "version");
}

OVM_TEST(engine_walk, stops_on_request)
{
	_cleanup_fixture_ struct fixture f = {0};

	ASSERT_OK(fixture_init(&f));
	f.request.cancelled = always;
	ASSERT_ERROR(walk(&f), OVM_ERROR_CANCELLED, NULL);
}

OVM_TEST(engine_walk, needs_a_guest_and_a_back_end)
{
	const struct ovm_engine_options options = {.size = sizeof(options),
						   .backend = OVM_BACKEND_CUDA};
	const struct ovm_walk_request request = {.size = sizeof(request)};
	struct ovm_walk_result *result;
	struct ovm_engine *engine;

	ASSERT_ERROR(ovm_engine_create(&options, &engine), OVM_ERROR_USAGE, "CUDA");
	ASSERT_OK(ovm_engine_create(NULL, &engine));
	ASSERT_STREQ(ovm_engine_backend_name(engine), "cpu");
	ASSERT_ERROR(ovm_engine_walk(engine, &request, &result), OVM_ERROR_USAGE, "attached");
	ovm_engine_destroy(engine);
}
