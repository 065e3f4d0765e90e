/* SPDX-License-Identifier: GPL-2.0-only */
/* Collecting reasons and warnings, a line each. */
#ifndef OVM_HOST_IMAGE_REPORT_H
#define OVM_HOST_IMAGE_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmi/error.h"
#include "vmi/extract/record.h"

struct ovm_image_set;
struct ovm_image_socket_table;
struct ovm_image_epoll_table;

struct ovm_image_report {
	/** What is looked at, and the process that lines are about now. */
	const struct ovm_image_set *set;
	int32_t pid;
	/** Lines are about what comes with a message for the descriptor that they name. */
	bool passed;
	/** Threads of the process, and of all processes, in ascending order. */
	int32_t *tids, *all_tids;
	size_t nr_tids, nr_all_tids;
	/** The processes and their process groups, in ascending order. */
	int32_t *pids, *groups;
	/** Inodes of shared memory of the set, in ascending order. */
	uint64_t *objects;
	size_t nr_objects;
	/** Of the set. */
	struct ovm_image_socket_table *sockets;
	struct ovm_image_epoll_table *epolls;
	void (*warn)(void *arg, const char *message);
	void *warn_arg;

	/* Lines so far. */
	char *text;
	size_t len, size;
	/** Reasons so far, those included that were not kept. */
	size_t nr;
	size_t nr_warnings;
	int32_t first_pid;
	bool out_of_memory;
};

/** Add a reason: "pid N: " and the text. */
void ovm_image_reason(struct ovm_image_report *report, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** Pass a warning on: "pid N: " and the text. */
void ovm_image_warn(struct ovm_image_report *report, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** Turn what was collected into an error, NULL if nothing was; releases the report. */
struct ovm_error *ovm_image_report_finish(struct ovm_image_report *report);

enum {
	/** Longest text of a name in a line, with its NUL. */
	OVM_IMAGE_QUOTED_MAX = 160,
};

/**
 * Make a name from the guest fit to be shown: control characters and what is not ASCII become \xNN,
 * and a long name is cut in the middle. Returns @out.
 */
const char *ovm_image_quote(const void *bytes, uint64_t len, char out[OVM_IMAGE_QUOTED_MAX]);

#endif /* OVM_HOST_IMAGE_REPORT_H */
