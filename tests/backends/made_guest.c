// SPDX-License-Identifier: GPL-2.0-only
#include "made_guest.h"

#ifdef OVM_EMULATED
#include "tests/unit/device_model.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernels-cuda/pageops.h"

enum {
	MIB = 1 << 20,
	FILE_SIZE = 160 * MIB,
	TABLES_AT = 2 * MIB,
	DESCRIPTORS_AT = 32 * MIB,
	FRAMES_AT = 40 * MIB,
	/* Tables in the last piece. */
	LAST_TABLES = 4 * MIB,
	DESCRIPTOR_SIZE = 64,
	COMPOUND_HEAD = 8,
	MAPPING = 24,
	SWAP_TYPES = 2,
	MIGRATION_TYPE = 30,
	MARKER_TYPE = 28,
};

#define GIB	 (UINT64_C(1) << 30)
#define VMEMMAP	 UINT64_C(0xffffea0000000000)
#define PTE	 UINT64_C(0x8000000000000067)
#define TABLE	 UINT64_C(0x67)
#define PROTNONE UINT64_C(0x8000000000000120)

static const char *const feature_names[] = {
	[MADE_FIVE_LEVELS] = "five levels",
	[MADE_SPLIT_RAM] = "split RAM",
	[MADE_READ_ONLY_PIECE] = "unmappable piece",
	[MADE_HUGE] = "huge pages",
	[MADE_ABSENT] = "absent entries",
	[MADE_PROT_NONE] = "PROT_NONE",
	[MADE_BAD_ENTRIES] = "bad entries",
	[MADE_TINY_RANGES] = "tiny ranges",
	[MADE_ZERO_PAGES] = "zero pages",
	[MADE_SCATTERED] = "scattered frames",
	[MADE_MANY_PROCESSES] = "many processes",
	[MADE_NO_LAYOUT] = "no page layout",
	[MADE_SMALL_DESCRIPTORS] = "small descriptor pages",
	[MADE_LOST_DESCRIPTORS] = "lost descriptors",
	[MADE_LYING_DESCRIPTORS] = "lying descriptors",
	[MADE_LOOPS] = "loops",
	[MADE_NOISE] = "noise",
	[MADE_LIMITS] = "limits",
	[MADE_ENCRYPTION] = "encryption",
	[MADE_EMPTY] = "emptiness",
	[MADE_DENSE] = "no holes",
};

const char *made_feature_name(unsigned int feature)
{
	return feature_names[feature];
}

static bool has(const struct made_guest *guest, enum made_feature feature)
{
	return guest->features >> feature & 1;
}

/* xorshift64* */
static uint64_t random_word(struct made_guest *guest)
{
	guest->random ^= guest->random >> 12;
	guest->random ^= guest->random << 25;
	guest->random ^= guest->random >> 27;
	return guest->random * UINT64_C(0x2545f4914f6cdd1d);
}

uint64_t made_random(struct made_guest *guest, uint64_t n)
{
	return (random_word(guest) >> 11) % n;
}

static bool one_in(struct made_guest *guest, uint64_t n)
{
	return made_random(guest, n) == 0;
}

uint8_t *made_at(const struct made_guest *guest, uint64_t gpa)
{
	for (unsigned int i = 0; i < guest->nr_pieces; i++) {
		const struct made_piece *piece = &guest->pieces[i];

		if (gpa - piece->gpa < piece->size)
			return guest->ram + piece->offset + (gpa - piece->gpa);
	}
	return NULL;
}

uint64_t made_allocated(const struct made_guest *guest)
{
	struct stat st;

	return fstat(guest->fd, &st) ? 0 : (uint64_t)st.st_blocks;
}

/* ---- RAM ------------------------------------------------------------------------------------- */

static void set_piece(struct made_guest *guest, uint64_t gpa, uint64_t size, uint64_t offset)
{
	struct made_piece *piece = &guest->pieces[guest->nr_pieces];

	piece->gpa = gpa;
	piece->size = size;
	piece->offset = offset;
	piece->descriptors = DESCRIPTORS_AT + guest->nr_pieces * 2 * MIB;
	piece->descriptors_size = (size >> OVM_PAGE_SHIFT) * DESCRIPTOR_SIZE;
	guest->nr_pieces++;
}

/* Each piece begins where a page of 2 MiB of descriptors does, and fits one. */
static void set_pieces(struct made_guest *guest)
{
	uint64_t hole = has(guest, MADE_SPLIT_RAM) ? GIB : 0;

	set_piece(guest, 0, 96 * MIB, 0);
	set_piece(guest, 128 * MIB + 4 * hole, 32 * MIB, 96 * MIB);
	set_piece(guest, 256 * MIB + 11 * hole, 32 * MIB, 128 * MIB);
	guest->next_table[0] = TABLES_AT;
	guest->tables_end[0] = DESCRIPTORS_AT;
	guest->next_table[1] = guest->pieces[2].gpa;
	guest->tables_end[1] = guest->pieces[2].gpa + LAST_TABLES;
}

static struct ovm_error *make_memory(struct made_guest *guest)
{
	struct ovm_ram_range ranges[MADE_MAX_PIECES];

	memset(ranges, 0, sizeof(ranges));
	for (unsigned int i = 0; i < guest->nr_pieces; i++) {
		bool last = i + 1 == guest->nr_pieces;

		ranges[i].gpa = guest->pieces[i].gpa;
		ranges[i].size = guest->pieces[i].size;
		ranges[i].file_offset = guest->pieces[i].offset;
		ranges[i].kind = OVM_RAM_MAPPED;
		ranges[i].fd = dup(guest->fd);
		if (last && has(guest, MADE_READ_ONLY_PIECE))
			ranges[i].kind = OVM_RAM_FILE;
	}
	return ovm_memory_create(ranges, guest->nr_pieces, &guest->memory);
}

static struct ovm_error *make_ram(struct made_guest *guest)
{
	guest->fd = memfd_create("made-guest", MFD_CLOEXEC);
	guest->file_size = FILE_SIZE;
	if (guest->fd < 0 || ftruncate(guest->fd, FILE_SIZE) ||
	    (has(guest, MADE_DENSE) && fallocate(guest->fd, 0, 0, FILE_SIZE)))
		return ovm_error_errno(OVM_ERROR_OUTPUT, errno, NULL, "can't make guest RAM");
	guest->ram = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, guest->fd, 0);
	if (guest->ram == MAP_FAILED) {
		guest->ram = NULL;
		return ovm_error_no_memory();
	}
	set_pieces(guest);
	return make_memory(guest);
}

/* ---- tables ---------------------------------------------------------------------------------- */

/* A new table; the top table of the first process once there is no room for more. */
static uint64_t new_table(struct made_guest *guest)
{
	unsigned int where = one_in(guest, 8);
	uint64_t gpa = guest->next_table[where];

	if (gpa == guest->tables_end[where])
		return TABLES_AT;
	guest->next_table[where] += OVM_PAGE_SIZE;
	memset(made_at(guest, gpa), 0, OVM_PAGE_SIZE);
	return gpa;
}

/* A table that there is. */
static uint64_t some_table(struct made_guest *guest)
{
	uint64_t nr[2];

	nr[0] = (guest->next_table[0] - TABLES_AT) / OVM_PAGE_SIZE;
	nr[1] = (guest->next_table[1] - guest->pieces[2].gpa) / OVM_PAGE_SIZE;

	uint64_t index = made_random(guest, nr[0] + nr[1]);

	if (index < nr[0])
		return TABLES_AT + index * OVM_PAGE_SIZE;
	return guest->pieces[2].gpa + (index - nr[0]) * OVM_PAGE_SIZE;
}

/* Whether an entry points to a table, whatever that is. */
static bool is_table(const struct made_guest *guest, uint64_t raw)
{
	return raw & OVM_PTE_PRESENT && !(raw & OVM_PTE_PSE) &&
	       made_at(guest, raw & OVM_PTE_ADDRESS);
}

/* The entry for @va in a table of @level; missing tables are made. */
static uint64_t *entry(struct made_guest *guest, uint64_t pgd, uint64_t va, unsigned int level)
{
	uint64_t table = pgd;

	for (unsigned int l = guest->levels;; l--) {
		uint64_t index = va >> ovm_level_shift(l) & (OVM_TABLE_ENTRIES - 1);
		uint64_t *at = (uint64_t *)made_at(guest, table) + index;

		if (l == level)
			return at;
		if (!is_table(guest, *at))
			*at = new_table(guest) | TABLE;
		table = *at & OVM_PTE_ADDRESS;
	}
}

static uint64_t swap_entry(unsigned int type, uint64_t offset)
{
	return (uint64_t)type << OVM_SWAP_TYPE_SHIFT | (~offset << 14 >> 5);
}

/* ---- page descriptors ------------------------------------------------------------------------ */

static void describe(struct made_guest *guest, const struct made_piece *piece, uint64_t page,
		     unsigned int offset, uint64_t value)
{
	uint8_t *at = made_at(guest, piece->descriptors + page * DESCRIPTOR_SIZE + offset);

	memcpy(at, &value, sizeof(value));
}

/* Alternating stretches of anonymous pages and others, and compound pages with tails. */
static void describe_piece(struct made_guest *guest, const struct made_piece *piece)
{
	uint64_t first = VMEMMAP + (piece->gpa >> OVM_PAGE_SHIFT) * DESCRIPTOR_SIZE;
	uint64_t head = 0, left = 0, anon = 0, stretch = 0;

	for (uint64_t page = 0; page < piece->size >> OVM_PAGE_SHIFT; page++) {
		if (!stretch--) {
			anon = made_random(guest, 2);
			stretch = made_random(guest, 700);
		}
		if (!left-- && one_in(guest, 20)) {
			head = page;
			left = made_random(guest, 512);
		} else if (left == UINT64_MAX) {
			left = 0;
			head = page;
		}
		describe(guest, piece, page, MAPPING, UINT64_C(0xffff888000001000) | anon);
		if (head < page)
			describe(guest, piece, page, COMPOUND_HEAD,
				 first + head * DESCRIPTOR_SIZE + 1);
		if (has(guest, MADE_LYING_DESCRIPTORS) && one_in(guest, 6))
			describe(guest, piece, page, one_in(guest, 2) ? MAPPING : COMPOUND_HEAD,
				 one_in(guest, 2) ? random_word(guest)
						  : first + made_random(guest, 4 * MIB) + 1);
	}
}

static void map_small_descriptors(struct made_guest *guest, const struct made_piece *piece,
				  uint64_t va)
{
	uint64_t pages = piece->descriptors_size >> OVM_PAGE_SHIFT;
	uint64_t key = made_random(guest, pages) | 1;

	/* Pages in another order are still descriptors, though of other frames. */
	for (uint64_t i = 0; i < pages; i++) {
		uint64_t from = one_in(guest, 3) ? i * key % pages : i;

		if (has(guest, MADE_LOST_DESCRIPTORS) && one_in(guest, 4))
			continue;
		*entry(guest, guest->layout.kernel_pgd, va + (i << OVM_PAGE_SHIFT), 1) =
			(piece->descriptors + (from << OVM_PAGE_SHIFT)) | PTE;
	}
}

static void map_descriptors(struct made_guest *guest, const struct made_piece *piece)
{
	uint64_t va = VMEMMAP + (piece->gpa >> OVM_PAGE_SHIFT) * DESCRIPTOR_SIZE;
	uint64_t raw = piece->descriptors | PTE | OVM_PTE_PSE;

	if (has(guest, MADE_SMALL_DESCRIPTORS)) {
		map_small_descriptors(guest, piece, va);
		return;
	}
	if (has(guest, MADE_LOST_DESCRIPTORS) && one_in(guest, 2))
		raw = one_in(guest, 2) ? 0 : (UINT64_C(1) << 40 | PTE | OVM_PTE_PSE);
	*entry(guest, guest->layout.kernel_pgd, va, 2) = raw;
}

static void make_descriptors(struct made_guest *guest)
{
	guest->layout.kernel_pgd = new_table(guest);
	guest->layout.vmemmap_base = VMEMMAP;
	guest->layout.page_size = DESCRIPTOR_SIZE;
	guest->layout.mapping_offset = MAPPING;
	guest->layout.compound_head_offset = COMPOUND_HEAD;
	for (unsigned int i = 0; i < guest->nr_pieces; i++) {
		describe_piece(guest, &guest->pieces[i]);
		map_descriptors(guest, &guest->pieces[i]);
	}
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* A frame of @pages pages, aligned to its size; never a table or a descriptor. */
static uint64_t some_frame(struct made_guest *guest, uint64_t pages)
{
	unsigned int which = (unsigned int)made_random(guest, guest->nr_pieces);
	const struct made_piece *piece = &guest->pieces[which];
	uint64_t start = piece->gpa, size = pages << OVM_PAGE_SHIFT;

	if (which == 0)
		start += FRAMES_AT;
	else if (which == 2)
		start += LAST_TABLES;
	return start + made_random(guest, (piece->gpa + piece->size - start) / size) * size;
}

static void fill_text(struct made_guest *guest, uint8_t *page)
{
	static const char *const words[] = {"the ", "page ", "of ", "a ", "guest ", "is here; "};

	for (unsigned int at = 0; at < OVM_PAGE_SIZE;) {
		const char *word = words[made_random(guest, 6)];

		for (; *word && at < OVM_PAGE_SIZE; word++)
			page[at++] = (uint8_t)*word;
	}
}

/* Give a page content, as different pages have it. */
static void fill_page(struct made_guest *guest, uint64_t gpa)
{
	uint8_t *page = made_at(guest, gpa);

	guest->filled[guest->nr_filled++ % MADE_MAX_FILLED] = gpa;
	switch (made_random(guest, 8)) {
	case 0:
		/* A hole. */
		break;
	case 1:
		memset(page, 0, OVM_PAGE_SIZE);
		break;
	case 2:
		memset(page, (int)made_random(guest, 3) * 0x5a, OVM_PAGE_SIZE);
		page[made_random(guest, OVM_PAGE_SIZE)] ^= (uint8_t)made_random(guest, 2);
		break;
	case 3:
		fill_text(guest, page);
		break;
	case 4:
		/* One of a few, so that there are duplicates. */
		memset(page, 1 + (int)made_random(guest, 4), OVM_PAGE_SIZE / 2);
		memset(page + OVM_PAGE_SIZE / 2, 7, OVM_PAGE_SIZE / 2);
		break;
	default:
		for (unsigned int i = 0; i < OVM_PAGE_SIZE; i += 8) {
			uint64_t word = random_word(guest);

			memcpy(page + i, &word, sizeof(word));
		}
	}
}

/* Mostly the frame behind the one before, unless frames are to be scattered. */
static uint64_t next_frame(struct made_guest *guest)
{
	uint64_t next = guest->last_frame + OVM_PAGE_SIZE;
	bool anywhere = has(guest, MADE_SCATTERED) ? !one_in(guest, 8) : one_in(guest, 100);

	if (anywhere || !guest->last_frame || !made_at(guest, next))
		next = some_frame(guest, 1);
	guest->last_frame = next;
	return next;
}

/* ---- address spaces -------------------------------------------------------------------------- */

static uint64_t absent_entry(struct made_guest *guest)
{
	static const uint8_t types[] = {0, SWAP_TYPES - 1, MIGRATION_TYPE, MARKER_TYPE, 20};

	if (one_in(guest, 6))
		return OVM_PTE_ACCESSED | (one_in(guest, 2) ? OVM_PTE_DIRTY : 0);
	return swap_entry(types[made_random(guest, 5)], made_random(guest, 5)) |
	       made_random(guest, 2) << 1;
}

static uint64_t bad_entry(struct made_guest *guest)
{
	switch (made_random(guest, 4)) {
	case 0:
		return PTE | UINT64_C(1) << (46 + made_random(guest, 6));
	case 1:
		return PTE | UINT64_C(1) << 39 | made_random(guest, 64) << OVM_PAGE_SHIFT;
	case 2:
		return random_word(guest) | OVM_PTE_PRESENT;
	default:
		return random_word(guest) & ~OVM_PTE_PRESENT;
	}
}

/* An entry of a table of level 1, 2 or 3 that maps a page, or looks as if. */
static uint64_t some_entry(struct made_guest *guest, unsigned int level)
{
	uint64_t shift = ovm_level_shift(level), gpa, raw = PTE;

	if (has(guest, MADE_ABSENT) && one_in(guest, 6))
		return absent_entry(guest);
	if (has(guest, MADE_BAD_ENTRIES) && one_in(guest, 12))
		return bad_entry(guest);
	if (level == 1)
		gpa = next_frame(guest);
	else if (level == 2)
		gpa = some_frame(guest, 512);
	else
		gpa = made_random(guest, 5) << shift;
	if (level == 1 && !one_in(guest, 4))
		fill_page(guest, gpa);
	if (has(guest, MADE_ZERO_PAGES) && level < 3 && one_in(guest, 5))
		gpa = guest->zero_pages[level - 1].gpa;
	if (level > 1)
		raw |= OVM_PTE_PSE;
	if (has(guest, MADE_PROT_NONE) && one_in(guest, 5)) {
		uint64_t mask = OVM_PTE_ADDRESS & ~((UINT64_C(1) << shift) - 1);

		return (~gpa & mask) | PROTNONE | (raw & OVM_PTE_PSE);
	}
	if (has(guest, MADE_ENCRYPTION))
		raw |= UINT64_C(1) << 47;
	return gpa | raw;
}

static void add_range(struct made_guest *guest, struct made_process *process, uint64_t start,
		      uint64_t end)
{
	struct ovm_walk_range *range = &process->ranges[process->nr_ranges];

	if (process->nr_ranges == MADE_MAX_RANGES || start >= end)
		return;
	range->start = start;
	range->end = end;
	range->kinds = one_in(guest, 3) ? (uint32_t)made_random(guest, 1024) : 0;
	range->flags = one_in(guest, 4) ? OVM_RANGE_ANON : 0;
	process->nr_ranges++;
}

/* Ranges that cover most of [@start, @end). */
static void add_ranges(struct made_guest *guest, struct made_process *process, uint64_t start,
		       uint64_t end)
{
	uint64_t most = has(guest, MADE_TINY_RANGES) ? 2 : 1 + made_random(guest, 3000);
	uint64_t skip = has(guest, MADE_TINY_RANGES) || one_in(guest, 2) ? 2 : 1;

	while (start < end) {
		uint64_t size = (1 + made_random(guest, most)) << OVM_PAGE_SHIFT;

		start += made_random(guest, skip) << OVM_PAGE_SHIFT;
		if (size > end - start || process->nr_ranges + 1 == MADE_MAX_RANGES)
			size = end - start;
		add_range(guest, process, start, start + size);
		start += size;
	}
}

/* Map pages from @va on; returns where they end. */
static uint64_t make_area(struct made_guest *guest, uint64_t pgd, uint64_t va, uint64_t pages)
{
	uint64_t end = va + (pages << OVM_PAGE_SHIFT);

	if (has(guest, MADE_HUGE) && one_in(guest, 6)) {
		va = (va + GIB - 1) & ~(GIB - 1);
		*entry(guest, pgd, va, 3) = some_entry(guest, 3);
		return va + GIB;
	}
	while (va < end) {
		bool huge = has(guest, MADE_HUGE) && va % (2 * MIB) == 0 && one_in(guest, 3);
		unsigned int level = huge ? 2 : 1;

		if (!one_in(guest, 10))
			*entry(guest, pgd, va, level) = some_entry(guest, level);
		va += UINT64_C(1) << ovm_level_shift(level);
	}
	return va;
}

/* Areas from low addresses up, some just behind the one before, some far away. */
static void make_areas(struct made_guest *guest, struct made_process *process, uint64_t pgd,
		       bool small)
{
	uint64_t user_end = UINT64_C(1) << (guest->levels == 5 ? 56 : 47);
	unsigned int nr = 1 + (unsigned int)made_random(guest, guest->nr_processes > 4 ? 2 : 5);
	uint64_t most = small || guest->nr_processes > 4 ? 200 : 3000;
	uint64_t va = made_random(guest, 1000) << OVM_PAGE_SHIFT;

	for (unsigned int i = 0; i < nr; i++) {
		uint64_t start = va, end = va + (made_random(guest, 8) << OVM_PAGE_SHIFT);

		if (!has(guest, MADE_EMPTY) || one_in(guest, 2))
			end = make_area(guest, pgd, va, 1 + made_random(guest, most));
		/* Half a huge page, or a bit too much. */
		end += one_in(guest, 2) ? 0 : OVM_PAGE_SIZE * made_random(guest, 100);
		if (one_in(guest, 4) && end - start > 2 * MIB)
			end -= MIB;
		if (one_in(guest, 6) && end - start > 2 * MIB)
			start += MIB;
		add_ranges(guest, process, start, end);
		va = end + (one_in(guest, 2) ? 0 : made_random(guest, user_end / 16));
		va = (va + OVM_PAGE_SIZE - 1) & ~(uint64_t)(OVM_PAGE_SIZE - 1);
	}
	/* All the rest, once in a while. */
	if (one_in(guest, 6) && process->nr_ranges < MADE_MAX_RANGES)
		add_range(guest, process, va, user_end);
}

static void make_request(struct made_guest *guest, const struct made_process *process, uint64_t pgd,
			 struct ovm_walk_request *request)
{
	memset(request, 0, sizeof(*request));
	request->size = sizeof(*request);
	request->pgd = pgd;
	request->levels = guest->levels;
	request->phys_bits = has(guest, MADE_ENCRYPTION) ? 46 : 0;
	request->sme_mask = has(guest, MADE_ENCRYPTION) ? UINT64_C(1) << 47 : 0;
	request->ranges = process->ranges;
	request->nr_ranges = process->nr_ranges;
	request->page = has(guest, MADE_NO_LAYOUT) ? NULL : &guest->layout;
	request->zero_pages = guest->zero_pages;
	request->nr_zero_pages = has(guest, MADE_ZERO_PAGES) ? 2 : 0;
	request->nr_swap_types = SWAP_TYPES;
	request->migration_types = UINT32_C(1) << MIGRATION_TYPE;
	request->marker_types = UINT32_C(1) << MARKER_TYPE;
	/* Damage must not make a comparison last for minutes. */
	request->max_entries = 1 << 21;
	request->max_runs = 1 << 20;
	if (has(guest, MADE_LIMITS) && one_in(guest, 2))
		request->max_entries = 512 * (3 + made_random(guest, 30));
	if (has(guest, MADE_LIMITS) && one_in(guest, 2))
		request->max_runs = 1 + made_random(guest, 400);
}

static struct ovm_error *make_process(struct made_guest *guest, size_t i, bool small)
{
	struct made_process *process = &guest->processes[i];
	uint64_t pgd = guest->requests[0].pgd;

	process->ranges = calloc(MADE_MAX_RANGES, sizeof(*process->ranges));
	if (!process->ranges)
		return ovm_error_no_memory();
	/* Threads of another thread group can have the same address space. */
	if (!i || !one_in(guest, 10))
		pgd = new_table(guest);
	if (!has(guest, MADE_EMPTY) || !one_in(guest, 3))
		make_areas(guest, process, pgd, small);
	make_request(guest, process, pgd, &guest->requests[i]);
	return NULL;
}

/* ---- damage ---------------------------------------------------------------------------------- */

static uint64_t damaged_word(struct made_guest *guest, uint64_t word)
{
	switch (made_random(guest, 6)) {
	case 0:
		return random_word(guest);
	case 1:
		return word ^ UINT64_C(1) << made_random(guest, 64);
	case 2:
		return UINT64_MAX;
	case 3:
		return 0;
	case 4:
		return (random_word(guest) & OVM_PTE_ADDRESS) | TABLE;
	default:
		return some_frame(guest, 1) | TABLE;
	}
}

static void damage(struct made_guest *guest)
{
	unsigned int nr = 4 + (unsigned int)made_random(guest, 200);

	for (unsigned int i = 0; i < nr; i++) {
		uint64_t table = some_table(guest);
		uint64_t *word = (uint64_t *)made_at(guest, table) + made_random(guest, 512);

		if (has(guest, MADE_LOOPS))
			*word = (one_in(guest, 3) ? table : some_table(guest)) | TABLE;
		if (has(guest, MADE_NOISE) && !one_in(guest, 3))
			*word = damaged_word(guest, *word);
	}
}

/* ---- the whole ------------------------------------------------------------------------------- */

static struct ovm_error *make_processes(struct made_guest *guest, bool small)
{
	struct ovm_error *err = NULL;

	guest->zero_pages[0] = (struct ovm_gpa_range){FRAMES_AT, OVM_PAGE_SIZE};
	guest->zero_pages[1] = (struct ovm_gpa_range){FRAMES_AT + 2 * MIB, 2 * MIB};
	guest->nr_processes = 1 + made_random(guest, 3);
	if (has(guest, MADE_MANY_PROCESSES))
		guest->nr_processes = 1 + made_random(guest, small ? 40 : MADE_MAX_PROCESSES);
	for (size_t i = 0; i < guest->nr_processes && !err; i++)
		err = make_process(guest, i, small);
	return err;
}

struct ovm_error *made_guest_create(uint64_t seed, uint32_t features, bool small,
				    struct made_guest **ret)
{
	struct made_guest *guest = calloc(1, sizeof(*guest));

	*ret = guest;
	if (!guest)
		return ovm_error_no_memory();
	guest->seed = seed;
	guest->features = features;
	guest->random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	guest->levels = has(guest, MADE_FIVE_LEVELS) ? 5 : 4;
	guest->fd = -1;

	struct ovm_error *err = make_ram(guest);

	if (!err) {
		make_descriptors(guest);
		err = make_processes(guest, small);
	}
	if (!err)
		damage(guest);
	if (err) {
		made_guest_destroy(guest);
		*ret = NULL;
	}
	return err;
}

void made_guest_destroy(struct made_guest *guest)
{
	if (!guest)
		return;
	ovm_memory_destroy(guest->memory);
	if (guest->ram)
		munmap(guest->ram, guest->file_size);
	if (guest->fd >= 0)
		close(guest->fd);
	for (size_t i = 0; i < guest->nr_processes; i++)
		free(guest->processes[i].ranges);
	free(guest);
}

/* Mostly one that was given content. */
static uint64_t filled_frame(struct made_guest *guest)
{
	uint64_t nr = guest->nr_filled < MADE_MAX_FILLED ? guest->nr_filled : MADE_MAX_FILLED;

	if (!nr || one_in(guest, 4))
		return some_frame(guest, 1);
	return guest->filled[made_random(guest, nr)];
}

unsigned int made_guest_go_on(struct made_guest *guest)
{
	unsigned int discarded = 0;

	for (unsigned int i = 0; i < 300; i++) {
		uint64_t gpa = filled_frame(guest);
		uint64_t offset = (uint64_t)(made_at(guest, gpa) - guest->ram);
		uint64_t *word = (uint64_t *)made_at(guest, some_table(guest));

		if (!one_in(guest, 3) &&
		    !fallocate(guest->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
			       OVM_PAGE_SIZE))
			discarded++;
		if (one_in(guest, 2))
			fill_page(guest, gpa);
		if (one_in(guest, 10))
			word[made_random(guest, 512)] = gpa | PTE;
	}
#ifdef OVM_EMULATED
	device_model_punched();
#endif
	return discarded;
}
