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
	uint64_t file;
	int32_t pid;
	int32_t fd;
	const struct ovm_rec_file *rec;
	/* The last instance that has an entry for it. */
	size_t taken;
	/* Of the first one of a file in a process: how many that follow are not to be looked at any
	 * more, for the instance @searched. */
	size_t searched, skip;
};

struct ovm_image_epoll_table {
	const struct ovm_image_set *set;
	/* By file, process and number. */
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
	int order = compare_u64(a->file, b->file);

	return order ? order : (a->pid > b->pid) - (a->pid < b->pid);
}

static int compare_slots(const void *left, const void *right)
{
	const struct slot *a = left, *b = right;
	int order = compare_files(a, b);

	return order ? order : (a->fd > b->fd) - (a->fd < b->fd);
}

static void add_fds(struct ovm_image_epoll_table *table, const struct ovm_rec_process *rec)
{
	for (const struct ovm_rec_fd *fd = rec->fds; fd; fd = fd->next) {
		if (!fd->file)
			continue;
		if (table->slots)
			table->slots[table->nr] = (struct slot){.file = fd->file->file,
								.pid = rec->pid,
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
		if (ovm_image_owns_files(table->set->processes[i].rec))
			add_fds(table, table->set->processes[i].rec);
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

/* The first descriptor that leads to a file, of the process @pid or those behind it; or NULL. */
static struct slot *find_from(struct ovm_image_epoll_table *table, uint64_t file, int32_t pid)
{
	const struct slot key = {.file = file, .pid = pid, .fd = INT32_MIN};
	size_t low = 0, high = table->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_slots(&table->slots[middle], &key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == table->nr || table->slots[low].file != file)
		return NULL;
	return &table->slots[low];
}

bool ovm_image_epoll_is_first(struct ovm_image_epoll_table *table,
			      const struct ovm_rec_process *process, const struct ovm_rec_fd *fd)
{
	const struct slot *first = find_from(table, fd->file->file, INT32_MIN);

	return first && first->pid == process->pid && first->fd == fd->fd;
}

/* The process that restores the instance, of those that have it the one with the lowest pid. */
static int32_t owner(struct ovm_image_epoll_table *table, const struct ovm_rec_file *epoll)
{
	const struct slot *first = find_from(table, epoll->file, INT32_MIN);

	return first ? first->pid : 0;
}

/* Any descriptor of a file that no other entry of the instance has. */
static struct slot *find_free(struct ovm_image_epoll_table *table, int32_t pid, uint64_t file)
{
	const struct slot *end = table->slots + table->nr;
	struct slot *first = find_from(table, file, pid), *slot;

	if (!first || first->pid != pid)
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
	int32_t pid = owner(table, epoll);
	size_t nr = 0;
	struct ovm_image_epoll_entry *entries =
		calloc(epoll->epoll->nr_entries + 1, sizeof(*entries));

	*ret = entries;
	if (!entries)
		return ovm_error_no_memory();
	table->instance++;
	/* Those whose descriptors are still there come first: they keep them. */
	for (const struct ovm_rec_epoll_entry *rec = epoll->epoll->entries;
	     rec && nr < epoll->epoll->nr_entries; rec = rec->next) {
		const struct slot key = {.file = rec->file, .pid = pid, .fd = rec->fd};

		entries[nr].rec = rec;
		take(table, find(table, &key), &entries[nr++]);
	}
	for (size_t i = 0; i < nr; i++)
		if (!entries[i].file)
			take(table, find_free(table, pid, entries[i].rec->file), &entries[i]);
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
