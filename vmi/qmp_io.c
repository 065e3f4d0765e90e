// SPDX-License-Identifier: GPL-2.0-only
/* Bytes and lines of a QMP connection, with deadlines. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "qmp_private.h"

enum {
	FIRST_BUFFER = 16 << 10,
};

int64_t ovm_qmp_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

const char *ovm_qmp_name(const struct ovm_qmp *qmp)
{
	return qmp->path ?: "the QMP socket";
}

static struct ovm_error *error_gone(const struct ovm_qmp *qmp)
{
	return ovm_error_format(OVM_ERROR_UNREACHABLE,
				"%s: QEMU closed the connection; has the virtual machine ended?",
				ovm_qmp_name(qmp));
}

static struct ovm_error *error_cancelled(void)
{
	return ovm_error_format(OVM_ERROR_CANCELLED, "cancelled on request");
}

struct ovm_error *ovm_qmp_error_timeout(const struct ovm_qmp *qmp, const char *what)
{
	return ovm_error_format(OVM_ERROR_UNREACHABLE,
				"%s: no answer to \"%s\" within %d ms; QEMU is stuck or very busy",
				ovm_qmp_name(qmp), what, qmp->timeout_ms);
}

/* Wait until the socket is ready for @events; *@timed_out is set when the deadline passed. */
static struct ovm_error *qmp_wait(struct ovm_qmp *qmp, short events, int64_t deadline,
				  bool *timed_out)
{
	struct pollfd fds[2] = {
		{.fd = qmp->fd, .events = events},
		{.fd = qmp->cancellable ? qmp->cancel_fd : -1, .events = POLLIN},
	};

	*timed_out = false;
	for (;;) {
		int64_t left = deadline - ovm_qmp_now();
		int n = poll(fds, 2, left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left);

		if (n < 0 && errno != EINTR)
			return ovm_error_errno(OVM_ERROR_UNREACHABLE, errno, qmp->path,
					       "can't wait for QEMU's answer");
		if (n > 0 && fds[1].revents)
			return error_cancelled();
		if (n > 0)
			return NULL;
		if (!n && left <= 0) {
			*timed_out = true;
			return NULL;
		}
	}
}

struct ovm_error *ovm_qmp_sleep(struct ovm_qmp *qmp, int ms)
{
	struct pollfd fd = {.fd = qmp->cancellable ? qmp->cancel_fd : -1, .events = POLLIN};
	int64_t deadline = ovm_qmp_now() + ms;

	for (;;) {
		int64_t left = deadline - ovm_qmp_now();

		if (poll(&fd, 1, left < 0 ? 0 : (int)left) > 0)
			return error_cancelled();
		if (left <= 0)
			return NULL;
	}
}

/* Send bytes, the descriptor @fd (unless negative) along with the first of them. */
static ssize_t send_part(int socket, const char *data, size_t len, int fd)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {(void *)data, len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0) {
		msg.msg_control = control.buf;
		msg.msg_controllen = sizeof(control.buf);
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	}
	return sendmsg(socket, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

struct ovm_error *ovm_qmp_send(struct ovm_qmp *qmp, const char *what, const char *data, size_t len,
			       int fd, int64_t deadline)
{
	while (len) {
		ssize_t n = send_part(qmp->fd, data, len, fd);

		if (n > 0) {
			data += n;
			len -= (size_t)n;
			fd = -1;
		} else if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) {
			return error_gone(qmp);
		} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
			return ovm_error_errno(OVM_ERROR_UNREACHABLE, errno, qmp->path,
					       "can't send \"%s\" to QEMU", what);
		} else if (n < 0 && errno == EAGAIN) {
			bool timed_out;
			struct ovm_error *err = qmp_wait(qmp, POLLOUT, deadline, &timed_out);

			if (err)
				return err;
			if (timed_out)
				return ovm_qmp_error_timeout(qmp, what);
		}
	}
	return NULL;
}

/* Make room for more bytes behind those that wait. */
static struct ovm_error *buffer_reserve(struct ovm_qmp *qmp)
{
	if (qmp->start) {
		memmove(qmp->buf, qmp->buf + qmp->start, qmp->end - qmp->start);
		qmp->end -= qmp->start;
		qmp->scanned -= qmp->start;
		qmp->start = 0;
	}
	if (qmp->end < qmp->capacity)
		return NULL;
	if (qmp->capacity >= qmp->max_reply) {
		qmp->start = qmp->scanned = qmp->end = 0;
		qmp->skipping = true;
		return ovm_error_format(
			OVM_ERROR_UNREACHABLE,
			"%s: QEMU's answer is longer than %zu bytes; is this a QMP socket?",
			ovm_qmp_name(qmp), qmp->max_reply);
	}

	size_t capacity = qmp->capacity ? qmp->capacity * 2 : FIRST_BUFFER;

	if (capacity > qmp->max_reply)
		capacity = qmp->max_reply;
	char *buf = realloc(qmp->buf, capacity);

	if (!buf)
		return ovm_error_no_memory();
	qmp->buf = buf;
	qmp->capacity = capacity;
	return NULL;
}

/* Receive what there is, waiting for something if there is nothing. */
static struct ovm_error *qmp_receive(struct ovm_qmp *qmp, int64_t deadline, bool *timed_out)
{
	struct ovm_error *err = buffer_reserve(qmp);

	*timed_out = false;
	while (!err) {
		ssize_t n =
			recv(qmp->fd, qmp->buf + qmp->end, qmp->capacity - qmp->end, MSG_DONTWAIT);

		if (n > 0) {
			qmp->end += (size_t)n;
			return NULL;
		}
		if (!n || (errno == ECONNRESET))
			return error_gone(qmp);
		if (errno == EAGAIN) {
			err = qmp_wait(qmp, POLLIN, deadline, timed_out);
			if (*timed_out)
				return NULL;
		} else if (errno != EINTR) {
			return ovm_error_errno(OVM_ERROR_UNREACHABLE, errno, qmp->path,
					       "can't read QEMU's answer");
		}
	}
	return err;
}

/* Take the next line out of the buffer: false when there is no whole one yet. */
static bool take_line(struct ovm_qmp *qmp, const char **line, size_t *len)
{
	for (;;) {
		if (qmp->scanned == qmp->end)
			return false;

		char *newline = memchr(qmp->buf + qmp->scanned, '\n', qmp->end - qmp->scanned);

		if (!newline) {
			qmp->scanned = qmp->end;
			if (qmp->skipping)
				qmp->start = qmp->end;
			return false;
		}
		*line = qmp->buf + qmp->start;
		*len = (size_t)(newline - *line);
		qmp->start = qmp->scanned = (size_t)(newline - qmp->buf) + 1;
		if (!qmp->skipping && *len > strspn(*line, " \t\r\n"))
			return true;
		qmp->skipping = false;
	}
}

struct ovm_error *ovm_qmp_read_line(struct ovm_qmp *qmp, int64_t deadline, const char **line,
				    size_t *len)
{
	while (!take_line(qmp, line, len)) {
		bool timed_out;
		struct ovm_error *err = qmp_receive(qmp, deadline, &timed_out);

		if (err)
			return err;
		if (timed_out) {
			*line = NULL;
			return NULL;
		}
	}
	return NULL;
}
