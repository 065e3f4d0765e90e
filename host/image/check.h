/* SPDX-License-Identifier: GPL-2.0-only */
/* Finding out what can't be represented; see docs/images.md for what and why. */
#ifndef OVM_HOST_IMAGE_CHECK_H
#define OVM_HOST_IMAGE_CHECK_H

#include "image.h"
#include "report.h"
#include "socket_table.h"

/** As ovm_image_check(), without warnings. */
struct ovm_error *ovm_image_refuse(const struct ovm_image_set *set);

void ovm_image_check_process(struct ovm_image_report *report, const struct ovm_image_process *p);
void ovm_image_check_threads(struct ovm_image_report *report, const struct ovm_image_process *p);
void ovm_image_check_policy(struct ovm_image_report *report, const struct ovm_rec_thread *rec);
void ovm_image_check_timers(struct ovm_image_report *report, const struct ovm_image_process *p);
void ovm_image_check_files(struct ovm_image_report *report, const struct ovm_image_process *p);
/** Of a descriptor that leads to a socket. */
void ovm_image_check_socket(struct ovm_image_report *report, const struct ovm_image_process *p,
			    const struct ovm_rec_fd *fd);
/** Of a descriptor that leads to a socket of IPv4 or IPv6. */
void ovm_image_check_inet_socket(struct ovm_image_report *report, const struct ovm_image_process *p,
				 const struct ovm_rec_fd *fd);
/** The same, of netlink and packet sockets. */
void ovm_image_check_stateless_socket(struct ovm_image_report *report,
				      const struct ovm_image_process *p,
				      const struct ovm_rec_fd *fd);
/** What a descriptor leads to. */
void ovm_image_check_fd(struct ovm_image_report *report, const struct ovm_image_process *p,
			const struct ovm_rec_fd *fd);
/** What is on its way in messages, of all processes. */
void ovm_image_check_passed(struct ovm_image_report *report);
/** Whether a file has locks that belong to whoever has it open: all kinds but POSIX. */
bool ovm_image_has_shared_locks(const struct ovm_rec_file *file);
/** Locks on the files behind descriptors. */
void ovm_image_check_file_locks(struct ovm_image_report *report, const struct ovm_image_process *p);
/** Terminals of all processes. */
void ovm_image_check_ttys(struct ovm_image_report *report);
void ovm_image_check_memory(struct ovm_image_report *report, const struct ovm_image_process *p);
/** Shared memory, of all processes. */
void ovm_image_check_shared_memory(struct ovm_image_report *report);
/** How processes are related, and what they share. */
void ovm_image_check_tree(struct ovm_image_report *report);

/**
 * Why a file can't be opened by its path when restoring: a phrase such as "is deleted", or NULL.
 */
const char *ovm_image_path_problem(const struct ovm_rec_file *file);

/** Order of ids, pointers to int32_t, for qsort(3) and bsearch(3). */
int ovm_image_compare_ids(const void *a, const void *b);

/** Whether @tid is a thread of the process that the report is about now. */
bool ovm_image_has_thread(const struct ovm_image_report *report, int32_t tid);

/** Whether @pid is a process that is saved. */
bool ovm_image_set_has_process(const struct ovm_image_report *report, int32_t pid);

/** Whether @tid is a thread of any process that is saved. */
bool ovm_image_set_has_thread(const struct ovm_image_report *report, int32_t tid);

#endif /* OVM_HOST_IMAGE_CHECK_H */
