// SPDX-License-Identifier: GPL-2.0-only
/*
 * The walker against a model: random address spaces, whose pages are remembered one by one as
 * they are mapped, and random ranges, walked with different numbers of threads.
 */
#include "test_engine_guest.h"
#include "test.h"

enum {
	MIB = 1 << 20,
	RAM_SIZE = 128 * MIB,
	/* Windows of address space, of four huge pages each. */
	WINDOWS = 6,
	WINDOW_PAGES = 2048,
	SWAP_TYPES = 3,
	MAX_RANGES = 4096,
};

/* What the model knows of a page. */
struct page {
	bool mapped;
	uint8_t kind;
	uint8_t flags;
	uint8_t swap_type;
	uint64_t gpa;
};

struct model {
	struct guest guest;
	uint64_t random;
	uint64_t base[WINDOWS];
	struct page pages[WINDOWS][WINDOW_PAGES];
	struct ovm_walk_range ranges[MAX_RANGES];
	size_t nr_ranges;
	struct ovm_run *runs;
	size_t nr_runs;
	uint64_t counts[OVM_PAGE_NR_KINDS];
};

static uint64_t random_below(struct model *m, uint64_t n)
{
	m->random ^= m->random << 13;
	m->random ^= m->random >> 7;
	m->random ^= m->random << 17;
	return (m->random >> 8) % n;
}

/* A page frame above the tables and below the descriptors; odd ones of a pattern are anonymous. */
static uint64_t random_frame(struct model *m, unsigned int pages)
{
	uint64_t frames = (96 * MIB - 32 * MIB) / OVM_PAGE_SIZE / pages;

	return 32 * MIB + random_below(m, frames) * pages * OVM_PAGE_SIZE;
}

static bool frame_is_anon(uint64_t gpa)
{
	return gpa >> 21 & 1;
}

static void set_pages(struct page *pages, unsigned int nr, struct page first)
{
	for (unsigned int i = 0; i < nr; i++) {
		pages[i] = first;
		if (first.kind <= OVM_PAGE_DEVICE && first.kind != OVM_PAGE_BAD)
			pages[i].gpa += (uint64_t)i << 12;
		else if (first.kind == OVM_PAGE_SWAP)
			pages[i].gpa += i;
	}
}

static struct page mapped_page(uint64_t gpa, bool none)
{
	return (struct page){
		.mapped = true,
		.kind = frame_is_anon(gpa) ? OVM_PAGE_ANON : OVM_PAGE_FILE,
		.flags = none ? OVM_RUN_PROT_NONE : 0,
		.gpa = gpa,
	};
}

/* Entries that any level may have; returns how it is remembered. */
static struct page random_swap(struct model *m, uint64_t va, unsigned int level)
{
	static const uint8_t kinds[] = {OVM_PAGE_SWAP, OVM_PAGE_SWAP, OVM_PAGE_MIGRATION,
					OVM_PAGE_MARKER, OVM_PAGE_OTHER};
	static const uint8_t types[] = {0, SWAP_TYPES - 1, 30, 25, 20};
	unsigned int which = (unsigned int)random_below(m, 5);
	uint64_t offset = random_below(m, 4) + 1;

	guest_set(&m->guest, va, level, guest_swap(types[which], offset) | (offset & 2));
	return (struct page){
		.mapped = true,
		.kind = kinds[which],
		.swap_type = types[which],
		.gpa = offset,
	};
}

static struct page random_entry(struct model *m, uint64_t va, unsigned int level,
				const struct page *before)
{
	uint64_t gpa = random_frame(m, level == 2 ? 512 : 1);

	/* Often go on where the page before is. */
	if (level == 1 && before && before->mapped && before->kind <= OVM_PAGE_FILE &&
	    random_below(m, 4))
		gpa = before->gpa + 4096;
	switch (random_below(m, 16)) {
	case 0:
		return random_swap(m, va, level);
	case 1:
		guest_set(&m->guest, va, level, GUEST_PTE | UINT64_C(1) << 50);
		return (struct page){.mapped = true, .kind = OVM_PAGE_BAD};
	case 2:
		gpa = (4096 + 2 * random_below(m, 3)) * MIB;
		guest_map(&m->guest, va, level, gpa);
		return (struct page){.mapped = true, .kind = OVM_PAGE_DEVICE, .gpa = gpa};
	case 3:
	case 4:
		guest_map_none(&m->guest, va, level, gpa);
		return mapped_page(gpa, true);
	case 5:
	case 6:
		return (struct page){0};
	default:
		guest_map(&m->guest, va, level, gpa);
		return mapped_page(gpa, false);
	}
}

static void fill_slot(struct model *m, uint64_t va, struct page *pages)
{
	switch (random_below(m, 4)) {
	case 0:
		return;
	case 1:
		set_pages(pages, 512, random_entry(m, va, 2, NULL));
		return;
	default:
		for (unsigned int i = 0; i < 512; i++)
			pages[i] = random_entry(m, va + ((uint64_t)i << 12), 1,
						i ? &pages[i - 1] : NULL);
	}
}

static void fill_windows(struct model *m)
{
	uint64_t user_end = m->guest.levels == 5 ? UINT64_C(1) << 56 : UINT64_C(1) << 47;

	for (unsigned int w = 0; w < WINDOWS; w++) {
		/* Windows adjoin now and then, across tables of every level. */
		m->base[w] = user_end / WINDOWS * w & ~UINT64_C(0x3fffffff);
		if (w % 2)
			m->base[w] = m->base[w - 1] + (uint64_t)WINDOW_PAGES * OVM_PAGE_SIZE;
		for (unsigned int i = 0; i < WINDOW_PAGES; i += 512)
			fill_slot(m, m->base[w] + ((uint64_t)i << 12), &m->pages[w][i]);
	}
}

static void make_ranges(struct model *m)
{
	uint64_t most = 1 + random_below(m, 600);

	for (unsigned int w = 0; w < WINDOWS; w++) {
		for (uint64_t page = 0; page < WINDOW_PAGES;) {
			uint64_t skip = random_below(m, 2) * random_below(m, 20);
			uint64_t len = 1 + random_below(m, most);
			struct ovm_walk_range *range = &m->ranges[m->nr_ranges];

			page += skip;
			if (page >= WINDOW_PAGES || m->nr_ranges == MAX_RANGES)
				break;
			if (len > WINDOW_PAGES - page)
				len = WINDOW_PAGES - page;
			range->start = m->base[w] + (page << 12);
			range->end = range->start + (len << 12);
			range->kinds = random_below(m, 3) ? 0 : (uint32_t)random_below(m, 1024);
			range->flags = random_below(m, 4) ? 0 : OVM_RANGE_ANON;
			m->nr_ranges++;
			page += len;
		}
	}
}

/* Add a page to the expected runs, by the rules of run.h. */
static void expect_page(struct model *m, uint32_t r, uint64_t va, const struct page *page)
{
	const struct ovm_walk_range *range = &m->ranges[r];
	struct ovm_run *last = m->nr_runs ? &m->runs[m->nr_runs - 1] : NULL;
	uint8_t kind = page->kind;

	if (kind == OVM_PAGE_FILE && range->flags & OVM_RANGE_ANON)
		kind = OVM_PAGE_ANON;
	m->counts[kind]++;
	if (range->kinds && !(range->kinds >> kind & 1))
		return;

	if (last && last->range == r && last->kind == kind && last->flags == page->flags &&
	    last->swap_type == page->swap_type && last->va + last->nr_pages * 4096 == va) {
		uint64_t next = last->gpa;

		if (kind == OVM_PAGE_SWAP)
			next += last->nr_pages;
		else if (kind <= OVM_PAGE_DEVICE)
			next += last->nr_pages * 4096;
		if (page->gpa == next) {
			last->nr_pages++;
			return;
		}
	}
	m->runs[m->nr_runs++] = (struct ovm_run){
		.va = va,
		.gpa = page->gpa,
		.nr_pages = 1,
		.range = r,
		.kind = kind,
		.flags = page->flags,
		.swap_type = page->swap_type,
	};
}

static void expect(struct model *m)
{
	for (uint32_t r = 0; r < m->nr_ranges; r++) {
		for (uint64_t va = m->ranges[r].start; va < m->ranges[r].end; va += 4096) {
			unsigned int w = 0;

			while (va - m->base[w] >= (uint64_t)WINDOW_PAGES * OVM_PAGE_SIZE)
				w++;

			const struct page *page = &m->pages[w][(va - m->base[w]) >> 12];

			if (page->mapped)
				expect_page(m, r, va, page);
		}
	}
}

static void compare(const struct model *m, const struct ovm_walk_result *result)
{
	for (size_t i = 0; i < result->nr_runs && i < m->nr_runs; i++) {
		const struct ovm_run *run = &result->runs[i], *expected = &m->runs[i];

		ASSERT_EQ_U64(run->va, expected->va);
		ASSERT_EQ_U64(run->nr_pages, expected->nr_pages);
		ASSERT_EQ_U64(run->kind, expected->kind);
		ASSERT_EQ_U64(run->gpa, expected->gpa);
		ASSERT_EQ_U64(run->range, expected->range);
		ASSERT_EQ_U64(run->flags, expected->flags);
		ASSERT_EQ_U64(run->swap_type, expected->swap_type);
	}
	ASSERT_EQ_U64(result->nr_runs, m->nr_runs);
	for (unsigned int kind = 0; kind < OVM_PAGE_NR_KINDS; kind++)
		ASSERT_EQ_U64(result->pages[kind], m->counts[kind]);
}

static void walk_and_compare(struct model *m, unsigned int nr_threads)
{
	struct ovm_walk_request request = guest_request(&m->guest, m->ranges, m->nr_ranges);
	struct ovm_walk_result *result = NULL;
	struct ovm_engine *engine;

	request.phys_bits = 46;
	request.nr_swap_types = SWAP_TYPES;
	request.migration_types = 1 << 30;
	request.marker_types = 1 << 25;
	ASSERT_OK(guest_engine(&m->guest, nr_threads, &engine));
	ASSERT_OK(ovm_engine_walk(engine, &request, &result));
	compare(m, result);
	ovm_walk_result_free(result);
	ovm_engine_destroy(engine);
}

static void check_model(struct model *m, uint64_t seed, unsigned int levels)
{
	m->random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	ASSERT_OK(guest_create(&m->guest, RAM_SIZE, levels, OVM_RAM_MAPPED, 2));
	for (uint64_t gpa = 0; gpa < RAM_SIZE; gpa += OVM_PAGE_SIZE)
		guest_set_anon(&m->guest, gpa, frame_is_anon(gpa));
	fill_windows(m);
	make_ranges(m);
	m->runs = calloc(WINDOWS * WINDOW_PAGES, sizeof(*m->runs));
	ASSERT_TRUE(m->runs);
	expect(m);
	for (unsigned int nr_threads = 1; nr_threads <= 4 && !ovm_test_failed(); nr_threads++)
		walk_and_compare(m, nr_threads);
}

static void check_seeds(unsigned int levels)
{
	for (uint64_t seed = 1; seed <= 25 && !ovm_test_failed(); seed++) {
		struct model *m = calloc(1, sizeof(*m));

		ASSERT_TRUE(m);
		check_model(m, seed, levels);
		free(m->runs);
		guest_destroy(&m->guest);
		free(m);
		if (ovm_test_failed())
			OVM_FAIL("seed %llu, %u levels", (unsigned long long)seed, levels);
	}
}

OVM_TEST(engine_model, agrees_on_random_address_spaces_of_four_levels)
{
	check_seeds(4);
}

OVM_TEST(engine_model, agrees_on_random_address_spaces_of_five_levels)
{
	check_seeds(5);
}
