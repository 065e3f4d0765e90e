// SPDX-License-Identifier: GPL-2.0-only
#include "parent.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "host/lz4.h"
#include "host/pages.h"
#include "host/sift.h"
#include "kernels-cuda/pack.h"
#include "proto/inventory.pb-c.h"
#include "proto/pagemap.pb-c.h"
#include "vmi/cleanup.h"

enum {
	/* Of one record: more than any of them needs. */
	MAX_RECORD = 1 << 20,
	MAX_IMAGE_VERSION = 3,
	/* From which on pages may be compressed. */
	COMPRESSED_IMAGE_VERSION = 3,
	/* Of a pagemap. */
	MAX_BYTES = 256 << 20,
	/* Pieces of all pagemaps together: 1 GiB of memory. */
	MAX_HELD = 1 << 25,
	MIN_HELD = 64,
	/* Records, from one time that it is asked whether to go on to the next one. */
	ASK_RECORDS = 4096,
	/* What is read at once to be compared. */
	CHUNK_PAGES = 64,
	/* Flags of an entry. */
	PE_PARENT = 1,
	PE_LAZY = 2,
	PE_PRESENT = 4,
	PE_ALIGNED = 8,
	/* Fields of an entry that other versions of CRIU have: old ones, and those from 4.2 on. */
	FIELD_IN_PARENT = 3,
	FIELD_NR_PAGES_64 = 5,
};

struct ovm_parent {
	char *directory;
	/* The set itself first. */
	int fds[OVM_PARENT_MAX];
	unsigned int nr;
	bool compressed;
	/* Pieces that there may be memory for yet, whatever number of pagemaps are open. */
	size_t budget;
};

/* Pages at consecutive addresses, and where they are. There may be one for each page. */
struct held {
	uint64_t va;
	/* In the pages image of that level. */
	uint64_t offset;
	uint32_t nr_pages;
	/* Of the block that they are in: bytes that it takes. */
	uint32_t size;
	/* Its pages, 0: they are not compressed; and those before them. */
	uint16_t block_pages, skip;
	uint8_t level;
};

_Static_assert(sizeof(struct held) == 32, "there may be many of them");
_Static_assert(OVM_PACK_MAX_BLOCK_PAGES <= UINT16_MAX && OVM_PARENT_MAX <= UINT8_MAX,
	       "members of struct held");

struct held_list {
	/* Whose budget it takes. */
	struct ovm_parent *parent;
	struct held *held;
	size_t nr, allocated;
};

/* A pages image. */
struct pages_image {
	/* Bytes that it has to hold. */
	uint64_t size;
	uint32_t id;
	/* Whether pieces are in it. */
	bool used;
	/* Or -1. */
	int fd;
};

struct ovm_parent_pages {
	struct ovm_parent *parent;
	/* While pagemaps are read; may be NULL. */
	bool (*cancelled)(void *arg);
	void *arg;
	struct held_list list;
	struct pages_image images[OVM_PARENT_MAX];
};

/* ---- files ----------------------------------------------------------------------------------- */

static struct ovm_error *damaged(const struct ovm_parent *parent, unsigned int level,
				 const char *name, const char *problem)
{
	struct ovm_error *err = ovm_error_format(
		OVM_ERROR_USAGE, "%s can't be the parent of a dump: %s%s %s", parent->directory,
		name, level ? " of one of its own parents" : "", problem);

	err->path = err->path ? err->path : strdup(parent->directory);
	return err;
}

/* *@ret is -1 if there is no such file. */
static struct ovm_error *open_image(const struct ovm_parent *parent, unsigned int level,
				    const char *name, struct stat *st, int *ret)
{
	/* What hangs when it is opened is no image. */
	*ret = openat(parent->fds[level], name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (*ret < 0 && errno == ENOENT)
		return NULL;
	if (*ret < 0)
		return damaged(parent, level, name, strerror(errno));
	if (!fstat(*ret, st) && S_ISREG(st->st_mode))
		return NULL;
	close(*ret);
	*ret = -1;
	return damaged(parent, level, name, "is no file");
}

/* An image that is being read. */
struct reader {
	FILE *file;
	/* Bytes of records that may come yet: a file may grow while it is read. */
	uint64_t left;
	uint8_t record[MAX_RECORD];
};

static bool read_magic(struct reader *reader, enum ovm_image_type type)
{
	uint32_t expected[2], found[2];
	size_t nr = ovm_image_magic(type, expected);

	return fread(found, sizeof(*found), nr, reader->file) == nr &&
	       !memcmp(found, expected, nr * sizeof(*found));
}

/* The length of the next record, which is in the buffer then; -1 at the end; -2: damaged. */
static int read_record(struct reader *reader)
{
	uint32_t len;
	size_t nr = fread(&len, 1, sizeof(len), reader->file);

	if (!nr)
		return ferror(reader->file) ? -2 : -1;
	if (nr != sizeof(len) || len > MAX_RECORD || sizeof(len) + len > reader->left ||
	    fread(reader->record, 1, len, reader->file) != len)
		return -2;
	reader->left -= sizeof(len) + len;
	return (int)len;
}

/* Open an image and read its magic; *@ret is NULL if there is none. */
static struct ovm_error *open_reader(const struct ovm_parent *parent, unsigned int level,
				     const char *name, enum ovm_image_type type,
				     struct reader **ret)
{
	struct stat st;
	int fd;
	struct ovm_error *err = open_image(parent, level, name, &st, &fd);

	*ret = NULL;
	if (err || fd < 0)
		return err;
	if (st.st_size > MAX_BYTES) {
		close(fd);
		return damaged(parent, level, name, "is too long");
	}
	struct reader *reader = malloc(sizeof(*reader));

	if (reader)
		reader->file = fdopen(fd, "re");
	if (!reader || !reader->file) {
		free(reader);
		close(fd);
		return ovm_error_no_memory();
	}
	reader->left = MAX_BYTES;
	*ret = reader;
	return read_magic(reader, type) ? NULL : damaged(parent, level, name, "is no image");
}

static void close_reader(struct reader **reader)
{
	if (*reader)
		fclose((*reader)->file);
	free(*reader);
}

#define _cleanup_reader_ _cleanup_(close_reader)

/* ---- sets of images -------------------------------------------------------------------------- */

static struct ovm_error *check_inventory(struct ovm_parent *parent, unsigned int level)
{
	static const char name[] = "inventory.img";
	_cleanup_reader_ struct reader *reader = NULL;
	struct ovm_error *err = open_reader(parent, level, name, OVM_IMAGE_INVENTORY, &reader);

	if (err)
		return err;
	if (!reader)
		return damaged(parent, level, name, "is missing: these are no images of a process");
	int len = read_record(reader);
	InventoryEntry *entry =
		len < 0 ? NULL : inventory_entry__unpack(NULL, (size_t)len, reader->record);
	bool good = entry && entry->img_version <= MAX_IMAGE_VERSION;

	parent->compressed |= good && entry->img_version >= COMPRESSED_IMAGE_VERSION;
	if (entry)
		inventory_entry__free_unpacked(entry, NULL);
	return good ? NULL : damaged(parent, level, name, "is damaged, or too new");
}

/* Open the set of images that the last one leaves pages to; *@done if there is none. */
static struct ovm_error *open_next(struct ovm_parent *parent, bool *done)
{
	const unsigned int last = parent->nr - 1;
	int fd = openat(parent->fds[last], "parent", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	*done = false;
	if (fd < 0 && errno == ENOENT &&
	    fstatat(parent->fds[last], "parent", &st, AT_SYMLINK_NOFOLLOW)) {
		*done = true;
		return NULL;
	}
	if (fd < 0)
		return damaged(parent, last, "its link 'parent'", "leads nowhere");
	if (parent->nr == OVM_PARENT_MAX) {
		close(fd);
		return damaged(parent, 0, "it", "has too many parents in a row, or a circle");
	}
	parent->fds[parent->nr++] = fd;
	return NULL;
}

struct ovm_error *ovm_parent_open(const char *directory, struct ovm_parent **ret)
{
	struct ovm_parent *parent = calloc(1, sizeof(*parent));
	struct ovm_error *err = NULL;
	bool done = false;

	*ret = NULL;
	if (parent) {
		parent->budget = MAX_HELD;
		parent->directory = strdup(directory);
	}
	if (!parent || !parent->directory) {
		free(parent);
		return ovm_error_no_memory();
	}
	parent->fds[0] = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent->fds[0] < 0)
		err = ovm_error_errno(OVM_ERROR_USAGE, errno, directory,
				      "can't open the parent images in %s", directory);
	else
		parent->nr = 1;
	while (!err && !done) {
		err = check_inventory(parent, parent->nr - 1);
		if (!err)
			err = open_next(parent, &done);
	}
	if (err)
		ovm_parent_close(parent);
	else
		*ret = parent;
	return err;
}

void ovm_parent_close(struct ovm_parent *parent)
{
	if (!parent)
		return;
	for (unsigned int i = 0; i < parent->nr; i++)
		close(parent->fds[i]);
	free(parent->directory);
	free(parent);
}

bool ovm_parent_is_compressed(const struct ovm_parent *parent)
{
	return parent->compressed;
}

void ovm_parent_set_budget(struct ovm_parent *parent, size_t nr)
{
	parent->budget = nr;
}

int ovm_parent_fd(const struct ovm_parent *parent)
{
	return parent->fds[0];
}

/* ---- pagemaps -------------------------------------------------------------------------------- */

static uint64_t bytes_of(const struct held *held)
{
	return (uint64_t)held->nr_pages << OVM_PAGE_SHIFT;
}

static uint64_t end_of(const struct held *held)
{
	return held->va + bytes_of(held);
}

/* Have room for so many pieces, or for as many as the budget lets; or give some back. */
static struct ovm_error *resize(struct held_list *list, size_t nr)
{
	struct ovm_parent *parent = list->parent;
	const size_t left = parent->budget + list->allocated;

	if (nr > left)
		nr = left;
	struct held *held = reallocarray(list->held, nr ? nr : 1, sizeof(*held));

	if (!held)
		return ovm_error_no_memory();
	list->held = held;
	list->allocated = nr;
	parent->budget = left - nr;
	return NULL;
}

static void free_list(struct held_list *list)
{
	list->parent->budget += list->allocated;
	free(list->held);
}

/* Whether uncompressed pages continue those of @last. */
static bool continues(const struct held *held, const struct held *last)
{
	return !last->block_pages && !held->block_pages && last->level == held->level &&
	       end_of(last) == held->va && last->offset + bytes_of(last) == held->offset &&
	       held->nr_pages <= UINT32_MAX - last->nr_pages;
}

static struct ovm_error *hold(struct held_list *list, const struct held *held)
{
	struct held *last = list->nr ? &list->held[list->nr - 1] : NULL;

	if (last && continues(held, last)) {
		last->nr_pages += held->nr_pages;
		return NULL;
	}
	if (list->nr == list->allocated) {
		struct ovm_error *err =
			resize(list, list->allocated ? list->allocated * 2 : MIN_HELD);

		if (err)
			return err;
		if (list->nr == list->allocated)
			return ovm_error_format(OVM_ERROR_USAGE,
						"%s can't be the parent of a dump: its pages are "
						"in too many pieces",
						list->parent->directory);
	}
	list->held[list->nr++] = *held;
	return NULL;
}

/* The first piece that ends behind @va. */
static size_t find_held(const struct held_list *list, uint64_t va)
{
	size_t low = 0, high = list->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (end_of(&list->held[middle]) <= va)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Pages that the next set of images has; *@missing if it doesn't. */
static struct ovm_error *hold_inherited(struct held_list *list, const struct held_list *next,
					uint64_t va, uint64_t nr, bool *missing)
{
	size_t at = find_held(next, va);
	struct ovm_error *err = NULL;

	for (; nr && !err; at++) {
		const struct held *held = at < next->nr ? &next->held[at] : NULL;

		*missing = !held || held->va > va;
		if (*missing)
			return NULL;
		uint64_t skip = (va - held->va) >> OVM_PAGE_SHIFT;
		uint64_t part = held->nr_pages - skip < nr ? held->nr_pages - skip : nr;

		struct held inherited = *held;

		inherited.va = va;
		inherited.nr_pages = (uint32_t)part;
		if (held->block_pages)
			inherited.skip += (uint16_t)skip;
		else
			inherited.offset += skip << OVM_PAGE_SHIFT;
		err = hold(list, &inherited);
		va += part << OVM_PAGE_SHIFT;
		nr -= part;
	}
	return err;
}

/* A pagemap that is being read. */
struct pagemap {
	const struct ovm_parent *parent;
	unsigned int level;
	const char *name;
	/* Of the level below, or empty. */
	const struct held_list *next;
	struct held_list *list;
	/* Behind the last entry, and behind its pages in the pages image. */
	uint64_t va, offset;
};

static struct ovm_error *bad_entry(const struct pagemap *pagemap, const char *problem)
{
	return damaged(pagemap->parent, pagemap->level, pagemap->name, problem);
}

/* Pages that are in the pages image as they are. */
static struct ovm_error *take_pages(struct pagemap *pagemap, const PagemapEntry *entry)
{
	const struct held held = {
		.va = entry->vaddr,
		.nr_pages = entry->nr_pages,
		.offset = pagemap->offset,
		.level = (uint8_t)pagemap->level,
	};

	pagemap->offset += (uint64_t)entry->nr_pages << OVM_PAGE_SHIFT;
	return entry->nr_pages ? hold(pagemap->list, &held) : NULL;
}

static struct ovm_error *take_blocks(struct pagemap *pagemap, const PagemapEntry *entry)
{
	const PagemapBlocks *blocks = entry->blocks;
	const uint32_t each = blocks->pages_per_block;
	uint32_t left = entry->nr_pages;
	struct ovm_error *err = NULL;

	if (blocks->base.n_unknown_fields || !each || each > OVM_PACK_MAX_BLOCK_PAGES ||
	    blocks->n_block_sizes != ((uint64_t)left + each - 1) / each)
		return bad_entry(pagemap, "has another number of blocks than pages need");
	for (size_t i = 0; i < blocks->n_block_sizes && !err; i++) {
		const struct held held = {
			.va = pagemap->va - ((uint64_t)left << OVM_PAGE_SHIFT),
			.nr_pages = left < each ? left : each,
			.offset = pagemap->offset,
			.level = (uint8_t)pagemap->level,
			.block_pages = (uint16_t)(left < each ? left : each),
			.size = blocks->block_sizes[i],
		};

		if (held.size > bytes_of(&held))
			return bad_entry(pagemap, "has a block that is larger than its pages");
		err = hold(pagemap->list, &held);
		pagemap->offset += held.size;
		left -= held.block_pages;
	}
	return err;
}

static struct ovm_error *take_inherited(struct pagemap *pagemap, const PagemapEntry *entry)
{
	bool missing = false;
	struct ovm_error *err = hold_inherited(pagemap->list, pagemap->next, entry->vaddr,
					       entry->nr_pages, &missing);

	if (!err && missing)
		return bad_entry(pagemap, "leaves pages to its parent that are not there");
	return err;
}

static bool is_of_other_version(const PagemapEntry *entry)
{
	for (size_t i = 0; i < entry->base.n_unknown_fields; i++)
		if (entry->base.unknown_fields[i].tag == FIELD_IN_PARENT ||
		    entry->base.unknown_fields[i].tag == FIELD_NR_PAGES_64)
			return true;
	return false;
}

static struct ovm_error *take_entry(struct pagemap *pagemap, const PagemapEntry *entry)
{
	const uint32_t flags = entry->has_flags ? entry->flags : PE_PRESENT;
	const uint64_t size = (uint64_t)entry->nr_pages << OVM_PAGE_SHIFT;

	if (is_of_other_version(entry))
		return bad_entry(pagemap,
				 "was written by a version of CRIU that has pages otherwise than "
				 "3.17.1");
	/* A field that isn't known may say that the pages are elsewhere. */
	if (entry->base.n_unknown_fields ||
	    flags & ~(uint32_t)(PE_PARENT | PE_LAZY | PE_PRESENT | PE_ALIGNED) ||
	    (!(flags & PE_PRESENT) && (entry->blocks || flags & PE_ALIGNED)))
		return bad_entry(pagemap, "is in a form that isn't known here");
	if (entry->vaddr % OVM_PAGE_SIZE || entry->vaddr < pagemap->va ||
	    entry->vaddr > UINT64_MAX - size ||
	    pagemap->offset > INT64_MAX - 2 * size - OVM_PAGE_SIZE)
		return bad_entry(pagemap, "has entries out of order");
	pagemap->va = entry->vaddr + size;
	if (flags & PE_ALIGNED)
		pagemap->offset += -pagemap->offset % OVM_PAGE_SIZE;
	if (flags & PE_PARENT)
		return take_inherited(pagemap, entry);
	if (!(flags & PE_PRESENT))
		return NULL;
	return entry->blocks ? take_blocks(pagemap, entry) : take_pages(pagemap, entry);
}

static struct ovm_error *ask(const struct ovm_parent_pages *pages)
{
	if (!pages->cancelled || !pages->cancelled(pages->arg))
		return NULL;
	return ovm_error_format(OVM_ERROR_CANCELLED, "cancelled on request");
}

static struct ovm_error *read_entries(const struct ovm_parent_pages *pages, struct pagemap *pagemap,
				      struct reader *reader)
{
	struct ovm_error *err = ask(pages);
	unsigned int nr = 0;
	int len = -1;

	while (!err && (len = read_record(reader)) >= 0) {
		if (++nr % ASK_RECORDS == 0)
			err = ask(pages);
		if (err)
			break;
		PagemapEntry *entry = pagemap_entry__unpack(NULL, (size_t)len, reader->record);

		err = entry ? take_entry(pagemap, entry)
			    : damaged(pagemap->parent, pagemap->level, pagemap->name, "is damaged");
		if (entry)
			pagemap_entry__free_unpacked(entry, NULL);
	}
	if (!err && len == -2)
		err = damaged(pagemap->parent, pagemap->level, pagemap->name, "is damaged");
	return err;
}

/* Open a pages image, and see that it is as long as its pagemap says. */
static struct ovm_error *open_pages(const struct ovm_parent *parent, unsigned int level,
				    struct pages_image *image)
{
	char name[OVM_PAGES_NAME];
	struct stat st;

	ovm_pages_name(image->id, name);
	struct ovm_error *err = open_image(parent, level, name, &st, &image->fd);

	if (err)
		return err;
	if (image->fd < 0)
		return damaged(parent, level, name, "is missing");
	if ((uint64_t)st.st_size < image->size)
		return damaged(parent, level, name, "is shorter than its pagemap says");
	return NULL;
}

static void close_pages(struct pages_image *image)
{
	if (image->fd >= 0)
		close(image->fd);
	image->fd = -1;
}

/* The pages image that a pagemap names, which has to hold @size bytes. */
static struct ovm_error *check_pages(struct ovm_parent_pages *pages, unsigned int level,
				     uint32_t id, uint64_t size)
{
	struct pages_image *image = &pages->images[level];

	image->id = id;
	image->size = size;
	if (!size)
		return NULL;
	struct ovm_error *err = open_pages(pages->parent, level, image);

	close_pages(image);
	return err;
}

/* Read the pagemap of one level; *@next has what the level below holds. */
static struct ovm_error *read_pagemap(struct ovm_parent_pages *pages, unsigned int level,
				      const char *name, struct held_list *next, bool *found)
{
	_cleanup_reader_ struct reader *reader = NULL;
	struct held_list list = {.parent = pages->parent};
	struct pagemap pagemap = {
		.parent = pages->parent,
		.level = level,
		.name = name,
		.next = next,
		.list = &list,
	};
	struct ovm_error *err = open_reader(pages->parent, level, name, OVM_IMAGE_PAGEMAP, &reader);

	*found = reader != NULL;
	if (err || !reader)
		return err;
	int len = read_record(reader);
	PagemapHead *head =
		len < 0 ? NULL : pagemap_head__unpack(NULL, (size_t)len, reader->record);

	if (!head || head->base.n_unknown_fields)
		err = damaged(pages->parent, level, name, "is damaged");
	if (!err)
		err = read_entries(pages, &pagemap, reader);
	if (!err)
		err = check_pages(pages, level, head->pages_id, pagemap.offset);
	if (head)
		pagemap_head__free_unpacked(head, NULL);
	free_list(next);
	*next = list;
	return err ? err : resize(next, next->nr);
}

struct ovm_error *ovm_parent_pages_open(struct ovm_parent *parent, enum ovm_image_type type,
					uint64_t number, bool (*cancelled)(void *arg), void *arg,
					struct ovm_parent_pages **ret)
{
	struct ovm_parent_pages *pages = calloc(1, sizeof(*pages));
	char name[OVM_IMAGE_NAME_MAX];
	struct ovm_error *err = NULL;
	unsigned int level = 0;
	bool found = false;
	struct stat st;

	*ret = NULL;
	if (!pages)
		return ovm_error_no_memory();
	pages->parent = pages->list.parent = parent;
	pages->cancelled = cancelled;
	pages->arg = arg;
	for (unsigned int i = 0; i < OVM_PARENT_MAX; i++)
		pages->images[i].fd = -1;
	ovm_image_name(type, number, name);
	/* A set without the pagemap ends the row. */
	while (level < parent->nr && !fstatat(parent->fds[level], name, &st, AT_SYMLINK_NOFOLLOW))
		level++;
	while (level-- && !err)
		err = read_pagemap(pages, level, name, &pages->list, &found);
	for (size_t i = 0; i < pages->list.nr; i++)
		pages->images[pages->list.held[i].level].used |=
			pages->list.held[i].size || !pages->list.held[i].block_pages;
	if (err || !found)
		ovm_parent_pages_close(pages);
	else
		*ret = pages;
	return err;
}

void ovm_parent_pages_close(struct ovm_parent_pages *pages)
{
	if (!pages)
		return;
	ovm_parent_pages_end(pages);
	free_list(&pages->list);
	free(pages);
}

struct ovm_error *ovm_parent_pages_begin(struct ovm_parent_pages *pages)
{
	struct ovm_error *err = NULL;

	for (unsigned int i = 0; i < OVM_PARENT_MAX && !err; i++)
		if (pages->images[i].used)
			err = open_pages(pages->parent, i, &pages->images[i]);
	if (err)
		ovm_parent_pages_end(pages);
	return err;
}

void ovm_parent_pages_end(struct ovm_parent_pages *pages)
{
	for (unsigned int i = 0; i < OVM_PARENT_MAX; i++)
		close_pages(&pages->images[i]);
}

/* ---- content --------------------------------------------------------------------------------- */

static struct ovm_error *read_all(const struct ovm_parent_pages *pages, unsigned int level,
				  uint8_t *buf, size_t len, uint64_t offset)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(pages->images[level].fd, buf + done, len - done,
				  (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return damaged(pages->parent, level, "its pages",
				       n ? strerror(errno) : "have become fewer");
		done += (size_t)n;
	}
	return NULL;
}

static void compare_pages(const uint8_t *a, const uint8_t *b, uint64_t nr, uint8_t *answer)
{
	for (uint64_t i = 0; i < nr; i++)
		if (answer[i] == OVM_SIFTED_RAW &&
		    !memcmp(a + (i << OVM_PAGE_SHIFT), b + (i << OVM_PAGE_SHIFT), OVM_PAGE_SIZE))
			answer[i] = OVM_SIFTED_PARENT;
}

/* The pages of a block. */
static struct ovm_error *read_block(const struct ovm_parent_pages *pages, const struct held *held,
				    uint8_t *packed, uint8_t *block)
{
	const size_t whole = (size_t)held->block_pages << OVM_PAGE_SHIFT;
	struct ovm_error *err;

	if (!held->size) {
		memset(block, 0, whole);
		return NULL;
	}
	if (held->size == whole)
		return read_all(pages, held->level, block, whole, held->offset);
	err = read_all(pages, held->level, packed, held->size, held->offset);
	if (!err && !ovm_lz4_decode(packed, held->size, block, whole))
		err = damaged(pages->parent, held->level, "a compressed block", "can't be decoded");
	return err;
}

/* A buffer of at least @size bytes, whose content is lost when it grows. */
static bool make_room(uint8_t **buf, size_t *allocated, size_t size)
{
	if (size <= *allocated)
		return true;
	free(*buf);
	*buf = malloc(size);
	*allocated = *buf ? size : 0;
	return *buf;
}

static bool is_block_of(const struct ovm_parent_lookup *lookup, const struct held *held)
{
	return lookup->block_pages == held->block_pages && lookup->level == held->level &&
	       lookup->offset == held->offset && lookup->size == held->size;
}

/* Read the block that pages are in, unless it is the one that was read last. */
static struct ovm_error *find_block(const struct ovm_parent_pages *pages, const struct held *held,
				    struct ovm_parent_lookup *lookup)
{
	if (is_block_of(lookup, held))
		return NULL;
	lookup->block_pages = 0;
	if (!make_room(&lookup->buf, &lookup->buf_size, (size_t)held->size + 1) ||
	    !make_room(&lookup->block, &lookup->block_size,
		       (size_t)held->block_pages << OVM_PAGE_SHIFT))
		return ovm_error_no_memory();
	struct ovm_error *err = read_block(pages, held, lookup->buf, lookup->block);

	if (err)
		return err;
	lookup->block_pages = held->block_pages;
	lookup->level = held->level;
	lookup->offset = held->offset;
	lookup->size = held->size;
	return NULL;
}

static struct ovm_error *compare_block(const struct ovm_parent_pages *pages,
				       const struct held *held, uint64_t va, const uint8_t *content,
				       uint64_t nr, uint8_t *answer,
				       struct ovm_parent_lookup *lookup)
{
	const uint64_t first = held->skip + ((va - held->va) >> OVM_PAGE_SHIFT);
	struct ovm_error *err = find_block(pages, held, lookup);

	if (!err)
		compare_pages(lookup->block + (first << OVM_PAGE_SHIFT), content, nr, answer);
	return err;
}

/* Pages that are all in one piece. */
static struct ovm_error *compare_held(const struct ovm_parent_pages *pages, const struct held *held,
				      uint64_t va, const uint8_t *content, uint64_t nr,
				      uint8_t *answer, struct ovm_parent_lookup *lookup)
{
	uint64_t offset = held->offset + (va - held->va);

	if (held->block_pages)
		return compare_block(pages, held, va, content, nr, answer, lookup);
	if (!make_room(&lookup->buf, &lookup->buf_size, (size_t)CHUNK_PAGES << OVM_PAGE_SHIFT))
		return ovm_error_no_memory();
	for (uint64_t part; nr; nr -= part) {
		part = nr < CHUNK_PAGES ? nr : CHUNK_PAGES;
		struct ovm_error *err =
			read_all(pages, held->level, lookup->buf, part << OVM_PAGE_SHIFT, offset);

		if (err)
			return err;
		compare_pages(lookup->buf, content, part, answer);
		offset += part << OVM_PAGE_SHIFT;
		content += part << OVM_PAGE_SHIFT;
		answer += part;
	}
	return NULL;
}

/* The same as find_held(); mostly it is where the last one was, or next to that. */
static size_t find_held_near(const struct held_list *list, uint64_t va, size_t at)
{
	for (size_t i = at; i < list->nr && i < at + 2; i++) {
		const struct held *held = &list->held[i];

		if (held->va <= va && end_of(held) > va)
			return i;
	}
	return find_held(list, va);
}

struct ovm_error *ovm_parent_compare(const struct ovm_parent_pages *pages, uint64_t va,
				     const uint8_t *content, uint64_t nr, uint8_t *answer,
				     struct ovm_parent_lookup *lookup)
{
	const uint64_t end = va + (nr << OVM_PAGE_SHIFT);
	struct ovm_error *err = NULL;

	for (size_t at = find_held_near(&pages->list, va, lookup->at); at < pages->list.nr && !err;
	     at++) {
		const struct held *held = &pages->list.held[at];
		uint64_t from = held->va > va ? held->va : va;
		uint64_t until = end_of(held);

		if (from >= end)
			break;
		if (until > end)
			until = end;
		lookup->at = at;
		err = compare_held(pages, held, from, content + (from - va),
				   (until - from) >> OVM_PAGE_SHIFT,
				   answer + ((from - va) >> OVM_PAGE_SHIFT), lookup);
	}
	return err;
}

void ovm_parent_lookup_deinit(struct ovm_parent_lookup *lookup)
{
	free(lookup->buf);
	free(lookup->block);
}
