// SPDX-License-Identifier: GPL-2.0-only
/*
 * QMP over a UNIX socket.
 *
 * Protocol (QEMU docs/interop/qmp-spec.txt, 7.2): the server sends one JSON
 * object a line, each line ended by CR LF:
 *
 *	{"QMP": {"version": {...}, "capabilities": [...]}}	greeting, once
 *	{"return": VALUE, "id": ID}				success
 *	{"error": {"class": C, "desc": D}, "id": ID}		failure
 *	{"event": NAME, "data": {...}, "timestamp": {...}}	at any time
 *
 * The client sends {"execute": NAME, "arguments": {...}, "id": ID}, first of
 * all "qmp_capabilities".  The server copies ID, so that answers to commands
 * whose caller gave up are told from the one awaited.
 */
#include "qmp.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <json-c/json.h>

#include "cleanup.h"
#include "json.h"
#include "qmp_private.h"

enum {
	DEFAULT_TIMEOUT_MS = 10000,
	DEFAULT_MAX_REPLY = 16 << 20,
	JSON_DEPTH = 64,
};

static void cleanup_qmp(struct ovm_qmp **qmp)
{
	ovm_qmp_close(*qmp);
}

static struct ovm_error *error_greeting(const struct ovm_qmp *qmp)
{
	return ovm_error_format(
		OVM_ERROR_UNREACHABLE,
		"%s: no greeting within %d ms; a QMP socket serves one client at a time, so close "
		"the other one or give QEMU a second -qmp socket",
		ovm_qmp_name(qmp), qmp->timeout_ms);
}

static struct ovm_error *parse_message(struct ovm_qmp *qmp, const char *line, size_t len,
				       struct json_object **ret)
{
	struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH);

	if (!tokener)
		return ovm_error_no_memory();
	/* The newline behind the line ends a token that the line itself left open. */
	*ret = json_tokener_parse_ex(tokener, line, (int)len + 1);
	enum json_tokener_error parsed = json_tokener_get_error(tokener);

	json_tokener_free(tokener);
	if (parsed == json_tokener_success && json_object_is_type(*ret, json_type_object))
		return NULL;
	json_object_put(*ret);
	*ret = NULL;
	return ovm_error_format(
		OVM_ERROR_UNREACHABLE,
		"%s: malformed message from QEMU (%s); is this a QMP socket?", ovm_qmp_name(qmp),
		parsed == json_tokener_success ? "not an object" : json_tokener_error_desc(parsed));
}

/* Read the next message. *@ret stays NULL when the deadline passes first. */
static struct ovm_error *qmp_read(struct ovm_qmp *qmp, int64_t deadline, struct json_object **ret)
{
	const char *line;
	size_t len;

	*ret = NULL;
	struct ovm_error *err = ovm_qmp_read_line(qmp, deadline, &line, &len);

	if (err || !line)
		return err;
	return parse_message(qmp, line, len, ret);
}

static void deliver_event(struct ovm_qmp *qmp, struct json_object *message,
			  struct json_object *name)
{
	struct json_object *data = NULL;

	json_object_object_get_ex(message, "data", &data);
	if (qmp->event)
		qmp->event(qmp->event_arg, json_object_get_string(name) ?: "", data);
}

static struct ovm_error *error_from_reply(struct ovm_qmp *qmp, const char *command,
					  struct json_object *error)
{
	const char *class = ovm_json_string(error, "class");

	snprintf(qmp->error_class, sizeof(qmp->error_class), "%s", *class ? class : "unknown");
	return ovm_error_format(OVM_ERROR_UNREACHABLE, "QEMU refuses \"%s\": %s (%s)", command,
				ovm_json_string(error, "desc"), qmp->error_class);
}

/* Whether @message answers the command @id: its own answer, or an error about unparsable input. */
static bool message_answers(struct json_object *message, int64_t id)
{
	struct json_object *value;

	if (json_object_object_get_ex(message, "id", &value))
		return json_object_is_type(value, json_type_int) &&
		       json_object_get_int64(value) == id;
	return json_object_object_get_ex(message, "error", &value);
}

static struct ovm_error *wait_answer(struct ovm_qmp *qmp, const char *command, int64_t id,
				     int64_t deadline, struct json_object **ret)
{
	for (;;) {
		_cleanup_json_ struct json_object *message = NULL;
		struct json_object *value;
		struct ovm_error *err = qmp_read(qmp, deadline, &message);

		if (err)
			return ovm_error_prepend(err, "waiting for the answer to \"%s\"", command);
		if (!message)
			return ovm_qmp_error_timeout(qmp, command);
		if (json_object_object_get_ex(message, "event", &value)) {
			deliver_event(qmp, message, value);
			continue;
		}
		if (!message_answers(message, id))
			continue;
		if (json_object_object_get_ex(message, "error", &value))
			return error_from_reply(qmp, command, value);
		if (!json_object_object_get_ex(message, "return", &value))
			return ovm_error_format(
				OVM_ERROR_UNREACHABLE,
				"%s: the answer to \"%s\" has neither \"return\" nor \"error\"",
				ovm_qmp_name(qmp), command);
		if (ret)
			*ret = json_object_get(value);
		return NULL;
	}
}

static struct json_object *make_command(const char *command, struct json_object *arguments,
					int64_t id)
{
	struct json_object *message = json_object_new_object();

	if (!message) {
		json_object_put(arguments);
		return NULL;
	}
	json_object_object_add(message, "execute", json_object_new_string(command));
	if (arguments)
		json_object_object_add(message, "arguments", arguments);
	json_object_object_add(message, "id", json_object_new_int64(id));
	return message;
}

struct ovm_error *ovm_qmp_execute_fd(struct ovm_qmp *qmp, const char *command,
				     struct json_object *arguments, int fd,
				     struct json_object **ret)
{
	int64_t deadline = ovm_qmp_now() + qmp->timeout_ms, id = qmp->next_id++;
	_cleanup_json_ struct json_object *message = make_command(command, arguments, id);

	if (ret)
		*ret = NULL;
	qmp->error_class[0] = '\0';
	if (!message)
		return ovm_error_no_memory();

	size_t len;
	const char *text = json_object_to_json_string_length(message, JSON_C_TO_STRING_PLAIN, &len);

	if (!text)
		return ovm_error_no_memory();
	struct ovm_error *err = ovm_qmp_send(qmp, command, text, len, fd, deadline);

	if (!err)
		err = ovm_qmp_send(qmp, command, "\n", 1, -1, deadline);
	return err ?: wait_answer(qmp, command, id, deadline, ret);
}

struct ovm_error *ovm_qmp_execute(struct ovm_qmp *qmp, const char *command,
				  struct json_object *arguments, struct json_object **ret)
{
	return ovm_qmp_execute_fd(qmp, command, arguments, -1, ret);
}

struct ovm_error *ovm_qmp_human(struct ovm_qmp *qmp, const char *command_line, char **ret)
{
	_cleanup_json_ struct json_object *value = NULL;
	struct json_object *arguments = json_object_new_object();

	*ret = NULL;
	if (!arguments)
		return ovm_error_no_memory();
	json_object_object_add(arguments, "command-line", json_object_new_string(command_line));
	struct ovm_error *err = ovm_qmp_execute(qmp, "human-monitor-command", arguments, &value);

	if (err)
		return err;
	if (!json_object_is_type(value, json_type_string))
		return ovm_error_format(OVM_ERROR_UNREACHABLE,
					"QEMU's answer to \"%s\" is not a text", command_line);
	*ret = strdup(json_object_get_string(value));
	return *ret ? NULL : ovm_error_no_memory();
}

static unsigned int get_uint(struct json_object *object, const char *key)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, key, &value))
		return 0;
	int64_t number = json_object_get_int64(value);

	return number < 0 || number > INT_MAX ? 0 : (unsigned int)number;
}

static void parse_version(struct json_object *greeting, struct ovm_qmp_version *ret)
{
	struct json_object *version, *qemu;

	if (!json_object_object_get_ex(greeting, "version", &version))
		return;
	if (json_object_object_get_ex(version, "qemu", &qemu)) {
		ret->major = get_uint(qemu, "major");
		ret->minor = get_uint(qemu, "minor");
		ret->micro = get_uint(qemu, "micro");
	}
	snprintf(ret->package, sizeof(ret->package), "%s", ovm_json_string(version, "package"));
}

static struct ovm_error *qmp_negotiate(struct ovm_qmp *qmp)
{
	_cleanup_json_ struct json_object *message = NULL;
	struct json_object *greeting;
	struct ovm_error *err = qmp_read(qmp, ovm_qmp_now() + qmp->timeout_ms, &message);

	if (err)
		return ovm_error_prepend(err, "waiting for QEMU's greeting");
	if (!message)
		return error_greeting(qmp);
	if (!json_object_object_get_ex(message, "QMP", &greeting))
		return ovm_error_format(OVM_ERROR_UNREACHABLE,
					"%s: what answers there is not a QMP server, or the "
					"connection is in use already",
					ovm_qmp_name(qmp));
	parse_version(greeting, &qmp->version);
	return ovm_qmp_execute(qmp, "qmp_capabilities", NULL, NULL);
}

static struct ovm_error *socket_connect(const char *path, int *ret)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(address.sun_path))
		return ovm_error_format(OVM_ERROR_USAGE,
					"%s: path of a UNIX socket must be shorter than %zu bytes; "
					"use a relative path or a symbolic link",
					path, sizeof(address.sun_path));
	strcpy(address.sun_path, path);

	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return ovm_error_errno(OVM_ERROR_UNREACHABLE, errno, NULL, "can't make a socket");
	/* A full backlog answers EAGAIN: other clients are waiting in line already. */
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) && errno != EINPROGRESS)
		return ovm_error_errno(
			OVM_ERROR_UNREACHABLE, errno, path,
			errno == EAGAIN ? "%s: other clients hold or wait for this QMP socket"
					: "%s: can't connect to the QMP socket; is the virtual "
					  "machine running, and may you use it?",
			path);
	*ret = ovm_take_fd(&fd);
	return NULL;
}

static struct ovm_error *qmp_open(struct ovm_qmp *qmp, const struct ovm_qmp_options *options)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (options->path && !(qmp->path = strdup(options->path)))
		return ovm_error_no_memory();
	if (options->fd > 0) {
		qmp->fd = options->fd;
	} else if (options->path) {
		struct ovm_error *err = socket_connect(options->path, &qmp->fd);

		if (err)
			return err;
		qmp->owns_fd = true;
	} else {
		return ovm_error_format(OVM_ERROR_USAGE, "no QMP socket given");
	}
	if (!getsockopt(qmp->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		qmp->peer_pid = peer.pid;
	return NULL;
}

struct ovm_error *ovm_qmp_connect(const struct ovm_qmp_options *options, struct ovm_qmp **ret)
{
	struct ovm_qmp_options own = {0};
	_cleanup_(cleanup_qmp) struct ovm_qmp *qmp = calloc(1, sizeof(*qmp));

	*ret = NULL;
	if (!qmp)
		return ovm_error_no_memory();
	memcpy(&own, options, options->size < sizeof(own) ? options->size : sizeof(own));
	qmp->fd = -1;
	qmp->timeout_ms = own.timeout_ms > 0 ? own.timeout_ms : DEFAULT_TIMEOUT_MS;
	qmp->max_reply = own.max_reply ?: DEFAULT_MAX_REPLY;
	if (qmp->max_reply > INT_MAX / 2)
		qmp->max_reply = INT_MAX / 2;
	qmp->cancel_fd = own.cancel_fd > 0 ? own.cancel_fd : -1;
	qmp->cancellable = true;
	qmp->event = own.event;
	qmp->event_arg = own.event_arg;
	qmp->next_id = 1;

	struct ovm_error *err = qmp_open(qmp, &own);

	if (!err)
		err = qmp_negotiate(qmp);
	if (!err)
		*ret = ovm_take_pointer(qmp);
	return err;
}

void ovm_qmp_close(struct ovm_qmp *qmp)
{
	if (!qmp)
		return;
	if (qmp->owns_fd && qmp->fd >= 0)
		close(qmp->fd);
	free(qmp->path);
	free(qmp->buf);
	free(qmp);
}

const char *ovm_qmp_error_class(const struct ovm_qmp *qmp)
{
	return qmp->error_class;
}

const struct ovm_qmp_version *ovm_qmp_version(const struct ovm_qmp *qmp)
{
	return &qmp->version;
}

pid_t ovm_qmp_peer_pid(const struct ovm_qmp *qmp)
{
	return qmp->peer_pid;
}

int ovm_qmp_fd(const struct ovm_qmp *qmp)
{
	return qmp->fd;
}

const char *ovm_qmp_path(const struct ovm_qmp *qmp)
{
	return qmp->path;
}

int ovm_qmp_set_timeout(struct ovm_qmp *qmp, int timeout_ms)
{
	int former = qmp->timeout_ms;

	qmp->timeout_ms = timeout_ms;
	return former;
}

bool ovm_qmp_set_cancellable(struct ovm_qmp *qmp, bool cancellable)
{
	bool former = qmp->cancellable;

	qmp->cancellable = cancellable;
	return former;
}
