/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A client of the QEMU Machine Protocol over a UNIX socket.
 *
 * A connection is used by one thread at a time.  Every call has a deadline and
 * fails with an error that says what happened: the server gone, an answer that
 * is malformed or too long, no answer in time, the caller's wish to stop.
 */
#ifndef OVM_VMI_QMP_H
#define OVM_VMI_QMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct json_object;
struct ovm_qmp;

struct ovm_qmp_options {
	/** sizeof(struct ovm_qmp_options) */
	size_t size;
	/** Path of the socket; may be NULL when @fd is given. */
	const char *path;
	/**
	 * Connected socket, used instead of connecting to @path when greater than 0. It stays the
	 * caller's, who must not use it meanwhile.
	 */
	int fd;
	/** Milliseconds that a command may take, the greeting included; 0 is 10 s. */
	int timeout_ms;
	/** Longest answer that is accepted, in bytes; 0 is 16 MiB. */
	size_t max_reply;
	/**
	 * When greater than 0, a descriptor (an eventfd, for example) that becomes readable when
	 * the caller wants every wait to end with OVM_ERROR_CANCELLED. It stays the caller's.
	 */
	int cancel_fd;
	/** Receives each event with its data (NULL when it has none, only lent); may be NULL. */
	void (*event)(void *arg, const char *name, struct json_object *data);
	void *event_arg;
};

/** What the server said of itself in its greeting. */
struct ovm_qmp_version {
	unsigned int major, minor, micro;
	/** Package, such as "Debian 1:7.2+dfsg-7", or "". */
	char package[96];
};

/**
 * Connect and negotiate.
 *
 * Errors: OVM_ERROR_UNREACHABLE; a monitor that another client holds sends no greeting, which the
 * message says.
 */
struct ovm_error *ovm_qmp_connect(const struct ovm_qmp_options *options, struct ovm_qmp **ret);

/** Close a connection; NULL is fine. */
void ovm_qmp_close(struct ovm_qmp *qmp);

/**
 * Execute a command and wait for its answer.
 *
 * @arguments may be NULL; the reference to it is taken over, also on failure.
 * @ret may be NULL; otherwise it receives the value returned, to be released with
 * json_object_put(). Errors that QEMU reports are OVM_ERROR_UNREACHABLE errors with its class and
 * description; see also ovm_qmp_error_class().
 */
struct ovm_error *ovm_qmp_execute(struct ovm_qmp *qmp, const char *command,
				  struct json_object *arguments, struct json_object **ret);

/** Execute a command that passes a file descriptor along ("getfd", "add-fd"). */
struct ovm_error *ovm_qmp_execute_fd(struct ovm_qmp *qmp, const char *command,
				     struct json_object *arguments, int fd,
				     struct json_object **ret);

/** Execute a command of the human monitor; the text goes to @ret, to be freed by the caller. */
struct ovm_error *ovm_qmp_human(struct ovm_qmp *qmp, const char *command_line, char **ret);

/**
 * Class of the error that QEMU answered the latest command with ("GenericError",
 * "CommandNotFound"), or "" when it answered with none. Valid until the next command.
 */
const char *ovm_qmp_error_class(const struct ovm_qmp *qmp);

const struct ovm_qmp_version *ovm_qmp_version(const struct ovm_qmp *qmp);

/**
 * Process that listened on the socket (SO_PEERCRED), or 0 when unknown. That is QEMU unless
 * something else made the socket and handed it over, as libvirt does.
 */
pid_t ovm_qmp_peer_pid(const struct ovm_qmp *qmp);

/** The socket, owned by the connection. */
int ovm_qmp_fd(const struct ovm_qmp *qmp);

/** Path that was connected to, or NULL. Owned by the connection. */
const char *ovm_qmp_path(const struct ovm_qmp *qmp);

/** Change the time that a command may take, in milliseconds; returns the former value. */
int ovm_qmp_set_timeout(struct ovm_qmp *qmp, int timeout_ms);

/**
 * Heed (or not) the descriptor that cancels waits; returns whether it was heeded. Commands that put
 * things back as they were should not be cancelled.
 */
bool ovm_qmp_set_cancellable(struct ovm_qmp *qmp, bool cancellable);

/** Fail with OVM_ERROR_CANCELLED when the caller wants to stop; wait @ms milliseconds for that. */
struct ovm_error *ovm_qmp_sleep(struct ovm_qmp *qmp, int ms);

#ifdef __cplusplus
}
#endif

#endif /* OVM_VMI_QMP_H */
