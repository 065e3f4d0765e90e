// SPDX-License-Identifier: GPL-2.0-only
/*
 * What epoll instances wait for.
 */
#include "epoll.h"

#include <stdlib.h>

#include "files.h"
#include "pool.h"
#include "vmi/cleanup.h"

enum {
	/* dev_t inside the kernel (linux/kdev_t.h), as fdinfo shows it. */
	KERNEL_MINOR_BITS = 20,
};

/* A descriptor. */
struct slot {
	size_t process;
	uint64_t file;
	int32_t fd;
	const struct ovm_rec_file *rec;
	/* The last instance that has an entry for it. */
	size_t taken;
	/* Of the first one of a file: how many that follow are not to be looked at any more, for
	 * the instance @searched. */
	size_t searched, skip;
};

struct ovm_image_epoll_table {
	const struct ovm_image_set *set;
	/* By process, file and number. */
	struct slot *slots;
	size_t nr;
	/* Instances so far: slots need no cleaning from one to the next. */
	size_t instance;
};

static int compare_u64(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int compare_files(const struct slot *a, const struct slot *b)
{
	int order = compare_u64(a->process, b->process);

	return order ? order : compare_u64(a->file, b->file);
}

static int compare_slots(const void *left, const void *right)
{
	const struct slot *a = left, *b = right;
	int order = compare_files(a, b);

	return order ? order : (a->fd > b->fd) - (a->fd < b->fd);
}

static void add_fds(struct ovm_image_epoll_table *table, size_t process)
{
	const struct ovm_rec_process *rec = table->set->processes[process].rec;

	for (const struct ovm_rec_fd *fd = rec->fds; fd; fd = fd->next) {
		if (!fd->file)
			continue;
		if (table->slots)
			table->slots[table->nr] = (struct slot){.process = process,
								.file = fd->file->file,
								.fd = fd->fd,
								.rec = fd->file};
		table->nr++;
	}
}

/* Counts when there are no slots yet. */
static void add_all(struct ovm_image_epoll_table *table)
{
	table->nr = 0;
	for (size_t i = 0; i < table->set->nr_processes; i++)
		add_fds(table, i);
}

struct ovm_error *ovm_image_epoll_table_create(const struct ovm_image_set *set,
					       struct ovm_image_epoll_table **ret)
{
	struct ovm_image_epoll_table *table = calloc(1, sizeof(*table));

	*ret = NULL;
	if (!table)
		return ovm_error_no_memory();
	table->set = set;
	add_all(table);
	table->slots = calloc(table->nr + 1, sizeof(*table->slots));
	if (!table->slots) {
		free(table);
		return ovm_error_no_memory();
	}
	add_all(table);
	qsort(table->slots, table->nr, sizeof(*table->slots), compare_slots);
	*ret = table;
	return NULL;
}

void ovm_image_epoll_table_destroy(struct ovm_image_epoll_table *table)
{
	if (!table)
		return;
	free(table->slots);
	free(table);
}

static struct slot *find(struct ovm_image_epoll_table *table, const struct slot *key)
{
	return bsearch(key, table->slots, table->nr, sizeof(*key), compare_slots);
}

/* The first descriptor of a process, from number @fd on, that leads to a file; or NULL. */
static struct slot *find_from(struct ovm_image_epoll_table *table, size_t process, uint64_t file,
			      int32_t fd)
{
	const struct slot key = {.process = process, .file = file, .fd = fd};
	size_t low = 0, high = table->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_slots(&table->slots[middle], &key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == table->nr || compare_files(&table->slots[low], &key))
		return NULL;
	return &table->slots[low];
}

bool ovm_image_epoll_is_first(struct ovm_image_epoll_table *table, const struct ovm_rec_fd *fd)
{
	const struct slot *first = find_from(table, 0, fd->file->file, 0);

	return first && first->fd == fd->fd;
}

/* The process that restores the instance; those that are given have it. */
static size_t owner(struct ovm_image_epoll_table *table, const struct ovm_rec_file *epoll)
{
	size_t process = 0;

	while (process + 1 < table->set->nr_processes && !find_from(table, process, epoll->file, 0))
		process++;
	return process;
}

/* Any descriptor of a file that no other entry of the instance has. */
static struct slot *find_free(struct ovm_image_epoll_table *table, size_t process, uint64_t file)
{
	const struct slot *end = table->slots + table->nr;
	struct slot *first = find_from(table, process, file, 0), *slot;

	if (!first)
		return NULL;
	if (first->searched != table->instance) {
		first->searched = table->instance;
		first->skip = 0;
	}
	for (slot = first + first->skip; slot < end && !compare_files(slot, first); slot++) {
		first->skip++;
		if (slot->taken != table->instance)
			return slot;
	}
	return NULL;
}

static void take(struct ovm_image_epoll_table *table, struct slot *slot,
		 struct ovm_image_epoll_entry *entry)
{
	if (!slot || slot->taken == table->instance)
		return;
	slot->taken = table->instance;
	entry->file = slot->rec;
	entry->fd = slot->fd;
}

struct ovm_error *ovm_image_epoll_entries(struct ovm_image_epoll_table *table,
					  const struct ovm_rec_file *epoll,
					  struct ovm_image_epoll_entry **ret)
{
	size_t process = owner(table, epoll), nr = 0;
	struct ovm_image_epoll_entry *entries =
		calloc(epoll->epoll->nr_entries + 1, sizeof(*entries));

	*ret = entries;
	if (!entries)
		return ovm_error_no_memory();
	table->instance++;
	/* Those whose descriptors are still there come first: they keep them. */
	for (const struct ovm_rec_epoll_entry *rec = epoll->epoll->entries;
	     rec && nr < epoll->epoll->nr_entries; rec = rec->next) {
		const struct slot key = {.process = process, .file = rec->file, .fd = rec->fd};

		entries[nr].rec = rec;
		take(table, find(table, &key), &entries[nr++]);
	}
	for (size_t i = 0; i < nr; i++)
		if (!entries[i].file)
			take(table, find_free(table, process, entries[i].rec->file), &entries[i]);
	return NULL;
}

const char *ovm_image_epoll_problem(const struct ovm_rec_file *file)
{
	return file->epoll ? NULL : "has no known content";
}

static void fill(EventpollTfdEntry *tfd, uint32_t id, const struct ovm_image_epoll_entry *entry)
{
	const struct ovm_rec_file *file = entry->file;

	eventpoll_tfd_entry__init(tfd);
	tfd->id = id;
	tfd->tfd = (uint32_t)entry->fd;
	tfd->events = entry->rec->events;
	tfd->data = entry->rec->data;
	tfd->has_dev = tfd->has_inode = tfd->has_pos = true;
	tfd->dev = file->dev_major << KERNEL_MINOR_BITS | file->dev_minor;
	tfd->inode = file->ino;
	tfd->pos = file->pos;
}

struct ovm_error *ovm_image_put_epoll(struct ovm_image_file *image,
				      struct ovm_image_file_parts *parts,
				      const struct ovm_rec_file *file,
				      struct ovm_image_epoll_table *table)
{
	_cleanup_pool_ struct ovm_image_pool pool = {NULL};
	_cleanup_free_ struct ovm_image_epoll_entry *entries = NULL;
	FileEntry entry = FILE_ENTRY__INIT;
	EventpollFileEntry epoll = EVENTPOLL_FILE_ENTRY__INIT;
	const size_t nr = file->epoll->nr_entries;
	struct ovm_error *err = ovm_image_epoll_entries(table, file, &entries);
	EventpollTfdEntry *tfds = ovm_image_alloc(&pool, nr + 1, sizeof(*tfds));

	if (err)
		return err;
	epoll.tfd = ovm_image_alloc(&pool, nr + 1, sizeof(*epoll.tfd));
	if (!tfds || !epoll.tfd)
		return ovm_error_no_memory();
	for (size_t i = 0; i < nr; i++) {
		if (!entries[i].file)
			continue;
		fill(&tfds[i], parts->id, &entries[i]);
		epoll.tfd[epoll.n_tfd++] = &tfds[i];
	}
	epoll.id = parts->id;
	epoll.flags = parts->flags;
	epoll.fown = &parts->fown;
	entry.type = FD_TYPES__EVENTPOLL;
	entry.id = parts->id;
	entry.epfd = &epoll;
	return ovm_image_file_put(image, &entry.base);
}
