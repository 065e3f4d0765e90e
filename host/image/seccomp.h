/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Numbers for seccomp filters.
 *
 * In seccomp.img each filter names the one that is installed next, so that a
 * list can't branch: threads share one as a whole, or have each their own.
 */
#ifndef OVM_HOST_IMAGE_SECCOMP_H
#define OVM_HOST_IMAGE_SECCOMP_H

#include "image.h"
#include "proto/core.pb-c.h"

struct ovm_image_seccomp_list {
	/** The filter that was installed last. */
	const struct ovm_rec_seccomp *last;
	/** Whether the leader installs them for all threads (SECCOMP_FILTER_FLAG_TSYNC). */
	bool all_threads;
	/** Place of @last, and of the first one that was installed. */
	uint32_t begin, end;
};

struct ovm_image_seccomp_table {
	/** In the order of their keys, each once. */
	struct ovm_image_seccomp_list *lists;
	size_t nr;
	/** Filters in all of them. */
	size_t nr_filters;
};

/** Number the filters of all threads of a set. The records must outlive the table. */
struct ovm_error *ovm_image_seccomp_table_create(const struct ovm_image_set *set,
						 struct ovm_image_seccomp_table **ret);

/** Free a table; NULL is fine. */
void ovm_image_seccomp_table_destroy(struct ovm_image_seccomp_table *table);

/** Fill in what the image of a thread says of its filters; @common is true if all share them. */
void ovm_image_fill_seccomp(ThreadCoreEntry *entry, const struct ovm_image_seccomp_table *table,
			    const struct ovm_rec_thread *rec, bool common, bool leader);

/** Why the filters of a thread can't be restored: a phrase, or NULL. */
const char *ovm_image_seccomp_problem(const struct ovm_rec_thread *thread);

/** Whether all threads of a process have the very same filters. */
bool ovm_image_seccomp_is_common(const struct ovm_image_process *process);

/** Whether some threads of a process have filters in common, but not all have the same. */
bool ovm_image_seccomp_branches(const struct ovm_image_process *process);

#endif /* OVM_HOST_IMAGE_SECCOMP_H */
