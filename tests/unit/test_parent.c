// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that are left out of an image: those of an earlier dump's images, however these are
 * damaged, and zeroes; and what a store makes of them.
 */
#include "host/parent.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/lz4.h"
#include "host/page_store.h"
#include "host/pages_mark.h"
#include "host/sift.h"
#include "kernels-cuda/engine.h"
#include "test.h"

enum {
	PAGE = OVM_PAGE_SIZE,
	PID = 77,
	PE_PARENT = 1,
	PE_LAZY = 2,
	PE_PRESENT = 4,
	NR = 64,
};

static const uint64_t base_va = 0x7f0000000000;
static char base[] = "/tmp/ovm-test-parent.XXXXXX";

static void make_base(void)
{
	memcpy(base + strlen(base) - 6, "XXXXXX", 6);
	if (!mkdtemp(base))
		OVM_FAIL("can't make %s", base);
}

static void remove_base(void)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -rf '%s'", base);
	if (system(command))
		OVM_FAIL("can't remove %s", base);
}

/* ---- images ---------------------------------------------------------------------------------- */

static const char *path_of(const char *set, const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s/%s", base, set, name);
	return path;
}

static size_t put_number(uint8_t *to, uint64_t value)
{
	size_t len = 0;

	for (; value >= 0x80; value >>= 7)
		to[len++] = (uint8_t)(value | 0x80);
	to[len++] = (uint8_t)value;
	return len;
}

/* A record of numbers, as protobuf has them. */
static void put_record(FILE *file, const uint64_t *fields, const uint64_t *values, size_t nr)
{
	uint8_t record[128];
	uint32_t len = 0;

	for (size_t i = 0; i < nr; i++) {
		record[len++] = (uint8_t)(fields[i] << 3);
		len += (uint32_t)put_number(record + len, values[i]);
	}
	fwrite(&len, sizeof(len), 1, file);
	fwrite(record, 1, len, file);
}

static void put_magic(FILE *file, enum ovm_image_type type)
{
	uint32_t magic[2];

	fwrite(magic, sizeof(*magic), ovm_image_magic(type, magic), file);
}

static void write_inventory(const char *set, uint64_t version)
{
	FILE *file = fopen(path_of(set, "inventory.img"), "w");

	put_magic(file, OVM_IMAGE_INVENTORY);
	put_record(file, (const uint64_t[]){1}, &version, 1);
	fclose(file);
}

static void make_set(const char *set)
{
	if (mkdir(path_of(set, ""), 0700))
		OVM_FAIL("can't make %s", path_of(set, ""));
	write_inventory(set, 2);
}

static FILE *begin_pagemap(const char *set, uint64_t pages_id)
{
	FILE *file = fopen(path_of(set, "pagemap-77.img"), "w");

	put_magic(file, OVM_IMAGE_PAGEMAP);
	put_record(file, (const uint64_t[]){1}, &pages_id, 1);
	return file;
}

static void put_entry(FILE *file, uint64_t page, uint64_t nr, uint64_t flags)
{
	put_record(file, (const uint64_t[]){1, 2, 4},
		   (const uint64_t[]){base_va + page * PAGE, nr, flags}, 3);
}

static void fill(uint8_t *page, uint64_t seed)
{
	for (size_t i = 0; i < PAGE / sizeof(seed); i++)
		memcpy(page + i * sizeof(seed), &(uint64_t){seed * 1000003 + i}, sizeof(seed));
}

static void write_pages(const char *set, const uint64_t *seeds, size_t nr)
{
	FILE *file = fopen(path_of(set, "pages-3.img"), "w");
	uint8_t page[PAGE];

	for (size_t i = 0; i < nr; i++) {
		fill(page, seeds[i]);
		fwrite(page, 1, PAGE, file);
	}
	fclose(file);
}

/* "old" has pages 0 to 3 and 8; "new" has 1 of its own, 2 and 8 of old, and 9. */
static void make_two(void)
{
	FILE *file;

	make_set("old");
	write_pages("old", (const uint64_t[]){100, 101, 102, 103, 108}, 5);
	file = begin_pagemap("old", 3);
	put_entry(file, 0, 3, PE_PRESENT | PE_LAZY);
	put_entry(file, 3, 1, PE_PRESENT);
	put_entry(file, 8, 1, PE_PRESENT);
	fclose(file);
	make_set("new");
	if (symlink("../old", path_of("new", "parent")))
		OVM_FAIL("no link");
	write_pages("new", (const uint64_t[]){201, 209}, 2);
	file = begin_pagemap("new", 3);
	put_entry(file, 1, 1, PE_PRESENT | PE_LAZY);
	put_entry(file, 2, 1, PE_PARENT);
	put_entry(file, 8, 1, PE_PARENT);
	put_entry(file, 9, 1, PE_PRESENT);
	fclose(file);
}

static void check_answers(const uint8_t *answer, const char *expected)
{
	for (size_t i = 0; expected[i]; i++)
		if (answer[i] != (expected[i] == '=' ? OVM_SIFTED_PARENT : OVM_SIFTED_RAW))
			OVM_FAIL("page %zu is %d", i, answer[i]);
}

static struct ovm_error *compare_once(const struct ovm_parent_pages *pages, uint64_t va,
				      const uint8_t *content, uint64_t nr, uint8_t *answer)
{
	struct ovm_parent_lookup lookup = {0};
	struct ovm_error *err = ovm_parent_compare(pages, va, content, nr, answer, &lookup);

	ovm_parent_lookup_deinit(&lookup);
	return err;
}

/* The answers for pages whose content is that of the seeds. */
static void compare(const char *set, const uint64_t *seeds, size_t nr, const char *expected)
{
	struct ovm_parent *parent;
	struct ovm_parent_pages *pages;
	uint8_t *content = malloc(nr * PAGE);
	uint8_t answer[NR] = {0};

	for (size_t i = 0; i < nr; i++)
		fill(content + i * PAGE, seeds[i]);
	ASSERT_OK(ovm_parent_open(path_of(set, ""), &parent));
	ASSERT_OK(ovm_parent_pages_open(parent, OVM_IMAGE_PAGEMAP, PID, NULL, NULL, &pages));
	ASSERT_TRUE(pages);
	ASSERT_OK(ovm_parent_pages_begin(pages));
	ASSERT_OK(compare_once(pages, base_va, content, nr, answer));
	check_answers(answer, expected);
	ovm_parent_pages_close(pages);
	ovm_parent_close(parent);
	free(content);
}

OVM_TEST(parent, compares_content_with_all_levels)
{
	make_base();
	make_two();
	compare("old", (const uint64_t[]){100, 101, 102, 103, 104, 0, 0, 0, 108, 109}, 10,
		"====....=.");
	compare("old", (const uint64_t[]){100, 1, 102, 3, 104, 0, 0, 0, 108, 109}, 10,
		"=.=.....=.");
	/* Of old, only what new says that it has of it. */
	compare("new", (const uint64_t[]){100, 201, 102, 103, 104, 0, 0, 0, 108, 209}, 10,
		".==.....==");
	compare("new", (const uint64_t[]){100, 101, 202, 103, 104, 0, 0, 0, 8, 9}, 10,
		"..........");
	remove_base();
}

OVM_TEST(parent, has_nothing_of_others)
{
	struct ovm_parent *parent;
	struct ovm_parent_pages *pages;

	make_base();
	make_two();
	ASSERT_OK(ovm_parent_open(path_of("new", ""), &parent));
	ASSERT_OK(ovm_parent_pages_open(parent, OVM_IMAGE_PAGEMAP, PID + 1, NULL, NULL, &pages));
	ASSERT_TRUE(!pages);
	ASSERT_OK(ovm_parent_pages_open(parent, OVM_IMAGE_PAGEMAP_SHMEM, PID, NULL, NULL, &pages));
	ASSERT_TRUE(!pages);
	ovm_parent_close(parent);
	remove_base();
}

static void refuse(const char *set, const char *why)
{
	struct ovm_parent *parent;

	ASSERT_ERROR(ovm_parent_open(path_of(set, ""), &parent), OVM_ERROR_USAGE, why);
	ASSERT_TRUE(!parent);
}

OVM_TEST(parent, refuses_what_are_no_images)
{
	make_base();
	make_two();
	refuse("nowhere", "No such file");
	write_inventory("old", 4);
	refuse("old", "too new");
	refuse("new", "of one of its own parents");
	write_inventory("old", 2);
	ASSERT_TRUE(!truncate(path_of("old", "inventory.img"), 3));
	refuse("old", "is no image");
	ASSERT_TRUE(!unlink(path_of("old", "inventory.img")));
	refuse("old", "is missing");
	ASSERT_TRUE(!mkfifo(path_of("old", "inventory.img"), 0600));
	refuse("old", "is no file");
	ASSERT_TRUE(!unlink(path_of("old", "inventory.img")));
	ASSERT_TRUE(!symlink("../new/inventory.img", path_of("old", "inventory.img")));
	refuse("old", "symbolic link");
	ASSERT_TRUE(!unlink(path_of("new", "parent")));
	ASSERT_TRUE(!symlink("../gone", path_of("new", "parent")));
	refuse("new", "leads nowhere");
	ASSERT_TRUE(!unlink(path_of("new", "parent")));
	ASSERT_TRUE(!symlink(".", path_of("new", "parent")));
	refuse("new", "too many parents");
	remove_base();
}

static void refuse_pages(const char *set, const char *why)
{
	struct ovm_parent *parent;
	struct ovm_parent_pages *pages;

	ASSERT_OK(ovm_parent_open(path_of(set, ""), &parent));
	ASSERT_ERROR(ovm_parent_pages_open(parent, OVM_IMAGE_PAGEMAP, PID, NULL, NULL, &pages),
		     OVM_ERROR_USAGE, why);
	ASSERT_TRUE(!pages);
	ovm_parent_close(parent);
}

struct entry {
	uint64_t page, nr, flags;
};

static void write_entries(const char *set, const struct entry *entries, size_t nr)
{
	FILE *file = begin_pagemap(set, 3);

	for (size_t i = 0; i < nr; i++)
		put_entry(file, entries[i].page, entries[i].nr, entries[i].flags);
	fclose(file);
}

OVM_TEST(parent, refuses_damaged_pagemaps)
{
	static const struct entry backwards[] = {{4, 1, PE_PRESENT}, {3, 1, PE_PRESENT}};
	static const struct entry overlapping[] = {{3, 2, PE_PRESENT}, {4, 1, PE_PRESENT}};
	static const struct entry huge[] = {{0, UINT32_MAX, PE_PRESENT}};
	static const struct entry high[] = {{UINT64_MAX / PAGE - base_va / PAGE, 3, PE_PRESENT}};
	static const struct entry strange[] = {{0, 1, PE_PRESENT | 16}};
	static const struct entry padded[] = {{0, 1, PE_PARENT | 8}};
	static const struct entry orphan[] = {{0, 1, PE_PARENT}};
	static const struct entry lost[] = {{7, 2, PE_PARENT}};
	FILE *file;

	make_base();
	make_two();
	write_entries("old", backwards, 2);
	refuse_pages("old", "out of order");
	write_entries("old", overlapping, 2);
	refuse_pages("old", "out of order");
	write_entries("old", huge, 1);
	refuse_pages("old", "shorter than its pagemap says");
	write_entries("old", high, 1);
	refuse_pages("old", "out of order");
	write_entries("old", strange, 1);
	refuse_pages("old", "isn't known");
	write_entries("old", padded, 1);
	refuse_pages("old", "isn't known");
	write_entries("old", orphan, 1);
	refuse_pages("old", "that are not there");
	write_entries("new", lost, 1);
	write_entries("old", huge, 0);
	refuse_pages("new", "that are not there");
	/* A field that is not known. */
	file = begin_pagemap("old", 3);
	put_record(file, (const uint64_t[]){1, 2, 4, 9},
		   (const uint64_t[]){base_va, 1, PE_PRESENT, 1}, 4);
	fclose(file);
	refuse_pages("old", "isn't known");
	/* Those of other versions of CRIU. */
	for (uint64_t field = 3; field <= 5; field += 2) {
		file = begin_pagemap("old", 3);
		put_record(file, (const uint64_t[]){1, 2, field},
			   (const uint64_t[]){base_va, field == 3, 1}, 3);
		fclose(file);
		refuse_pages("old", "by a version of CRIU");
	}
	ASSERT_TRUE(!truncate(path_of("old", "pagemap-77.img"), 17));
	refuse_pages("old", "damaged");
	ASSERT_TRUE(!truncate(path_of("old", "pagemap-77.img"), 7));
	refuse_pages("old", "is no image");
	remove_base();
}

/* Of 60 pieces in "old", and 60 of which "new" has one half itself. */
static void make_pieces(void)
{
	struct entry entries[60];

	make_two();
	write_pages("old", (const uint64_t[NR]){0}, 60);
	write_pages("new", (const uint64_t[NR]){0}, 30);
	for (unsigned int i = 0; i < 60; i++)
		entries[i] = (struct entry){2 * i, 1, PE_PRESENT};
	write_entries("old", entries, 60);
	for (unsigned int i = 0; i < 60; i += 2)
		entries[i].flags = PE_PARENT;
	write_entries("new", entries, 60);
}

OVM_TEST(parent, has_one_budget_for_all_pagemaps)
{
	struct ovm_parent *parent;
	struct ovm_parent_pages *pages, *others[3];

	make_base();
	make_pieces();
	ASSERT_OK(ovm_parent_open(path_of("new", ""), &parent));
	/* Those of a level and those of the one below it are needed at once. */
	ovm_parent_set_budget(parent, 119);
	ASSERT_ERROR(ovm_parent_pages_open(parent, OVM_IMAGE_PAGEMAP, PID, NULL, NULL, &pages),
		     OVM_ERROR_USAGE, "too many pieces");
	/* All of it is back, whether that succeeds or not. */
	ovm_parent_set_budget(parent, 120);
	for (int i = 0; i < 5; i++) {
		ASSERT_OK(
			ovm_parent_pages_open(parent, OVM_IMAGE_PAGEMAP, PID, NULL, NULL, &pages));
		ovm_parent_pages_close(pages);
	}
	ovm_parent_set_budget(parent, 60 * 3 + 119);
	for (int i = 0; i < 3; i++)
		ASSERT_OK(ovm_parent_pages_open(parent, OVM_IMAGE_PAGEMAP, PID, NULL, NULL,
						&others[i]));
	for (int i = 0; i < 2; i++)
		ASSERT_ERROR(
			ovm_parent_pages_open(parent, OVM_IMAGE_PAGEMAP, PID, NULL, NULL, &pages),
			OVM_ERROR_USAGE, "too many pieces");
	ovm_parent_pages_close(others[1]);
	ASSERT_OK(ovm_parent_pages_open(parent, OVM_IMAGE_PAGEMAP, PID, NULL, NULL, &others[1]));
	for (int i = 0; i < 3; i++)
		ovm_parent_pages_close(others[i]);
	ovm_parent_close(parent);
	remove_base();
}

/* At the time that the number says. */
static bool cancel(void *arg)
{
	int *left = arg;

	return --*left < 0;
}

OVM_TEST(parent, stops_when_it_is_cancelled)
{
	struct ovm_parent *parent;
	struct ovm_parent_pages *pages;
	int left = 1;
	FILE *file;

	make_base();
	make_two();
	ASSERT_OK(ovm_parent_open(path_of("new", ""), &parent));
	ASSERT_ERROR(ovm_parent_pages_open(parent, OVM_IMAGE_PAGEMAP, PID, cancel, &left, &pages),
		     OVM_ERROR_CANCELLED, NULL);
	ASSERT_TRUE(!pages);
	left = 2;
	ASSERT_OK(ovm_parent_pages_open(parent, OVM_IMAGE_PAGEMAP, PID, cancel, &left, &pages));
	ovm_parent_pages_close(pages);
	/* Within a long pagemap, too. */
	file = begin_pagemap("old", 3);
	for (unsigned int i = 0; i < 10000; i++)
		put_entry(file, i, 1, 0);
	fclose(file);
	left = 2;
	ASSERT_ERROR(ovm_parent_pages_open(parent, OVM_IMAGE_PAGEMAP, PID, cancel, &left, &pages),
		     OVM_ERROR_CANCELLED, NULL);
	ovm_parent_close(parent);
	remove_base();
}

OVM_TEST(parent, tells_pages_that_went_away)
{
	struct ovm_parent *parent;
	struct ovm_parent_pages *pages;
	uint8_t *content = calloc(NR, PAGE), answer[NR] = {0};

	make_base();
	make_two();
	ASSERT_OK(ovm_parent_open(path_of("old", ""), &parent));
	ASSERT_OK(ovm_parent_pages_open(parent, OVM_IMAGE_PAGEMAP, PID, NULL, NULL, &pages));
	ASSERT_OK(ovm_parent_pages_begin(pages));
	ASSERT_TRUE(!truncate(path_of("old", "pages-3.img"), PAGE));
	ASSERT_ERROR(compare_once(pages, base_va, content, NR, answer), OVM_ERROR_USAGE, "fewer");
	ovm_parent_pages_close(pages);
	ovm_parent_close(parent);
	free(content);
	remove_base();
}

static unsigned int count_fds(void)
{
	unsigned int nr = 0;

	for (int fd = 0; fd < 256; fd++)
		nr += fcntl(fd, F_GETFD) >= 0;
	return nr;
}

OVM_TEST(parent, has_files_open_while_it_compares_only)
{
	struct ovm_parent *parent;
	struct ovm_parent_pages *pages;
	uint8_t *content = calloc(NR, PAGE), answer[NR] = {0};

	make_base();
	make_two();
	fill(content + 2 * PAGE, 102);
	ASSERT_OK(ovm_parent_open(path_of("new", ""), &parent));
	const unsigned int before = count_fds();

	ASSERT_OK(ovm_parent_pages_open(parent, OVM_IMAGE_PAGEMAP, PID, NULL, NULL, &pages));
	ASSERT_EQ_U64(count_fds(), before);
	for (int i = 0; i < 2; i++) {
		memset(answer, 0, sizeof(answer));
		ASSERT_OK(ovm_parent_pages_begin(pages));
		ASSERT_EQ_U64(count_fds(), before + 2);
		ASSERT_OK(compare_once(pages, base_va, content, NR, answer));
		check_answers(answer, "..=.......");
		ovm_parent_pages_end(pages);
		ASSERT_EQ_U64(count_fds(), before);
	}
	/* They are looked at again whenever they are opened. */
	ASSERT_TRUE(!truncate(path_of("old", "pages-3.img"), PAGE));
	ASSERT_ERROR(ovm_parent_pages_begin(pages), OVM_ERROR_USAGE, "shorter");
	ASSERT_TRUE(!unlink(path_of("old", "pages-3.img")));
	ASSERT_ERROR(ovm_parent_pages_begin(pages), OVM_ERROR_USAGE, "is missing");
	ASSERT_EQ_U64(count_fds(), before);
	ovm_parent_pages_close(pages);
	/* Of a set that nothing is left to, no file is open. */
	write_entries("new", (const struct entry[]){{1, 1, PE_PRESENT}}, 1);
	write_pages("old", (const uint64_t[]){100, 101, 102, 103, 108}, 5);
	ASSERT_OK(ovm_parent_pages_open(parent, OVM_IMAGE_PAGEMAP, PID, NULL, NULL, &pages));
	ASSERT_OK(ovm_parent_pages_begin(pages));
	ASSERT_EQ_U64(count_fds(), before + 1);
	ovm_parent_pages_close(pages);
	ASSERT_EQ_U64(count_fds(), before);
	ovm_parent_close(parent);
	free(content);
	remove_base();
}

/* Whatever bytes are changed, nothing but an error comes of it. */
OVM_TEST(parent, stands_any_damage)
{
	make_base();
	make_two();
	for (unsigned int seed = 1; seed < 2000; seed++) {
		struct ovm_parent *parent = NULL;
		struct ovm_parent_pages *pages = NULL;
		FILE *file = fopen(path_of("new", "pagemap-77.img"), "r+");
		long at = (long)(8 + seed % 60);
		int before;
		uint8_t *content = calloc(12, PAGE), answer[12] = {0};

		fseek(file, at, SEEK_SET);
		before = fgetc(file);
		fseek(file, at, SEEK_SET);
		fputc((int)(seed * 2654435761u >> 24), file);
		fflush(file);
		struct ovm_error *err = ovm_parent_open(path_of("new", ""), &parent);

		if (!err)
			err = ovm_parent_pages_open(parent, OVM_IMAGE_PAGEMAP, PID, NULL, NULL,
						    &pages);
		if (!err && pages)
			err = ovm_parent_pages_begin(pages);
		if (!err && pages)
			err = compare_once(pages, base_va, content, 12, answer);
		ovm_error_free(err);
		ovm_parent_pages_close(pages);
		ovm_parent_close(parent);
		free(content);
		if (before != EOF) {
			fseek(file, at, SEEK_SET);
			fputc(before, file);
		}
		fclose(file);
	}
	remove_base();
}

/* ---- compressed ------------------------------------------------------------------------------ */

/* An entry with blocks; sizes below 128. */
static void put_blocks(FILE *file, uint64_t page, uint8_t nr, uint64_t flags, const uint8_t *sizes,
		       uint8_t nr_sizes, uint8_t each)
{
	uint8_t record[128] = {1 << 3};
	uint32_t len = 1;

	len += (uint32_t)put_number(record + len, base_va + page * PAGE);
	record[len++] = 2 << 3;
	record[len++] = nr;
	record[len++] = 4 << 3;
	record[len++] = (uint8_t)flags;
	record[len++] = 6 << 3 | 2;
	record[len++] = (uint8_t)(nr_sizes + 4);
	record[len++] = 1 << 3 | 2;
	record[len++] = nr_sizes;
	memcpy(record + len, sizes, nr_sizes);
	len += nr_sizes;
	record[len++] = 3 << 3;
	record[len++] = each;
	fwrite(&len, sizeof(len), 1, file);
	fwrite(record, 1, len, file);
}

/* Two pages of 'a', and what else is needed so that they fill their block. */
static const uint8_t two_pages[] = {
	/* One literal, and a match of 4 + 15 + 31 * 255 + 237 = 8161 bytes. */
	0x1f, 'a', 1, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
	255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 237,
	/* 30 literals. */
	0xf0, 15, 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a',
	'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a'};

static void check_decoded(const uint8_t *in, size_t len, size_t size, const char *expected)
{
	uint8_t *out = malloc(size + 1), *copy = malloc(len + 1);

	/* Of its own size, so that sanitizers see what is read behind it. */
	memcpy(copy, in, len);
	ASSERT_EQ_U64(ovm_lz4_decode(copy, len, out, size), expected != NULL);
	if (expected)
		ASSERT_TRUE(!memcmp(out, expected, size));
	free(copy);
	free(out);
}

OVM_TEST(lz4, decodes_what_is_whole)
{
	static const uint8_t repeated[] = {0x22, 'a', 'b', 2, 0, 0x10, 'c'};
	uint8_t out[2 * PAGE];

	check_decoded((const uint8_t *)"\x30xyz", 4, 3, "xyz");
	check_decoded((const uint8_t *)"\x30xyz", 4, 2, NULL);
	check_decoded((const uint8_t *)"\x30xyz", 4, 4, NULL);
	check_decoded((const uint8_t *)"\x40xyz", 4, 4, NULL);
	check_decoded(repeated, 7, 9, "ababababc");
	check_decoded(repeated, 7, 8, NULL);
	for (size_t len = 0; len < 7; len++)
		check_decoded(repeated, len, 9, NULL);
	check_decoded((const uint8_t *)"\x20"
				       "ab\x00\x00\x10"
				       "c",
		      7, 7, NULL);
	check_decoded((const uint8_t *)"\x20"
				       "ab\x03\x00\x10"
				       "c",
		      7, 7, NULL);
	ASSERT_TRUE(ovm_lz4_decode(two_pages, sizeof(two_pages), out, sizeof(out)));
	for (size_t i = 0; i < sizeof(out); i++)
		ASSERT_EQ_U64(out[i], 'a');
}

OVM_TEST(lz4, stands_any_bytes)
{
	uint8_t in[64], out[256];

	srandom(1);
	for (int i = 0; i < 100000; i++) {
		size_t len = (size_t)random() % sizeof(in), size = (size_t)random() % sizeof(out);

		for (size_t j = 0; j < len; j++)
			in[j] = (uint8_t)(random() >> (random() % 8));
		ovm_lz4_decode(in, len, out, size);
	}
}

/* Pages 0 to 1 are zero, 2 to 3 'a', 4 is stored as it is, and 6 isn't compressed. */
static void make_compressed(void)
{
	uint8_t *page = malloc(PAGE);
	FILE *file;

	make_set("old");
	write_inventory("old", 3);
	file = fopen(path_of("old", "pages-3.img"), "w");
	fwrite(two_pages, 1, sizeof(two_pages), file);
	fseek(file, PAGE, SEEK_SET);
	fill(page, 106);
	fwrite(page, 1, PAGE, file);
	fclose(file);
	file = begin_pagemap("old", 3);
	put_blocks(file, 0, 4, PE_PRESENT | PE_LAZY, (const uint8_t[]){0, sizeof(two_pages)}, 2, 2);
	put_entry(file, 6, 1, PE_PRESENT | 8);
	fclose(file);
	free(page);
}

OVM_TEST(parent, decodes_compressed_pages)
{
	struct ovm_parent *parent;
	struct ovm_parent_pages *pages;
	uint8_t *content = calloc(8, PAGE), answer[8] = {0};

	make_base();
	make_compressed();
	memset(content + 2 * PAGE, 'a', 2 * PAGE);
	fill(content + 6 * PAGE, 106);
	ASSERT_OK(ovm_parent_open(path_of("old", ""), &parent));
	ASSERT_TRUE(ovm_parent_is_compressed(parent));
	ASSERT_OK(ovm_parent_pages_open(parent, OVM_IMAGE_PAGEMAP, PID, NULL, NULL, &pages));
	ASSERT_OK(ovm_parent_pages_begin(pages));
	ASSERT_OK(compare_once(pages, base_va, content, 8, answer));
	check_answers(answer, "====..=.");
	memset(answer, 0, sizeof(answer));
	content[PAGE] = content[3 * PAGE] = 1;
	ASSERT_OK(compare_once(pages, base_va + PAGE, content + PAGE, 3, answer));
	check_answers(answer, ".=.");
	ovm_parent_pages_close(pages);
	ovm_parent_close(parent);
	/* As the parent of another one, which has a part of a block. */
	make_set("new");
	write_inventory("new", 3);
	ASSERT_TRUE(!symlink("../old", path_of("new", "parent")));
	write_entries("new", (const struct entry[]){{1, 1, PE_PARENT}, {3, 1, PE_PARENT}}, 2);
	memset(answer, 0, sizeof(answer));
	memset(content, 0, PAGE * 2);
	memset(content + 2 * PAGE, 'a', 2 * PAGE);
	ASSERT_OK(ovm_parent_open(path_of("new", ""), &parent));
	ASSERT_OK(ovm_parent_pages_open(parent, OVM_IMAGE_PAGEMAP, PID, NULL, NULL, &pages));
	ASSERT_OK(ovm_parent_pages_begin(pages));
	ASSERT_OK(compare_once(pages, base_va, content, 8, answer));
	check_answers(answer, ".=.=....");
	ovm_parent_pages_close(pages);
	ovm_parent_close(parent);
	free(content);
	remove_base();
}

OVM_TEST(parent, reads_a_block_once_for_pages_in_a_row)
{
	struct ovm_parent *parent;
	struct ovm_parent_pages *pages;
	struct ovm_parent_lookup lookup = {0};
	uint8_t *content = calloc(8, PAGE), answer[8] = {0};

	make_base();
	make_compressed();
	memset(content + 2 * PAGE, 'a', 2 * PAGE);
	fill(content + 6 * PAGE, 106);
	ASSERT_OK(ovm_parent_open(path_of("old", ""), &parent));
	ASSERT_OK(ovm_parent_pages_open(parent, OVM_IMAGE_PAGEMAP, PID, NULL, NULL, &pages));
	ASSERT_OK(ovm_parent_pages_begin(pages));
	for (unsigned int i = 0; i < 8; i++)
		ASSERT_OK(ovm_parent_compare(pages, base_va + i * PAGE, content + i * PAGE, 1,
					     answer + i, &lookup));
	check_answers(answer, "====..=.");
	/* In any order. */
	memset(answer, 0, sizeof(answer));
	content[3 * PAGE + 7] = 'b';
	for (unsigned int i = 8; i--;)
		ASSERT_OK(ovm_parent_compare(pages, base_va + i * PAGE, content + i * PAGE, 1,
					     answer + i, &lookup));
	check_answers(answer, "===...=.");
	ASSERT_OK(ovm_parent_compare(pages, base_va + 2 * PAGE, content, 1, answer, &lookup));
	ASSERT_TRUE(!truncate(path_of("old", "pages-3.img"), 0));
	ASSERT_OK(ovm_parent_compare(pages, base_va + 3 * PAGE, content, 1, answer, &lookup));
	/* Another one is read. */
	ASSERT_OK(ovm_parent_compare(pages, base_va, content, 1, answer, &lookup));
	ASSERT_ERROR(ovm_parent_compare(pages, base_va + 2 * PAGE, content, 2, answer + 2, &lookup),
		     OVM_ERROR_USAGE, "fewer");
	ovm_parent_lookup_deinit(&lookup);
	ovm_parent_pages_close(pages);
	ovm_parent_close(parent);
	free(content);
	remove_base();
}

static void refuse_blocks(uint8_t nr, uint64_t flags, const uint8_t *sizes, uint8_t nr_sizes,
			  uint8_t each, const char *why)
{
	FILE *file = begin_pagemap("old", 3);

	put_blocks(file, 0, nr, flags, sizes, nr_sizes, each);
	fclose(file);
	refuse_pages("old", why);
}

OVM_TEST(parent, refuses_damaged_blocks)
{
	static const uint8_t sizes[] = {100, 100, 100, 100};
	struct ovm_parent *parent;
	struct ovm_parent_pages *pages;
	uint8_t *content = calloc(4, PAGE), answer[4] = {0};
	FILE *file;

	make_base();
	make_compressed();
	refuse_blocks(4, PE_PRESENT, sizes, 2, 1, "number of blocks");
	refuse_blocks(4, PE_PRESENT, sizes, 3, 2, "number of blocks");
	refuse_blocks(4, PE_PRESENT, sizes, 1, 0, "number of blocks");
	refuse_blocks(4, PE_PARENT, sizes, 4, 1, "isn't known");
	file = begin_pagemap("old", 3);
	put_blocks(file, 0, 1, PE_PRESENT, sizes, 1, 1);
	fclose(file);
	ASSERT_OK(ovm_parent_open(path_of("old", ""), &parent));
	ASSERT_OK(ovm_parent_pages_open(parent, OVM_IMAGE_PAGEMAP, PID, NULL, NULL, &pages));
	ASSERT_OK(ovm_parent_pages_begin(pages));
	ASSERT_ERROR(compare_once(pages, base_va, content, 4, answer), OVM_ERROR_USAGE,
		     "can't be decoded");
	ovm_parent_pages_close(pages);
	ovm_parent_close(parent);
	free(content);
	remove_base();
}

/* ---- marks ----------------------------------------------------------------------------------- */

static void check_run(const struct ovm_run *run, uint64_t va, uint64_t nr, uint64_t gpa,
		      unsigned int flags)
{
	ASSERT_EQ_U64(run->va, va);
	ASSERT_EQ_U64(run->nr_pages, nr);
	ASSERT_EQ_U64(run->gpa, gpa);
	ASSERT_EQ_U64(run->flags, flags);
}

OVM_TEST(mark, tells_what_is_zero_where_nothing_is)
{
	const unsigned int anonymous =
		OVM_PAGES_ZERO_BACKED | OVM_PAGES_LAZY | OVM_PAGES_COMPRESSIBLE;
	struct ovm_rec_file file = {.kind = OVM_REC_FILE_REGULAR};
	struct ovm_rec_aio_ring ring = {0};
	struct ovm_rec_vma ring_vma = {.start = 0x30000, .end = 0x34000, .aio_ring = &ring};
	struct ovm_rec_vma file_vma = {
		.next = &ring_vma, .start = 0x20000, .end = 0x30000, .file = &file};
	struct ovm_rec_vma anon = {.next = &file_vma, .start = 0x10000, .end = 0x20000};
	struct ovm_rec_process process = {.index = 4, .mm = {.vmas = &anon}};
	struct ovm_rec_tree tree = {.processes = &process};
	struct ovm_run *runs = calloc(4, sizeof(*runs));
	struct ovm_pages_file pages_file = {.runs = runs, .nr_runs = 4, .process = &process};
	struct ovm_pages pages = {.files = &pages_file, .nr_files = 1, .nr_private = 1};
	struct ovm_pages_spot spots[] = {
		{4, 0x12000}, {3, 0x11000}, {4, 0x12000}, {4, 0x1f000}, {5, 0x13000}};

	runs[0] = (struct ovm_run){
		.va = 0x10000, .gpa = 0x100000, .nr_pages = 8, .flags = OVM_RUN_PROT_NONE};
	runs[1] = (struct ovm_run){.va = 0x1e000, .nr_pages = 2, .kind = OVM_PAGE_SWAP, .gpa = 9};
	runs[2] = (struct ovm_run){.va = 0x20000, .gpa = 0x200000, .nr_pages = 8};
	runs[3] = (struct ovm_run){.va = 0x30000, .gpa = 0x300000, .nr_pages = 4};
	ASSERT_OK(ovm_pages_mark(&pages, &tree, spots, 5));
	ASSERT_EQ_U64(pages_file.nr_runs, 6);
	runs = pages_file.runs;
	check_run(&runs[0], 0x10000, 2, 0x100000, OVM_RUN_PROT_NONE | anonymous);
	check_run(&runs[1], 0x12000, 1, 0x102000, OVM_RUN_PROT_NONE | anonymous | OVM_PAGES_WHOLE);
	check_run(&runs[2], 0x13000, 5, 0x103000, OVM_RUN_PROT_NONE | anonymous);
	check_run(&runs[3], 0x1e000, 2, 9, anonymous);
	check_run(&runs[4], 0x20000, 8, 0x200000, OVM_PAGES_COMPRESSIBLE);
	check_run(&runs[5], 0x30000, 4, 0x300000, OVM_PAGES_WHOLE);
	free(runs);
}

OVM_TEST(mark, keeps_the_first_page_of_huge_ones)
{
	struct ovm_rec_file file = {
		.kind = OVM_REC_FILE_MEMFD_HUGETLB, .inode = 0xffff888000001000, .huge_shift = 21};
	struct ovm_rec_shmem shmem = {.inode = 0xffff888000001000};
	struct ovm_rec_tree tree = {.files = &file, .shmem = &shmem};
	struct ovm_run *runs = calloc(1, sizeof(*runs));
	struct ovm_pages_file pages_file = {.runs = runs, .nr_runs = 1, .shmem = &shmem};
	struct ovm_pages pages = {.files = &pages_file, .nr_files = 1};

	runs[0] = (struct ovm_run){
		.va = 0, .gpa = 0x40000000, .nr_pages = 1024, .kind = OVM_PAGE_FILE};
	ASSERT_OK(ovm_pages_mark(&pages, &tree, NULL, 0));
	ASSERT_EQ_U64(pages_file.nr_runs, 4);
	runs = pages_file.runs;
	check_run(&runs[0], 0, 1, 0x40000000, OVM_PAGES_ZERO_BACKED | OVM_PAGES_WHOLE);
	check_run(&runs[1], 0x1000, 511, 0x40001000, OVM_PAGES_ZERO_BACKED);
	check_run(&runs[2], 0x200000, 1, 0x40200000, OVM_PAGES_ZERO_BACKED | OVM_PAGES_WHOLE);
	check_run(&runs[3], 0x201000, 511, 0x40201000, OVM_PAGES_ZERO_BACKED);
	free(runs);
}

/* ---- stores ---------------------------------------------------------------------------------- */

static void update(struct ovm_page_store *store, const struct ovm_run *runs, size_t nr)
{
	struct ovm_page_changes changes;

	ASSERT_OK(ovm_page_store_update(store, runs, nr, &changes));
}

static void sift(struct ovm_page_store *store, const char *answers)
{
	struct ovm_sift_piece *pieces;
	uint8_t answer[NR];
	uint64_t nr_pages;
	size_t nr;

	ASSERT_OK(ovm_page_store_unsifted(store, &pieces, &nr, &nr_pages));
	ASSERT_EQ_U64(nr_pages, strlen(answers));
	for (size_t i = 0; i < nr_pages; i++)
		answer[i] = answers[i] == '0'	? OVM_SIFTED_ZERO
			    : answers[i] == '=' ? OVM_SIFTED_PARENT
						: OVM_SIFTED_RAW;
	ASSERT_OK(ovm_page_store_sift(store, answer));
	free(pieces);
}

/* The pagemap, and whether the file has its pages by address without gaps. */
static void check_store(const struct ovm_page_store *store, const struct entry *expected, size_t nr,
			bool arranged)
{
	struct ovm_page_store_map map;

	ASSERT_OK(ovm_page_store_pagemap(store, &map));
	ASSERT_EQ_U64(map.nr, nr);
	for (size_t i = 0; i < nr; i++) {
		ASSERT_EQ_U64(map.entries[i].address, base_va + expected[i].page * PAGE);
		ASSERT_EQ_U64(map.entries[i].nr_pages, expected[i].nr);
		ASSERT_EQ_U64(map.entries[i].in_parent, expected[i].flags == PE_PARENT);
	}
	ASSERT_EQ_U64(ovm_page_store_arranged(store), arranged);
	free(map.entries);
	free(map.block_sizes);
}

OVM_TEST(store, gives_places_to_what_is_written_only)
{
	struct ovm_page_store store = {.sifted = true};
	const struct ovm_run run = {
		.va = base_va, .gpa = 0x10000, .nr_pages = 10, .flags = OVM_PAGES_ZERO_BACKED};
	static const struct entry expected[] = {
		{0, 2, PE_PRESENT}, {4, 2, PE_PARENT}, {6, 1, PE_PRESENT}, {8, 2, PE_PRESENT}};
	struct ovm_page_counts counts;
	struct ovm_copy_run *copies;
	size_t nr;

	update(&store, &run, 1);
	sift(&store, "..00==.0..");
	ASSERT_OK(ovm_page_store_todo(&store, &copies, &nr));
	ASSERT_EQ_U64(nr, 3);
	ASSERT_EQ_U64(copies[1].gpa, 0x16000);
	ASSERT_EQ_U64(copies[1].offset, 2 * PAGE);
	ASSERT_EQ_U64(copies[2].offset, 3 * PAGE);
	free(copies);
	ovm_page_store_copied(&store, false);
	update(&store, &run, 1);
	check_store(&store, expected, 4, true);
	counts = ovm_page_store_count(&store);
	ASSERT_EQ_U64(counts.written, 5);
	ASSERT_EQ_U64(counts.zero, 3);
	ASSERT_EQ_U64(counts.parent, 2);
	/* All is right, nothing is to be looked at again. */
	sift(&store, "");
	ovm_page_store_deinit(&store);
}

OVM_TEST(store, looks_again_at_what_moved)
{
	struct ovm_page_store store = {.sifted = true};
	struct ovm_run run = {
		.va = base_va, .gpa = 0x10000, .nr_pages = 6, .flags = OVM_PAGES_ZERO_BACKED};
	static const struct entry expected[] = {{0, 4, PE_PRESENT}};
	struct ovm_copy_run *copies;
	size_t nr;

	update(&store, &run, 1);
	sift(&store, "..00..");
	ovm_page_store_copied(&store, false);
	run.gpa = 0x90000;
	update(&store, &run, 1);
	/* What has a place keeps it; what has become zero gives it up. */
	sift(&store, "....00");
	ASSERT_OK(ovm_page_store_todo(&store, &copies, &nr));
	ASSERT_EQ_U64(nr, 2);
	ASSERT_EQ_U64(copies[0].offset, 0);
	ASSERT_EQ_U64(copies[1].gpa, 0x92000);
	ASSERT_EQ_U64(copies[1].offset, 4 * PAGE);
	free(copies);
	ovm_page_store_copied(&store, true);
	update(&store, &run, 1);
	check_store(&store, expected, 1, false);
	ovm_page_store_deinit(&store);
}

OVM_TEST(store, writes_what_was_left_out_when_it_has_to_be_there)
{
	struct ovm_page_store store = {.sifted = true};
	struct ovm_run runs[] = {
		{.va = base_va, .gpa = 0x10000, .nr_pages = 2, .flags = OVM_PAGES_ZERO_BACKED},
		{.va = base_va + 2 * PAGE, .gpa = 0x12000, .nr_pages = 2},
	};
	static const struct entry before[] = {{1, 2, PE_PARENT}, {3, 1, PE_PRESENT}};
	static const struct entry after[] = {
		{0, 2, PE_PRESENT}, {2, 1, PE_PARENT}, {3, 1, PE_PRESENT}};

	update(&store, runs, 2);
	sift(&store, "0==.");
	ovm_page_store_copied(&store, true);
	check_store(&store, before, 2, true);
	runs[0].flags |= OVM_PAGES_WHOLE;
	update(&store, runs, 2);
	sift(&store, "..");
	ovm_page_store_copied(&store, true);
	check_store(&store, after, 3, false);
	ovm_page_store_deinit(&store);
}
