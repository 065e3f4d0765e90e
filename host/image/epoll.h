/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What epoll instances wait for.
 *
 * The kernel has entries by file and by the number of a descriptor that led to it when the entry
 * was made. CRIU makes them anew, and needs a descriptor of the restored process for each: the
 * same one, or another one of the same file if that has been closed since.
 */
#ifndef OVM_HOST_IMAGE_EPOLL_H
#define OVM_HOST_IMAGE_EPOLL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "image.h"

/** Descriptors by the files that they lead to, of all processes of a set. */
struct ovm_image_epoll_table;

/** Make the table of a set, whose records must outlive it. */
struct ovm_error *ovm_image_epoll_table_create(const struct ovm_image_set *set,
					       struct ovm_image_epoll_table **ret);

/** Free a table; NULL is fine. */
void ovm_image_epoll_table_destroy(struct ovm_image_epoll_table *table);

static inline void ovm_cleanup_epoll_table(struct ovm_image_epoll_table **table)
{
	ovm_image_epoll_table_destroy(*table);
}

#define _cleanup_epoll_table_ __attribute__((cleanup(ovm_cleanup_epoll_table)))

/** An entry, and what it is restored with. */
struct ovm_image_epoll_entry {
	const struct ovm_rec_epoll_entry *rec;
	/** What it waits for; NULL: no descriptor is left for it. */
	const struct ovm_rec_file *file;
	int32_t fd;
};

/**
 * Find descriptors for the entries of an instance, in their order: @ret receives as many as the
 * record has, to be freed. No two of the same file get the same descriptor.
 */
struct ovm_error *ovm_image_epoll_entries(struct ovm_image_epoll_table *table,
					  const struct ovm_rec_file *epoll,
					  struct ovm_image_epoll_entry **ret);

/** Whether a descriptor of @process is the first one of the first process that leads to its file.
 */
bool ovm_image_epoll_is_first(struct ovm_image_epoll_table *table,
			      const struct ovm_rec_process *process, const struct ovm_rec_fd *fd);

#endif /* OVM_HOST_IMAGE_EPOLL_H */
