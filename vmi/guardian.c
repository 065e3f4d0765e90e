// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guardian's side of a pause.
 *
 * The watched process may have died in the middle of writing a command.  Byte
 * 0xff, which JSON text in UTF-8 never holds, throws QEMU's parser back to its
 * start (QEMU 7.2, docs/interop/qmp-spec.txt 2.6 and qobject/json-lexer.c); the
 * error that it may answer has no id, so it is passed over like the answers to
 * the dead process' commands.
 */
#include "guardian.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
	/* How long to try to resume a VM, how long to wait for an answer, how long between tries.
	 */
	RESUME_MS = 30000,
	ANSWER_MS = 10000,
	RETRY_MS = 20,
	/* How long the guest is given to do what the heir has told it. */
	INHERIT_MS = 5,
	LINE_BYTES = 8192,
	/* Descriptors of the guardian, from here on up. */
	FIRST_FD = 3,
	FD_ROOM = 64,
};

struct watch {
	int channel, process, qmp, heir_fd;
	const struct sockaddr_un *address;
	bool armed, migration;
	/* Capabilities to set back, as JSON. */
	char undo[OVM_GUARDIAN_PACKET];
	/* Number of the latest command. */
	unsigned int id;
	/* Bytes received, and where a line is being collected. */
	char received[LINE_BYTES];
	size_t start, end;
	char line[LINE_BYTES];
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* Text built without stdio; what doesn't fit is cut. */
struct text {
	char bytes[OVM_GUARDIAN_PACKET + 256];
	size_t len;
};

static void add(struct text *text, const char *bytes)
{
	while (*bytes && text->len + 1 < sizeof(text->bytes))
		text->bytes[text->len++] = *bytes++;
	text->bytes[text->len] = '\0';
}

/* The id of a command, with the quote that ends it. */
static void add_id(struct text *text, unsigned int id)
{
	char digits[16];
	size_t at = sizeof(digits);

	digits[--at] = '\0';
	do {
		digits[--at] = (char)('0' + id % 10);
	} while (id /= 10);
	add(text, "ovm-guardian-");
	add(text, digits + at);
	add(text, "\"");
}

static bool wait_for(int fd, short events, int64_t deadline)
{
	struct pollfd poll_fd = {.fd = fd, .events = events};

	for (;;) {
		int64_t left = deadline - now_ms();
		int n = poll(&poll_fd, 1, left < 0 ? 0 : (int)left);

		if (n > 0)
			return true;
		if (left <= 0)
			return false;
	}
}

static void lose_connection(struct watch *w)
{
	if (w->qmp >= 0)
		close(w->qmp);
	w->qmp = -1;
	w->start = w->end = 0;
}

static bool send_bytes(struct watch *w, const char *bytes, size_t len, int64_t deadline)
{
	while (len) {
		ssize_t n = send(w->qmp, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		} else if (errno != EAGAIN && errno != EINTR) {
			lose_connection(w);
			return false;
		} else if (!wait_for(w->qmp, POLLOUT, deadline)) {
			return false;
		}
	}
	return true;
}

static bool receive_bytes(struct watch *w, int64_t deadline)
{
	for (;;) {
		ssize_t n = recv(w->qmp, w->received, sizeof(w->received), MSG_DONTWAIT);

		if (n > 0) {
			w->start = 0;
			w->end = (size_t)n;
			return true;
		}
		if (!n || (errno != EAGAIN && errno != EINTR)) {
			lose_connection(w);
			return false;
		}
		if (!wait_for(w->qmp, POLLIN, deadline))
			return false;
	}
}

/* Read a line; the end of one that is too long is thrown away, as ours are short. */
static bool read_line(struct watch *w, int64_t deadline)
{
	size_t len = 0;

	for (;;) {
		if (w->start == w->end && !receive_bytes(w, deadline))
			return false;
		char c = w->received[w->start++];

		if (c == '\n') {
			w->line[len] = '\0';
			return true;
		}
		if (c && len + 1 < sizeof(w->line))
			w->line[len++] = c;
	}
}

/* Whether the last line holds @key as a key, with @value behind it. */
static bool line_has(const struct watch *w, const char *key, const char *value)
{
	for (const char *at = w->line; (at = strstr(at, key));) {
		at += strlen(key);
		const char *colon = at + strspn(at, " ");

		if (*colon == ':')
			return !strncmp(colon + 1 + strspn(colon + 1, " "), value, strlen(value));
	}
	return false;
}

/* Execute a command: true when QEMU answered with success; the answer is w->line. */
static bool execute(struct watch *w, const char *command, const char *arguments)
{
	int64_t deadline = now_ms() + ANSWER_MS;
	struct text text = {.len = 0}, id = {.len = 0};

	if (w->qmp < 0)
		return false;
	add_id(&id, ++w->id);
	add(&text, "{\"execute\":\"");
	add(&text, command);
	add(&text, "\",\"arguments\":{");
	add(&text, arguments);
	add(&text, "},\"id\":\"");
	add(&text, id.bytes);
	add(&text, "}\n");
	if (!send_bytes(w, text.bytes, text.len, deadline))
		return false;
	do {
		if (!read_line(w, deadline))
			return false;
	} while (!strstr(w->line, id.bytes));
	return strstr(w->line, "\"return\"") && !strstr(w->line, "\"error\"");
}

static bool reconnect(struct watch *w)
{
	int64_t deadline = now_ms() + ANSWER_MS;

	if (w->address->sun_family != AF_UNIX)
		return false;
	w->qmp = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (w->qmp < 0)
		return false;
	if (connect(w->qmp, (const struct sockaddr *)w->address, sizeof(*w->address)) ||
	    !read_line(w, deadline) || !execute(w, "qmp_capabilities", "")) {
		lose_connection(w);
		return false;
	}
	return true;
}

/* End the dead process' migration. Were it to complete later, it would stop the VM again. */
static bool end_migration(struct watch *w)
{
	struct text arguments = {.len = 0};

	execute(w, "migrate_cancel", "");
	if (!execute(w, "query-migrate", ""))
		return false;
	if (line_has(w, "\"status\"", "\"setup\"") || line_has(w, "\"status\"", "\"active\"") ||
	    line_has(w, "\"status\"", "\"device\"") ||
	    line_has(w, "\"status\"", "\"cancelling\"") ||
	    line_has(w, "\"status\"", "\"pre-switchover\"") ||
	    line_has(w, "\"status\"", "\"wait-unplug\""))
		return false;
	add(&arguments, "\"capabilities\":");
	add(&arguments, w->undo);
	execute(w, "migrate-set-capabilities", arguments.bytes);
	w->migration = false;
	return true;
}

static bool resume_once(struct watch *w)
{
	if (w->qmp < 0 && !reconnect(w))
		return false;
	if (w->migration && !end_migration(w))
		return false;
	execute(w, "cont", "");
	return execute(w, "query-status", "") && line_has(w, "\"running\"", "true");
}

static void resynchronise(struct watch *w)
{
	static const char bytes[] = "\xff\n";

	if (w->qmp >= 0)
		send_bytes(w, bytes, sizeof(bytes) - 1, now_ms() + ANSWER_MS);
}

static bool resume(struct watch *w)
{
	int64_t deadline = now_ms() + RESUME_MS;

	resynchronise(w);
	while (!resume_once(w)) {
		if (now_ms() >= deadline)
			return false;
		poll(NULL, 0, RETRY_MS);
	}
	w->armed = false;
	return true;
}

/* Pause the VM, unless somebody else has, and let the heir do what can be done. */
static bool inherit_once(struct watch *w, const struct ovm_guardian *guardian)
{
	if (w->qmp < 0 && !reconnect(w))
		return false;
	if (!execute(w, "query-status", ""))
		return false;
	bool running = line_has(w, "\"running\"", "true");

	if (running && !execute(w, "stop", "")) {
		resume(w);
		return false;
	}
	bool done = guardian->heir(guardian->heir_arg, w->heir_fd);

	if (running)
		resume(w);
	return done;
}

/* Whose VM runs on, should the heir fall over what it finds. */
static struct watch *inheriting;

static void resume_and_die(int signo)
{
	(void)signo;
	resume(inheriting);
	_exit(1);
}

static void catch_faults(struct watch *w)
{
	const struct sigaction action = {.sa_handler = resume_and_die, .sa_flags = SA_RESETHAND};
	sigset_t faults;

	inheriting = w;
	sigemptyset(&faults);
	sigaddset(&faults, SIGSEGV);
	/* As when guest RAM's file was cut off. */
	sigaddset(&faults, SIGBUS);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	sigprocmask(SIG_UNBLOCK, &faults, NULL);
}

static void inherit(struct watch *w, const struct ovm_guardian *guardian)
{
	int64_t deadline = now_ms() + RESUME_MS;

	catch_faults(w);
	resynchronise(w);
	while (!inherit_once(w, guardian) && now_ms() < deadline)
		poll(NULL, 0, INHERIT_MS);
}

static void answer(struct watch *w, enum ovm_guardian_answer answer)
{
	char byte = (char)answer;

	send(w->channel, &byte, 1, MSG_NOSIGNAL);
}

/* Obey one message; false when the sender has ended. */
static bool serve(struct watch *w)
{
	char packet[OVM_GUARDIAN_PACKET];
	ssize_t n = recv(w->channel, packet, sizeof(packet) - 1, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0)
		return false;
	packet[n] = '\0';
	switch (packet[0]) {
	case OVM_GUARDIAN_ARM:
	case OVM_GUARDIAN_DISARM:
		w->armed = packet[0] == OVM_GUARDIAN_ARM;
		break;
	case OVM_GUARDIAN_MIGRATION:
		memcpy(w->undo, packet + 1, (size_t)n);
		w->migration = true;
		break;
	case OVM_GUARDIAN_NO_MIGRATION:
		w->migration = false;
		break;
	case OVM_GUARDIAN_RESUME:
		answer(w, resume(w) ? OVM_GUARDIAN_DONE : OVM_GUARDIAN_FAILED);
		return true;
	}
	answer(w, OVM_GUARDIAN_DONE);
	return true;
}

static void watch(struct watch *w)
{
	for (;;) {
		/* The process' end shows on the channel, unless another of its children holds it.
		 */
		struct pollfd fds[2] = {
			{.fd = w->channel, .events = POLLIN},
			{.fd = w->process, .events = POLLIN},
		};

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return;
		if (fds[0].revents && !serve(w))
			return;
		if (!fds[0].revents && fds[1].revents)
			return;
	}
}

/* Keep only what is needed: nothing else may stay open because of the guardian. */
static void take_descriptors(struct watch *w)
{
	int *fds[] = {&w->channel, &w->process, &w->qmp, &w->heir_fd};
	const size_t nr = sizeof(fds) / sizeof(*fds);
	int next = FIRST_FD;

	/* First out of the way of where they are to go. */
	for (size_t i = 0; i < nr; i++) {
		if (*fds[i] >= 0)
			*fds[i] = fcntl(*fds[i], F_DUPFD_CLOEXEC, FD_ROOM);
	}
	for (size_t i = 0; i < nr; i++) {
		if (*fds[i] >= 0)
			*fds[i] = dup3(*fds[i], next++, O_CLOEXEC);
	}
	syscall(SYS_close_range, (unsigned int)next, ~0U, 0);

	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; fd < FIRST_FD; fd++)
		null < 0 ? close(fd) : dup2(null, fd);
	if (null >= FIRST_FD)
		close(null);
}

void ovm_guardian_run(const struct ovm_guardian *guardian)
{
	struct watch w = {
		.channel = guardian->channel,
		.process = guardian->process,
		.qmp = guardian->qmp,
		.heir_fd = guardian->heir_fd,
		.address = &guardian->address,
	};

	setsid();
	take_descriptors(&w);
	prctl(PR_SET_NAME, "ovm-guardian");
	/* The last to be killed for memory; its own is shared with the process that it watches. */
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		if (write(fd, "-1000", 5) < 0)
			w.start = 0;
		close(fd);
	}
	answer(&w, OVM_GUARDIAN_DONE);
	watch(&w);
	if (w.armed && guardian->heir)
		guardian->take_over(guardian->heir_arg, w.heir_fd);
	if (w.armed)
		resume(&w);
	if (guardian->heir)
		inherit(&w, guardian);
	_exit(0);
}
