// SPDX-License-Identifier: GPL-2.0-only
/* The QMP client against a server that follows a script, misbehaving as told. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <json-c/json.h>

#include "test.h"
#include "vmi/qmp.h"

#define GREETING                                                                          \
	"{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 3, \"minor\": 2, \"major\": 7}, " \
	"\"package\": \"Debian\"}, \"capabilities\": []}}\r\n"
#define OK_1 "{\"return\": {}, \"id\": 1}\r\n"

/* A server that reads one line for each entry of @replies, then sends it. */
struct server {
	int fd;
	const char *const *replies;
	/* After the last reply: wait for the client to close, rather than close. */
	bool linger;
	/* Bytes of "x" sent before the newline of the last reply. */
	size_t flood;
	/* Descriptor that came with a command, or -1. */
	int received_fd;
	pthread_t thread;
};

static void send_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		text += n;
		len -= (size_t)n;
	}
}

/* Read up to a newline, and keep a descriptor that comes along. */
static bool read_command(struct server *server)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	char c = 0;

	while (c != '\n') {
		struct iovec iov = {&c, 1};
		struct msghdr msg = {.msg_iov = &iov,
				     .msg_iovlen = 1,
				     .msg_control = control.buf,
				     .msg_controllen = sizeof(control.buf)};

		if (recvmsg(server->fd, &msg, 0) <= 0)
			return false;
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

		if (cmsg && cmsg->cmsg_type == SCM_RIGHTS)
			memcpy(&server->received_fd, CMSG_DATA(cmsg), sizeof(int));
	}
	return true;
}

static void *serve(void *arg)
{
	struct server *server = arg;

	send_all(server->fd, server->replies[0], strlen(server->replies[0]));
	for (size_t i = 1; server->replies[i]; i++) {
		if (!read_command(server))
			break;
		send_all(server->fd, server->replies[i], strlen(server->replies[i]));
	}
	for (size_t i = 0; i < server->flood; i += 4096) {
		char block[4096];

		memset(block, 'x', sizeof(block));
		send_all(server->fd, block, sizeof(block));
	}
	if (server->flood)
		send_all(server->fd, "\n", 1);
	while (server->linger && read_command(server))
		continue;
	close(server->fd);
	return NULL;
}

/* Start a server; the client's end is the result. */
static int server_start(struct server *server, const char *const *replies)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return -1;
	server->fd = fds[0];
	server->replies = replies;
	server->received_fd = -1;
	pthread_create(&server->thread, NULL, serve, server);
	return fds[1];
}

static void server_end(struct server *server, int fd)
{
	close(fd);
	pthread_join(server->thread, NULL);
	if (server->received_fd >= 0)
		close(server->received_fd);
}

static struct ovm_qmp_options options_for(int fd)
{
	return (struct ovm_qmp_options){
		.size = sizeof(struct ovm_qmp_options), .fd = fd, .timeout_ms = 5000};
}

OVM_TEST(qmp, negotiates_and_executes)
{
	const char *const replies[] = {GREETING, OK_1,
				       "{\"return\": {\"running\": true}, \"id\": 2}\r\n", NULL};
	struct server server = {.linger = true};
	int fd = server_start(&server, replies);
	struct ovm_qmp_options options = options_for(fd);
	struct json_object *value, *running;
	struct ovm_qmp *qmp;

	ASSERT_OK(ovm_qmp_connect(&options, &qmp));
	ASSERT_EQ_U64(ovm_qmp_version(qmp)->major, 7);
	ASSERT_EQ_U64(ovm_qmp_version(qmp)->micro, 3);
	ASSERT_STREQ(ovm_qmp_version(qmp)->package, "Debian");
	ASSERT_EQ_U64(ovm_qmp_peer_pid(qmp), getpid());
	ASSERT_OK(ovm_qmp_execute(qmp, "query-status", NULL, &value));
	ASSERT_TRUE(json_object_object_get_ex(value, "running", &running));
	ASSERT_TRUE(json_object_get_boolean(running));
	json_object_put(value);
	ovm_qmp_close(qmp);
	server_end(&server, fd);
}

static void note_event(void *arg, const char *name, struct json_object *data)
{
	strcat(arg, name);
	strcat(arg, data ? "+" : "-");
}

OVM_TEST(qmp, events_and_late_answers_come_between)
{
	const char *const replies[] = {GREETING, "{\"event\": \"A\", \"data\": {}}\r\n" OK_1,
				       "\r\n{\"event\": \"B\"}\n{\"return\": 1, \"id\": "
				       "77}\r\n{\"return\": 2, \"id\": 2}\r\n",
				       NULL};
	struct server server = {.linger = true};
	int fd = server_start(&server, replies);
	struct ovm_qmp_options options = options_for(fd);
	char events[32] = "";
	struct json_object *value;
	struct ovm_qmp *qmp;

	options.event = note_event;
	options.event_arg = events;
	ASSERT_OK(ovm_qmp_connect(&options, &qmp));
	ASSERT_OK(ovm_qmp_execute(qmp, "x", NULL, &value));
	ASSERT_EQ_U64(json_object_get_int(value), 2);
	ASSERT_STREQ(events, "A+B-");
	json_object_put(value);
	ovm_qmp_close(qmp);
	server_end(&server, fd);
}

OVM_TEST(qmp, error_of_qemu_keeps_class_and_description)
{
	const char *const replies[] = {
		GREETING, OK_1,
		"{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"no x\"}, \"id\": 2}\r\n",
		"{\"return\": {}, \"id\": 3}\r\n", NULL};
	struct server server = {.linger = true};
	int fd = server_start(&server, replies);
	struct ovm_qmp_options options = options_for(fd);
	struct ovm_qmp *qmp;

	ASSERT_OK(ovm_qmp_connect(&options, &qmp));
	ASSERT_ERROR(ovm_qmp_execute(qmp, "x", NULL, NULL), OVM_ERROR_UNREACHABLE,
		     "no x (CommandNotFound)");
	ASSERT_STREQ(ovm_qmp_error_class(qmp), "CommandNotFound");
	ASSERT_OK(ovm_qmp_execute(qmp, "y", NULL, NULL));
	ASSERT_STREQ(ovm_qmp_error_class(qmp), "");
	ovm_qmp_close(qmp);
	server_end(&server, fd);
}

OVM_TEST(qmp, passes_descriptors)
{
	const char *const replies[] = {GREETING, OK_1, "{\"return\": {}, \"id\": 2}\r\n", NULL};
	struct server server = {.linger = true};
	int fd = server_start(&server, replies), file = memfd_create("x", MFD_CLOEXEC);
	struct ovm_qmp_options options = options_for(fd);
	struct ovm_qmp *qmp;
	char buf[2] = "";

	ASSERT_OK(ovm_qmp_connect(&options, &qmp));
	ASSERT_OK(ovm_qmp_execute_fd(qmp, "getfd", NULL, file, NULL));
	ASSERT_TRUE(server.received_fd >= 0);
	ASSERT_TRUE(pwrite(file, "z", 1, 0) == 1 && pread(server.received_fd, buf, 1, 0) == 1);
	ASSERT_STREQ(buf, "z");
	close(file);
	ovm_qmp_close(qmp);
	server_end(&server, fd);
}

OVM_TEST(qmp, silence_says_that_another_client_may_be_there)
{
	const char *const replies[] = {"", NULL};
	struct server server = {.linger = true};
	int fd = server_start(&server, replies);
	struct ovm_qmp_options options = options_for(fd);
	struct ovm_qmp *qmp;

	options.timeout_ms = 50;
	ASSERT_ERROR(ovm_qmp_connect(&options, &qmp), OVM_ERROR_UNREACHABLE,
		     "one client at a time");
	server_end(&server, fd);
}

OVM_TEST(qmp, answer_that_does_not_come)
{
	const char *const replies[] = {
		GREETING, OK_1, "{\"event\": \"A\"}\r\n",
		"{\"return\": 2, \"id\": 2}\r\n{\"return\": 3, \"id\": 3}\r\n", NULL};
	struct server server = {.linger = true};
	int fd = server_start(&server, replies);
	struct ovm_qmp_options options = options_for(fd);
	struct json_object *value;
	struct ovm_qmp *qmp;

	ASSERT_OK(ovm_qmp_connect(&options, &qmp));
	ASSERT_EQ_U64(ovm_qmp_set_timeout(qmp, 50), 5000);
	ASSERT_ERROR(ovm_qmp_execute(qmp, "slow", NULL, NULL), OVM_ERROR_UNREACHABLE,
		     "no answer to \"slow\" within 50 ms");
	ovm_qmp_set_timeout(qmp, 5000);
	ASSERT_OK(ovm_qmp_execute(qmp, "next", NULL, &value));
	ASSERT_EQ_U64(json_object_get_int(value), 3);
	json_object_put(value);
	ovm_qmp_close(qmp);
	server_end(&server, fd);
}

OVM_TEST(qmp, server_that_goes_away)
{
	const char *const early[] = {GREETING, NULL};
	const char *const late[] = {GREETING, OK_1, "{\"return\": {", NULL};
	struct server server = {0};
	struct ovm_qmp_options options;
	struct ovm_qmp *qmp;
	int fd = server_start(&server, early);

	options = options_for(fd);
	ASSERT_ERROR(ovm_qmp_connect(&options, &qmp), OVM_ERROR_UNREACHABLE,
		     "closed the connection");
	server_end(&server, fd);
	fd = server_start(&server, late);
	options = options_for(fd);
	ASSERT_OK(ovm_qmp_connect(&options, &qmp));
	ASSERT_ERROR(ovm_qmp_execute(qmp, "x", NULL, NULL), OVM_ERROR_UNREACHABLE,
		     "closed the connection");
	ASSERT_ERROR(ovm_qmp_execute(qmp, "x", NULL, NULL), OVM_ERROR_UNREACHABLE,
		     "closed the connection");
	ovm_qmp_close(qmp);
	server_end(&server, fd);
}

OVM_TEST(qmp, malformed_answers)
{
	static const char *const bad[] = {
		"{\"return\": }\r\n",
		"garbage\r\n",
		"[1]\r\n",
		"\"x\"\r\n",
		"{\"return\": 1\r\n",
		"{\"id\": 2}\r\n",
		"\xff\xfe\r\n",
		"{\"error\": 5, \"id\": 2}\r\n",
		"{\"error\": {\"class\": 1}, \"id\": 2}\r\n",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		const char *const replies[] = {GREETING, OK_1, bad[i], NULL};
		struct server server = {.linger = true};
		int fd = server_start(&server, replies);
		struct ovm_qmp_options options = options_for(fd);
		struct ovm_qmp *qmp;

		ASSERT_OK(ovm_qmp_connect(&options, &qmp));
		ASSERT_ERROR(ovm_qmp_execute(qmp, "x", NULL, NULL), OVM_ERROR_UNREACHABLE, NULL);
		ovm_qmp_close(qmp);
		server_end(&server, fd);
	}
}

OVM_TEST(qmp, answer_that_is_too_long)
{
	const char *const replies[] = {GREETING, OK_1, "", NULL};
	struct server server = {.flood = 1 << 20};
	int fd = server_start(&server, replies);
	struct ovm_qmp_options options = options_for(fd);
	struct ovm_qmp *qmp;

	options.max_reply = 100000;
	ASSERT_OK(ovm_qmp_connect(&options, &qmp));
	ASSERT_ERROR(ovm_qmp_execute(qmp, "x", NULL, NULL), OVM_ERROR_UNREACHABLE,
		     "longer than 100000 bytes");
	ovm_qmp_close(qmp);
	server_end(&server, fd);
}

OVM_TEST(qmp, not_a_qmp_server)
{
	const char *const replies[] = {"{\"hello\": 1}\r\n", NULL};
	struct server server = {.linger = true};
	int fd = server_start(&server, replies);
	struct ovm_qmp_options options = options_for(fd);
	struct ovm_qmp *qmp;

	ASSERT_ERROR(ovm_qmp_connect(&options, &qmp), OVM_ERROR_UNREACHABLE, "not a QMP server");
	server_end(&server, fd);
}

OVM_TEST(qmp, cancelling_ends_a_wait)
{
	const char *const replies[] = {GREETING, OK_1, "", NULL};
	struct server server = {.linger = true};
	int fd = server_start(&server, replies), cancel = eventfd(0, EFD_CLOEXEC);
	struct ovm_qmp_options options = options_for(fd);
	struct ovm_qmp *qmp;
	uint64_t one = 1;

	options.cancel_fd = cancel;
	ASSERT_OK(ovm_qmp_connect(&options, &qmp));
	ASSERT_OK(ovm_qmp_sleep(qmp, 1));
	ASSERT_TRUE(write(cancel, &one, sizeof(one)) == sizeof(one));
	ASSERT_ERROR(ovm_qmp_execute(qmp, "x", NULL, NULL), OVM_ERROR_CANCELLED, NULL);
	ASSERT_ERROR(ovm_qmp_sleep(qmp, 1000), OVM_ERROR_CANCELLED, NULL);
	ASSERT_TRUE(ovm_qmp_set_cancellable(qmp, false));
	ASSERT_OK(ovm_qmp_sleep(qmp, 1));
	close(cancel);
	ovm_qmp_close(qmp);
	server_end(&server, fd);
}

OVM_TEST(qmp, socket_that_is_not_there)
{
	struct ovm_qmp_options options = {.size = sizeof(options), .path = "/nonexistent/qmp"};
	char path[200];
	struct ovm_qmp *qmp;

	ASSERT_ERROR(ovm_qmp_connect(&options, &qmp), OVM_ERROR_UNREACHABLE, "can't connect");
	memset(path, 'p', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	options.path = path;
	ASSERT_ERROR(ovm_qmp_connect(&options, &qmp), OVM_ERROR_USAGE, "shorter than");
	options.path = NULL;
	ASSERT_ERROR(ovm_qmp_connect(&options, &qmp), OVM_ERROR_USAGE, "no QMP socket");
}
