/* SPDX-License-Identifier: GPL-2.0-only */
/* A QMP connection, and the lines that go over it. */
#ifndef OVM_VMI_QMP_PRIVATE_H
#define OVM_VMI_QMP_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qmp.h"

struct ovm_qmp {
	int fd;
	bool owns_fd;
	char *path;
	int timeout_ms;
	size_t max_reply;
	int cancel_fd;
	bool cancellable;
	void (*event)(void *arg, const char *name, struct json_object *data);
	void *event_arg;
	struct ovm_qmp_version version;
	pid_t peer_pid;
	int64_t next_id;
	char error_class[64];
	/* Received and not yet consumed: bytes [start, end) of buf; no newline before scanned. */
	char *buf;
	size_t capacity, start, scanned, end;
	/* Whether the rest of a line that was too long is to be thrown away. */
	bool skipping;
};

/** Monotonic time in ms. */
int64_t ovm_qmp_now(void);

/** How messages call the connection. */
const char *ovm_qmp_name(const struct ovm_qmp *qmp);

/** The error of a command, @what, that wasn't answered in time. */
struct ovm_error *ovm_qmp_error_timeout(const struct ovm_qmp *qmp, const char *what);

/** Send bytes of the command @what, the descriptor @fd (unless negative) along with the first. */
struct ovm_error *ovm_qmp_send(struct ovm_qmp *qmp, const char *what, const char *data, size_t len,
			       int fd, int64_t deadline);

/**
 * Read a line that isn't empty; a newline is behind its @len bytes, which stay until the next call.
 * *@line is NULL when the deadline passes first.
 */
struct ovm_error *ovm_qmp_read_line(struct ovm_qmp *qmp, int64_t deadline, const char **line,
				    size_t *len);

#endif /* OVM_VMI_QMP_PRIVATE_H */
