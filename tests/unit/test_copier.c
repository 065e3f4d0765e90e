// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copying pages in rounds: whatever the kernel does with the pages of a frozen process between two
 * rounds, the file holds what the process would read, in the order of its addresses.
 */
#include "host/copier.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "host/page_store.h"
#include "host/parent.h"
#include "host/sift.h"
#include "test_engine_guest.h"
#include "test.h"

enum {
	MIB = 1 << 20,
	PAGE = OVM_PAGE_SIZE,
	RAM_SIZE = 128 * MIB,
	/* Where the process' pages are put, one after the other, and moved to. */
	FRAMES = 32 * MIB,
	OTHER_FRAMES = 64 * MIB,
	NR = 40,
	FIRST_ID = 3,
};

/* Within one table of level 1. */
static const uint64_t base = 0x7f0000000000;

struct fixture {
	struct guest guest;
	struct ovm_engine *engine;
	struct ovm_copier *copier;
	struct ovm_copier_stats stats;
	struct ovm_pages_file files[2];
	struct ovm_pages pages;
	struct ovm_walk_result *walked;
	char dir[32];
	int dir_fd;
};

static void forget_pages(struct fixture *f)
{
	for (size_t i = 0; i < 2; i++) {
		free(f->files[i].entries);
		free(f->files[i].block_sizes);
	}
	memset(f->files, 0, sizeof(f->files));
	ovm_walk_result_free(f->walked);
	f->walked = NULL;
}

static void fixture_deinit(struct fixture *f)
{
	forget_pages(f);
	ovm_copier_destroy(f->copier);
	ovm_engine_destroy(f->engine);
	guest_destroy(&f->guest);
	for (uint32_t id = FIRST_ID; id < FIRST_ID + 2; id++) {
		char name[OVM_PAGES_NAME];

		ovm_pages_name(id, name);
		unlinkat(f->dir_fd, name, 0);
	}
	if (f->dir[0] && rmdir(f->dir))
		ovm_test_fail(__FILE__, __LINE__, "%s is not empty", f->dir);
	close(f->dir_fd);
}

#define _cleanup_fixture_ __attribute__((cleanup(fixture_deinit)))

/* Content that tells whose it is. */
static void fill(struct fixture *f, uint64_t gpa, uint64_t va)
{
	uint64_t *words = guest_words(&f->guest, gpa);

	for (size_t i = 0; i < PAGE / sizeof(*words); i++)
		words[i] = va + i;
}

static uint64_t page_va(unsigned int i)
{
	return base + (uint64_t)i * PAGE;
}

/* Map a page at @gpa, with its content there. */
static void put(struct fixture *f, uint64_t va, uint64_t gpa)
{
	guest_map(&f->guest, va, 1, gpa);
	fill(f, gpa, va);
}

/* Move a page, as compaction does: what was there is somebody else's then. */
static void move(struct fixture *f, uint64_t va, uint64_t gpa)
{
	uint64_t *entry = guest_entry(&f->guest, f->guest.pgd, va, 1);
	uint64_t from = *entry & OVM_PTE_ADDRESS;

	put(f, va, gpa);
	memset(f->guest.ram + from, 0xee, PAGE);
}

static void init_options(struct fixture *f, struct ovm_copier_options options)
{
	options.first_id = FIRST_ID;
	memset(f, 0, sizeof(*f));
	f->dir_fd = -1;
	strcpy(f->dir, "/tmp/ovm-copier.XXXXXX");
	ASSERT_TRUE(mkdtemp(f->dir));
	f->dir_fd = open(f->dir, O_RDONLY | O_DIRECTORY);
	ASSERT_OK(guest_create(&f->guest, RAM_SIZE, 4, OVM_RAM_MAPPED, 2));
	ASSERT_OK(guest_engine(&f->guest, 2, &f->engine));
	options.engine = f->engine;
	options.dir_fd = f->dir_fd;
	ASSERT_OK(ovm_copier_create(&options, &f->copier));
	for (unsigned int i = 0; i < NR; i++)
		put(f, page_va(i), FRAMES + i * PAGE);
}

static void init_with(struct fixture *f, bool skip_zero, uint32_t block_pages)
{
	init_options(
		f, (struct ovm_copier_options){.skip_zero = skip_zero, .block_pages = block_pages});
}

static void init(struct fixture *f)
{
	init_with(f, false, 0);
}

/* What ovm_pages_look() makes of a process. */
static void look(struct fixture *f)
{
	static const struct ovm_rec_process process = {.pid = 1, .task = 0xffff888000002000};
	const struct ovm_walk_range range = {
		.start = base - 16 * MIB,
		.end = base + 16 * MIB,
		.kinds = ~(OVM_PAGE_BIT(OVM_PAGE_ZERO) | OVM_PAGE_BIT(OVM_PAGE_MARKER)),
		.flags = OVM_RANGE_ANON,
	};
	struct ovm_walk_request request = guest_request(&f->guest, &range, 1);

	forget_pages(f);
	request.nr_swap_types = 1;
	ASSERT_OK(ovm_engine_walk(f->engine, &request, &f->walked));
	f->files[0].runs = f->walked->runs;
	f->files[0].nr_runs = f->walked->nr_runs;
	f->files[0].process = &process;
	for (size_t i = 0; i < f->walked->nr_runs; i++)
		f->walked->runs[i].flags |= OVM_PAGES_ZERO_BACKED | OVM_PAGES_COMPRESSIBLE;
	f->pages.files = f->files;
	f->pages.nr_files = f->pages.nr_private = 1;
}

static void copy_round(struct fixture *f)
{
	look(f);
	ASSERT_OK(ovm_copier_round(f->copier, &f->pages, &f->stats));
}

static void finish(struct fixture *f)
{
	bool done;

	look(f);
	ASSERT_OK(ovm_copier_finish(f->copier, &f->pages, UINT64_MAX, &f->stats, &done));
	ASSERT_TRUE(done);
	ASSERT_OK(ovm_copier_arrange(f->copier));
}

/* The file has the pages of the pagemap, one behind the other, and nothing else. */
static void check_file(struct fixture *f, uint64_t nr_pages)
{
	const struct ovm_pages_file *file = &f->files[0];
	char name[OVM_PAGES_NAME];
	uint64_t page[PAGE / 8];
	uint64_t nr = 0;
	struct stat st;

	ovm_pages_name(file->id, name);
	int fd = openat(f->dir_fd, name, O_RDONLY);

	ASSERT_TRUE(fd >= 0);
	for (size_t i = 0; i < file->nr_entries; i++) {
		for (uint64_t j = 0; j < file->entries[i].nr_pages; j++, nr++) {
			uint64_t va = file->entries[i].address + j * PAGE;

			ASSERT_TRUE(pread(fd, page, PAGE, (off_t)(nr * PAGE)) == PAGE);
			for (size_t k = 0; k < PAGE / 8; k++)
				if (page[k] != va + k)
					OVM_FAIL("page 0x%llx holds 0x%llx at %zu",
						 (unsigned long long)va,
						 (unsigned long long)page[k], k * 8);
		}
	}
	ASSERT_EQ_U64(nr, nr_pages);
	ASSERT_EQ_U64(f->pages.private.written, nr_pages);
	ASSERT_TRUE(!fstat(fd, &st));
	ASSERT_EQ_U64((uint64_t)st.st_size, nr_pages * PAGE);
	close(fd);
}

OVM_TEST(copier, copies_once_what_rests)
{
	_cleanup_fixture_ struct fixture f;

	init(&f);
	copy_round(&f);
	ASSERT_EQ_U64(f.stats.copied, NR);
	copy_round(&f);
	ASSERT_EQ_U64(f.stats.copied, 0);
	finish(&f);
	ASSERT_EQ_U64(f.stats.copied, 0);
	ASSERT_EQ_U64(f.files[0].id, FIRST_ID);
	check_file(&f, NR);
}

OVM_TEST(copier, copies_all_when_there_was_no_round)
{
	_cleanup_fixture_ struct fixture f;

	init(&f);
	finish(&f);
	ASSERT_EQ_U64(f.stats.copied, NR);
	check_file(&f, NR);
}

OVM_TEST(copier, copies_again_what_moved_under_the_copy)
{
	_cleanup_fixture_ struct fixture f;

	init(&f);
	copy_round(&f);
	move(&f, page_va(0), OTHER_FRAMES);
	move(&f, page_va(7), OTHER_FRAMES + PAGE);
	move(&f, page_va(8), OTHER_FRAMES + 2 * PAGE);
	move(&f, page_va(NR - 1), OTHER_FRAMES + 9 * PAGE);
	copy_round(&f);
	ASSERT_EQ_U64(f.stats.copied, 4);
	ASSERT_EQ_U64(f.stats.again, 4);
	ASSERT_EQ_U64(f.stats.appeared, 0);
	/* It moves on, so that only the last copy, under the pause, can be right. */
	move(&f, page_va(7), OTHER_FRAMES + 3 * PAGE);
	finish(&f);
	ASSERT_EQ_U64(f.stats.copied, 1);
	check_file(&f, NR);
}

OVM_TEST(copier, keeps_a_right_copy_wherever_the_page_goes)
{
	_cleanup_fixture_ struct fixture f;

	init(&f);
	copy_round(&f);
	copy_round(&f);
	move(&f, page_va(5), OTHER_FRAMES);
	/* On the move, and out to swap. */
	guest_set(&f.guest, page_va(6), 1, guest_swap(30, 5));
	guest_set(&f.guest, page_va(7), 1, guest_swap(0, 5));
	finish(&f);
	ASSERT_EQ_U64(f.stats.copied, 0);
	check_file(&f, NR);
}

OVM_TEST(copier, waits_for_pages_on_the_move)
{
	_cleanup_fixture_ struct fixture f;
	bool done;

	init(&f);
	guest_set(&f.guest, page_va(2), 1, guest_swap(30, 5));
	copy_round(&f);
	ASSERT_EQ_U64(f.stats.blocked, 1);
	ASSERT_EQ_U64(f.stats.copied, NR - 1);
	guest_set(&f.guest, page_va(3), 1, guest_swap(30, 6));
	copy_round(&f);
	ASSERT_EQ_U64(f.stats.blocked, 2);
	ASSERT_EQ_U64(f.stats.copied, 0);
	look(&f);
	ASSERT_ERROR(ovm_copier_finish(f.copier, &f.pages, UINT64_MAX, &f.stats, &done),
		     OVM_ERROR_INCONSISTENT, "0x7f0000002000");
	put(&f, page_va(2), OTHER_FRAMES);
	put(&f, page_va(3), OTHER_FRAMES + PAGE);
	finish(&f);
	ASSERT_EQ_U64(f.stats.copied, 2);
	check_file(&f, NR);
}

OVM_TEST(copier, refuses_what_is_in_swap)
{
	_cleanup_fixture_ struct fixture f;
	bool done;

	init(&f);
	copy_round(&f);
	guest_set(&f.guest, page_va(4), 1, guest_swap(0, 5));
	look(&f);
	ASSERT_ERROR(ovm_copier_finish(f.copier, &f.pages, UINT64_MAX, &f.stats, &done),
		     OVM_ERROR_NOT_DUMPABLE, "swapped out");
}

OVM_TEST(copier, makes_room_for_pages_that_appear)
{
	_cleanup_fixture_ struct fixture f;

	init(&f);
	copy_round(&f);
	put(&f, base - PAGE, OTHER_FRAMES);
	put(&f, page_va(NR + 3), OTHER_FRAMES + PAGE);
	copy_round(&f);
	ASSERT_EQ_U64(f.stats.appeared, 2);
	ASSERT_EQ_U64(f.stats.copied, 2);
	put(&f, page_va(NR + 1), OTHER_FRAMES + 2 * PAGE);
	finish(&f);
	ASSERT_EQ_U64(f.stats.copied, 1);
	check_file(&f, NR + 3);
}

OVM_TEST(copier, drops_pages_that_vanish)
{
	_cleanup_fixture_ struct fixture f;

	init(&f);
	copy_round(&f);
	guest_set(&f.guest, page_va(0), 1, 0);
	copy_round(&f);
	ASSERT_EQ_U64(f.stats.vanished, 1);
	guest_set(&f.guest, page_va(20), 1, 0);
	guest_set(&f.guest, page_va(NR - 1), 1, 0);
	finish(&f);
	ASSERT_EQ_U64(f.stats.vanished, 2);
	check_file(&f, NR - 3);
}

OVM_TEST(copier, copies_anew_what_comes_back)
{
	_cleanup_fixture_ struct fixture f;

	init(&f);
	copy_round(&f);
	guest_set(&f.guest, page_va(9), 1, 0);
	copy_round(&f);
	put(&f, page_va(9), FRAMES + 9 * PAGE);
	copy_round(&f);
	ASSERT_EQ_U64(f.stats.appeared, 1);
	finish(&f);
	check_file(&f, NR);
}

/* A huge page that is split keeps its frames; one that is made of small ones has others. */
OVM_TEST(copier, knows_pages_by_frame_whatever_maps_them)
{
	_cleanup_fixture_ struct fixture f;
	const uint64_t huge = base + 2 * MIB, nr = 2 * MIB / PAGE;

	init(&f);
	guest_map(&f.guest, huge, 2, OTHER_FRAMES);
	for (uint64_t i = 0; i < nr; i++)
		fill(&f, OTHER_FRAMES + i * PAGE, huge + i * PAGE);
	copy_round(&f);
	ASSERT_EQ_U64(f.stats.copied, NR + nr);
	guest_set(&f.guest, huge, 2, 0);
	for (uint64_t i = 0; i < nr; i++)
		guest_map(&f.guest, huge + i * PAGE, 1, OTHER_FRAMES + i * PAGE);
	copy_round(&f);
	ASSERT_EQ_U64(f.stats.copied, 0);
	finish(&f);
	check_file(&f, NR + nr);
}

OVM_TEST(copier, finds_pages_that_became_part_of_a_huge_one)
{
	_cleanup_fixture_ struct fixture f;
	const uint64_t huge = base, nr = 2 * MIB / PAGE;

	init(&f);
	copy_round(&f);
	for (uint64_t i = 0; i < nr; i++)
		fill(&f, OTHER_FRAMES + i * PAGE, huge + i * PAGE);
	guest_map(&f.guest, huge, 2, OTHER_FRAMES);
	memset(f.guest.ram + FRAMES, 0xee, NR * PAGE);
	copy_round(&f);
	ASSERT_EQ_U64(f.stats.again, NR);
	ASSERT_EQ_U64(f.stats.appeared, nr - NR);
	finish(&f);
	ASSERT_EQ_U64(f.stats.copied, 0);
	check_file(&f, nr);
}

OVM_TEST(copier, ignores_accessed_dirty_and_hinting_bits)
{
	_cleanup_fixture_ struct fixture f;
	uint64_t *entry;

	init(&f);
	copy_round(&f);
	for (unsigned int i = 0; i < NR; i += 3) {
		entry = guest_entry(&f.guest, f.guest.pgd, page_va(i), 1);
		*entry &= ~UINT64_C(0x60);
	}
	guest_map_none(&f.guest, page_va(1), 1, FRAMES + PAGE);
	copy_round(&f);
	ASSERT_EQ_U64(f.stats.copied, 0);
	finish(&f);
	check_file(&f, NR);
}

OVM_TEST(copier, does_not_finish_when_much_is_left)
{
	_cleanup_fixture_ struct fixture f;
	bool done;

	init(&f);
	look(&f);
	ASSERT_OK(ovm_copier_finish(f.copier, &f.pages, NR - 1, &f.stats, &done));
	ASSERT_TRUE(!done);
	copy_round(&f);
	look(&f);
	ASSERT_OK(ovm_copier_finish(f.copier, &f.pages, 0, &f.stats, &done));
	ASSERT_TRUE(done);
	ASSERT_OK(ovm_copier_arrange(f.copier));
	check_file(&f, NR);
}

OVM_TEST(copier, takes_what_others_may_write_in_the_end_only)
{
	_cleanup_fixture_ struct fixture f;
	const struct ovm_rec_shmem shmem = {.inode = 0xffff888000001000};
	struct ovm_run runs[] = {
		{.va = 0, .gpa = FRAMES, .nr_pages = 4, .kind = OVM_PAGE_FILE},
		{.va = 8 * PAGE, .gpa = FRAMES + 8 * PAGE, .nr_pages = 2, .kind = OVM_PAGE_FILE},
	};
	bool done;

	init(&f);
	look(&f);
	f.files[1] = (struct ovm_pages_file){
		.runs = runs, .nr_runs = 2, .shmem = &shmem, .outsiders = true};
	f.pages.nr_files = 2;
	ASSERT_OK(ovm_copier_round(f.copier, &f.pages, &f.stats));
	ASSERT_EQ_U64(f.stats.copied, NR);
	look(&f);
	f.files[1] = (struct ovm_pages_file){
		.runs = runs, .nr_runs = 2, .shmem = &shmem, .outsiders = true};
	f.pages.nr_files = 2;
	ASSERT_OK(ovm_copier_finish(f.copier, &f.pages, 0, &f.stats, &done));
	ASSERT_TRUE(done);
	ASSERT_EQ_U64(f.stats.copied, 6);
	ASSERT_EQ_U64(f.stats.shmem, 6);
	ASSERT_EQ_U64(f.pages.shmem.written, 6);
	ASSERT_EQ_U64(f.files[1].id, FIRST_ID + 1);
	ASSERT_EQ_U64(f.files[1].nr_entries, 2);
	ASSERT_OK(ovm_copier_arrange(f.copier));
	check_file(&f, NR);
}

static void write_image(int dir_fd, const char *name, const void *data, size_t len)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ASSERT_TRUE(fd >= 0 && write(fd, data, len) == (ssize_t)len);
	close(fd);
}

/* An image of records with one byte of length each, the end being one without. */
static void write_records(int dir_fd, const char *name, enum ovm_image_type type,
			  const uint8_t *records)
{
	uint8_t image[64];
	uint32_t magic[2];
	size_t len = ovm_image_magic(type, magic) * sizeof(*magic);

	memcpy(image, magic, len);
	for (; *records; records += *records + 1) {
		memcpy(image + len, &(uint32_t){*records}, sizeof(uint32_t));
		memcpy(image + len + sizeof(uint32_t), records + 1, *records);
		len += sizeof(uint32_t) + *records;
	}
	write_image(dir_fd, name, image, len);
}

OVM_TEST(copier, reads_what_a_parent_has_before_the_pause)
{
	static const char *const names[] = {"inventory.img", "pagemap-shmem-7.img", "pages-1.img"};
	char dir[] = "/tmp/ovm-copier-parent.XXXXXX";
	const struct ovm_rec_shmem shmem = {.inode = 0xffff888000001000, .ino = 7};
	struct ovm_run runs[] = {
		{.va = 0, .gpa = FRAMES, .nr_pages = 4, .kind = OVM_PAGE_FILE},
		{.va = 8 * PAGE, .gpa = FRAMES + 8 * PAGE, .nr_pages = 2, .kind = OVM_PAGE_FILE},
	};
	const struct ovm_pages_file file = {
		.runs = runs, .nr_runs = 2, .shmem = &shmem, .outsiders = true};
	struct ovm_parent *parent;
	struct fixture f;
	bool done;

	ASSERT_TRUE(mkdtemp(dir));
	int dir_fd = open(dir, O_RDONLY | O_DIRECTORY);

	write_records(dir_fd, names[0], OVM_IMAGE_INVENTORY, (const uint8_t[]){2, 8, 2, 0});
	write_records(dir_fd, names[1], OVM_IMAGE_PAGEMAP_SHMEM,
		      (const uint8_t[]){2, 8, 1, 6, 8, 0, 16, 4, 32, 4, 0});
	ASSERT_OK(ovm_parent_open(dir, &parent));
	init_options(&f, (struct ovm_copier_options){.parent = parent});
	write_image(dir_fd, names[2], f.guest.ram + FRAMES, (size_t)4 * PAGE);
	look(&f);
	f.files[1] = file;
	f.pages.nr_files = 2;
	ASSERT_OK(ovm_copier_round(f.copier, &f.pages, &f.stats));
	ASSERT_TRUE(!unlinkat(dir_fd, names[1], 0));
	look(&f);
	f.files[1] = file;
	f.pages.nr_files = 2;
	ASSERT_OK(ovm_copier_finish(f.copier, &f.pages, 0, &f.stats, &done));
	ASSERT_TRUE(done);
	ASSERT_EQ_U64(f.pages.shmem.parent, 4);
	ASSERT_EQ_U64(f.pages.shmem.written, 2);
	fixture_deinit(&f);
	ovm_parent_close(parent);
	unlinkat(dir_fd, names[0], 0);
	unlinkat(dir_fd, names[2], 0);
	close(dir_fd);
	ASSERT_TRUE(!rmdir(dir));
}

static void clear(struct fixture *f, unsigned int i)
{
	uint64_t *entry = guest_entry(&f->guest, f->guest.pgd, page_va(i), 1);

	memset(f->guest.ram + (*entry & OVM_PTE_ADDRESS), 0, PAGE);
}

OVM_TEST(copier, leaves_out_zeroes)
{
	_cleanup_fixture_ struct fixture f;

	init_with(&f, true, 0);
	clear(&f, 0);
	clear(&f, 3);
	clear(&f, 4);
	clear(&f, NR - 1);
	/* A single byte is not nothing. */
	clear(&f, 5);
	*(f.guest.ram + FRAMES + 6 * PAGE - 1) = 1;
	copy_round(&f);
	ASSERT_EQ_U64(f.stats.copied, NR);
	copy_round(&f);
	ASSERT_EQ_U64(f.stats.copied, 0);
	fill(&f, FRAMES + 5 * PAGE, page_va(5));
	put(&f, page_va(NR), OTHER_FRAMES + PAGE);
	finish(&f);
	ASSERT_EQ_U64(f.stats.copied, 1);
	ASSERT_EQ_U64(f.pages.private.zero, 4);
	ASSERT_EQ_U64(f.pages.private.written, NR - 3);
	ASSERT_EQ_U64(f.files[0].nr_entries, 3);
	ASSERT_EQ_U64(f.files[0].entries[1].address, page_va(5));
	ASSERT_EQ_U64(f.files[0].entries[1].nr_pages, NR - 6);
}

/* ---- compressed ------------------------------------------------------------------------------ */

/* A length of LZ4's block format: 15 means that bytes follow which count, too. */
static size_t lz4_length(const uint8_t **in, const uint8_t *end, size_t length)
{
	uint8_t more = 255;

	if (length == 15)
		for (; more == 255 && *in < end; length += more)
			more = *(*in)++;
	return length;
}

/* The bytes that an LZ4 block makes; 0 if it is damaged. */
static size_t lz4_decode(const uint8_t *in, size_t len, uint8_t *out, size_t room)
{
	const uint8_t *end = in + len;
	size_t nr = 0;

	while (in < end) {
		uint8_t token = *in++;
		size_t length = lz4_length(&in, end, token >> 4);

		if (length > (size_t)(end - in) || length > room - nr)
			return 0;
		memcpy(out + nr, in, length);
		in += length;
		nr += length;
		if (in == end)
			return nr;
		if (end - in < 2)
			return 0;
		size_t distance = in[0] | (size_t)in[1] << 8;

		in += 2;
		length = lz4_length(&in, end, token & 15) + 4;
		if (!distance || distance > nr || length > room - nr)
			return 0;
		for (; length; length--, nr++)
			out[nr] = out[nr - distance];
	}
	return 0;
}

/* The pages of a block, or of an entry that isn't compressed. */
static void read_pages(int fd, uint64_t offset, uint64_t size, uint8_t *pages, uint64_t nr)
{
	uint8_t *packed = malloc(size + 1);

	memset(pages, 0, nr * PAGE);
	ASSERT_TRUE(pread(fd, packed, size, (off_t)offset) == (ssize_t)size);
	if (size == nr * PAGE)
		memcpy(pages, packed, size);
	else if (size)
		ASSERT_EQ_U64(lz4_decode(packed, size, pages, nr * PAGE), nr * PAGE);
	free(packed);
}

/* Find a page's words, by those of its address; zeroes in every fourth page. */
static void check_packed(const uint64_t *words, uint64_t va)
{
	bool zero = va / PAGE % 4 == 3;

	for (size_t k = 0; k < PAGE / 8; k++)
		if (words[k] != (zero ? 0 : va + k))
			OVM_FAIL("page 0x%llx holds 0x%llx at %zu", (unsigned long long)va,
				 (unsigned long long)words[k], k * 8);
}

/* Read the file as the pagemap says, as CRIU would. */
static void check_packed_file(struct fixture *f, uint32_t block_pages, uint64_t nr_pages)
{
	const struct ovm_pages_file *file = &f->files[0];
	uint64_t at = 0, nr = 0, *pages = malloc((uint64_t)1024 * PAGE);
	char name[OVM_PAGES_NAME];
	struct stat st;

	ovm_pages_name(file->id, name);
	int fd = openat(f->dir_fd, name, O_RDONLY);

	ASSERT_TRUE(fd >= 0 && pages);
	for (size_t i = 0; i < file->nr_entries; i++) {
		const struct ovm_image_pagemap_entry *entry = &file->entries[i];
		const uint64_t blocks = entry->nr_blocks ? entry->nr_blocks : 1;

		if (entry->aligned)
			at = (at + PAGE - 1) / PAGE * PAGE;
		ASSERT_EQ_U64(entry->offset, at);
		if (entry->nr_blocks)
			ASSERT_EQ_U64(blocks, (entry->nr_pages + block_pages - 1) / block_pages);
		for (uint64_t b = 0; b < blocks; b++) {
			uint64_t first = entry->nr_blocks ? b * block_pages : 0;
			uint64_t part = entry->nr_pages - first;

			if (entry->nr_blocks && part > block_pages)
				part = block_pages;
			uint64_t size = entry->nr_blocks ? entry->block_sizes[b] : part * PAGE;

			read_pages(fd, at, size, (uint8_t *)pages, part);
			at += size;
			for (uint64_t p = 0; p < part; p++)
				check_packed(pages + p * (PAGE / 8),
					     entry->address + (first + p) * PAGE);
		}
		nr += entry->nr_pages;
	}
	ASSERT_EQ_U64(nr, nr_pages);
	ASSERT_TRUE(!fstat(fd, &st));
	ASSERT_EQ_U64((uint64_t)st.st_size, at);
	ASSERT_EQ_U64(f->pages.private.bytes, at);
	close(fd);
	free(pages);
}

/* Put a page with what check_packed() expects there. */
static void put_packed(struct fixture *f, uint64_t va, uint64_t gpa)
{
	put(f, va, gpa);
	if (va / PAGE % 4 == 3)
		memset(f->guest.ram + gpa, 0, PAGE);
}

static void move_packed(struct fixture *f, uint64_t va, uint64_t gpa)
{
	uint64_t from = *guest_entry(&f->guest, f->guest.pgd, va, 1) & OVM_PTE_ADDRESS;

	put_packed(f, va, gpa);
	memset(f->guest.ram + from, 0xee, PAGE);
}

OVM_TEST(copier, compresses_in_blocks)
{
	static const uint32_t sizes[] = {1, 4, 16, 64};

	for (size_t i = 0; i < 4; i++) {
		_cleanup_fixture_ struct fixture f;

		init_with(&f, false, sizes[i]);
		for (unsigned int j = 0; j < NR; j++)
			put_packed(&f, page_va(j), FRAMES + j * PAGE);
		copy_round(&f);
		copy_round(&f);
		ASSERT_EQ_U64(f.stats.copied, 0);
		finish(&f);
		check_packed_file(&f, sizes[i], NR);
		ASSERT_TRUE(f.pages.private.bytes < NR * PAGE * 3 / 4);
	}
}

/* Of a block, all pages are copied again when one moves or goes away. */
OVM_TEST(copier, copies_whole_blocks_again)
{
	_cleanup_fixture_ struct fixture f;

	init_with(&f, false, 8);
	for (unsigned int j = 0; j < NR; j++)
		put_packed(&f, page_va(j), FRAMES + j * PAGE);
	copy_round(&f);
	move_packed(&f, page_va(11), OTHER_FRAMES);
	guest_set(&f.guest, page_va(30), 1, 0);
	copy_round(&f);
	ASSERT_EQ_U64(f.stats.copied, 8 + 7);
	finish(&f);
	ASSERT_EQ_U64(f.stats.copied, 0);
	check_packed_file(&f, 8, NR - 1);
}

OVM_TEST(copier, is_right_after_any_changes_when_it_compresses)
{
	static const uint32_t sizes[] = {0, 1, 2, 7, 64};

	for (unsigned int seed = 1; seed <= 60; seed++) {
		_cleanup_fixture_ struct fixture f;
		const uint32_t block_pages = sizes[seed % 5];
		const bool skip_zero = seed % 3 == 0 || !block_pages;
		uint64_t next = OTHER_FRAMES, present = 0;

		init_with(&f, skip_zero, block_pages);
		for (unsigned int j = 0; j < NR; j++)
			put_packed(&f, page_va(j), FRAMES + j * PAGE);
		srandom(seed);
		for (int step = 0; step < 5; step++) {
			copy_round(&f);
			for (int i = 0; i < 12; i++) {
				uint64_t va = page_va((unsigned int)random() % (NR + 20));
				uint64_t *entry = guest_entry(&f.guest, f.guest.pgd, va, 1);

				if (!*entry)
					put_packed(&f, va, next);
				else if (random() % 4)
					move_packed(&f, va, next);
				else
					*entry = 0;
				next += PAGE * (1 + (uint64_t)random() % 2);
			}
		}
		finish(&f);
		for (unsigned int i = 0; i < NR + 20; i++)
			present += *guest_entry(&f.guest, f.guest.pgd, page_va(i), 1) != 0 &&
				   (!skip_zero || page_va(i) / PAGE % 4 != 3);
		check_packed_file(&f, block_pages, present);
		if (ovm_test_failed())
			OVM_FAIL("with seed %u", seed);
	}
}

OVM_TEST(copier, refuses_pages_out_of_order)
{
	struct ovm_page_store store = {0};
	struct ovm_page_changes changes;
	const struct ovm_run twice[] = {
		{.va = base, .gpa = FRAMES, .nr_pages = 4},
		{.va = base + 3 * PAGE, .gpa = FRAMES, .nr_pages = 1},
	};
	const struct ovm_run around = {.va = (uint64_t)-PAGE, .gpa = FRAMES, .nr_pages = 4};

	ASSERT_ERROR(ovm_page_store_update(&store, twice, 2, &changes), OVM_ERROR_CORRUPT, NULL);
	ASSERT_ERROR(ovm_page_store_update(&store, &around, 1, &changes), OVM_ERROR_CORRUPT, NULL);
	ASSERT_EQ_U64(store.nr, 0);
}

/* Random changes of a small address space, against a model of a page each. */
OVM_TEST(copier, is_right_after_any_changes)
{
	for (unsigned int seed = 1; seed <= 30; seed++) {
		_cleanup_fixture_ struct fixture f;
		uint64_t next = OTHER_FRAMES, present;

		init(&f);
		srandom(seed);
		for (int step = 0; step < 6; step++) {
			copy_round(&f);
			for (int i = 0; i < 30; i++) {
				uint64_t va = page_va((unsigned int)random() % (NR + 20));
				uint64_t *entry = guest_entry(&f.guest, f.guest.pgd, va, 1);

				if (!*entry)
					put(&f, va, next);
				else if (random() % 4)
					move(&f, va, next);
				else
					*entry = 0;
				next += PAGE * (1 + (uint64_t)random() % 2);
			}
		}
		finish(&f);
		present = 0;
		for (unsigned int i = 0; i < NR + 20; i++)
			present += *guest_entry(&f.guest, f.guest.pgd, page_va(i), 1) != 0;
		check_file(&f, present);
		if (ovm_test_failed())
			OVM_FAIL("with seed %u", seed);
	}
}
