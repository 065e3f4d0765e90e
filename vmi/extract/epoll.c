// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sets of files that are waited for together: epoll_create(2).
 *
 * The entries are nodes of a red-black tree (linux/rbtree.h), in the order of the addresses of
 * their files and of their descriptors' numbers. A file that is closed for good leaves the tree
 * before it is freed.
 */
#include <linux/mutex.h>

#include "extract.h"
#include "rbtree.h"

enum {
	MAX_ENTRIES = 1 << 20,
};

/* What epoll_ctl(2) takes. */
struct epoll_event___ovm {
	__poll_t events;
	__u64 data;
} __packed;

/* Private to fs/eventpoll.c, all three. */
struct epoll_filefd___ovm {
	struct file *file;
	int fd;
} __packed;

struct epitem___ovm {
	struct rb_node rbn;
	struct epoll_filefd___ovm ffd;
	struct epoll_event___ovm event;
};

struct eventpoll___ovm {
	struct mutex mtx;
	struct rb_root_cached rbr;
};

LLV_SHARED bool ovm_file_is_epoll(const struct file *file)
{
	u64 f_op = llv_symbol("eventpoll_fops");

	return f_op && OVM_IDENTITY(file->f_op) == f_op;
}

static struct eventpoll___ovm *context(const struct file *file)
{
	return file->private_data;
}

LLV_SHARED struct mutex *ovm_epoll_lock(const struct file *file)
{
	return &context(file)->mtx;
}

static struct ovm_rec_epoll_entry __host *entry(const struct epitem___ovm *item)
{
	struct ovm_rec_epoll_entry __host *rec = llv_new(struct ovm_rec_epoll_entry);

	rec->file = OVM_IDENTITY(item->ffd.file);
	rec->fd = item->ffd.fd;
	rec->events = item->event.events;
	rec->data = item->event.data;
	return rec;
}

LLV_SHARED struct ovm_rec_epoll __host *ovm_epoll(const struct file *file)
{
	struct ovm_rec_epoll __host *rec = llv_new(struct ovm_rec_epoll);
	struct ovm_rec_epoll_entry __host *__host *link = &rec->entries;
	struct rb_node *node = ovm_rb_first(&context(file)->rbr.rb_root);

	for (; node; node = ovm_rb_next(node)) {
		if (rec->nr_entries >= MAX_ENTRIES)
			llv_fail(LLV_CORRUPT, file, "tree of an epoll instance does not end");
		*link = entry(rb_entry(node, struct epitem___ovm, rbn));
		link = &(*link)->next;
		rec->nr_entries++;
	}
	return rec;
}
