// SPDX-License-Identifier: GPL-2.0-only
/* Where copied pages go. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../vmi/cleanup.h"
#include "backend.h"

struct ovm_page_sink {
	ovm_sink_write_fn *write;
	void *arg;
	/* File. */
	int fd;
	uint64_t base;
	char *path;
	/* Buffer. */
	uint8_t *buf;
	size_t size;
};

struct ovm_error *ovm_page_sink_write(struct ovm_page_sink *sink, const struct iovec *iov,
				      int nr_iov, uint64_t offset)
{
	return sink->write(sink->arg, iov, nr_iov, offset);
}

struct ovm_error *ovm_page_sink_create(ovm_sink_write_fn *write, void *arg,
				       struct ovm_page_sink **ret)
{
	struct ovm_page_sink *sink = calloc(1, sizeof(*sink));

	*ret = sink;
	if (!sink)
		return ovm_error_no_memory();
	sink->write = write;
	sink->arg = arg;
	sink->fd = -1;
	return NULL;
}

void ovm_page_sink_destroy(struct ovm_page_sink *sink)
{
	if (!sink)
		return;
	free(sink->path);
	free(sink);
}

static struct ovm_error *file_error(const struct ovm_page_sink *sink, int errnum)
{
	const char *name = sink->path ? sink->path : "the pages file";

	/* The kernel can't read the source: the guest's RAM file was truncated or went bad. */
	if (errnum == EFAULT)
		return ovm_error_errno(OVM_ERROR_UNREACHABLE, errnum, sink->path,
				       "guest RAM can't be read while writing %s", name);
	if (errnum == ENOSPC || errnum == EDQUOT)
		return ovm_error_errno(OVM_ERROR_OUTPUT, errnum, sink->path,
				       "can't write %s, make room and try again", name);
	return ovm_error_errno(OVM_ERROR_OUTPUT, errnum, sink->path, "can't write %s", name);
}

/* Drop the first @n bytes of an array of buffers; returns how many buffers are left. */
static int iov_advance(struct iovec **iov, int nr, size_t n)
{
	while (nr && n >= (*iov)->iov_len) {
		n -= (*iov)->iov_len;
		(*iov)++;
		nr--;
	}
	if (nr) {
		(*iov)->iov_base = (uint8_t *)(*iov)->iov_base + n;
		(*iov)->iov_len -= n;
	}
	return nr;
}

static struct ovm_error *file_write(void *arg, const struct iovec *iov, int nr, uint64_t offset)
{
	struct ovm_page_sink *sink = arg;
	struct iovec rest[IOV_MAX];
	struct iovec *next = rest;
	uint64_t position = sink->base + offset;

	memcpy(rest, iov, (size_t)nr * sizeof(*iov));
	while (nr) {
		ssize_t n = pwritev(sink->fd, next, nr, (off_t)position);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return file_error(sink, n ? errno : EIO);
		position += (uint64_t)n;
		nr = iov_advance(&next, nr, (size_t)n);
	}
	return NULL;
}

struct ovm_error *ovm_page_sink_create_file(int fd, uint64_t base, const char *path,
					    struct ovm_page_sink **ret)
{
	struct ovm_page_sink *sink = NULL;
	struct ovm_error *err = ovm_page_sink_create(file_write, NULL, &sink);

	if (err)
		return err;
	sink->arg = sink;
	sink->fd = fd;
	sink->base = base;
	sink->path = path ? strdup(path) : NULL;
	if (path && !sink->path) {
		ovm_page_sink_destroy(sink);
		*ret = NULL;
		return ovm_error_no_memory();
	}
	*ret = sink;
	return NULL;
}

static struct ovm_error *buffer_write(void *arg, const struct iovec *iov, int nr, uint64_t offset)
{
	struct ovm_page_sink *sink = arg;

	for (int i = 0; i < nr; i++) {
		if (offset > sink->size || iov[i].iov_len > sink->size - offset)
			return ovm_error_format(OVM_ERROR_OUTPUT,
						"the buffer for pages is too small");
		memcpy(sink->buf + offset, iov[i].iov_base, iov[i].iov_len);
		offset += iov[i].iov_len;
	}
	return NULL;
}

struct ovm_error *ovm_page_sink_create_buffer(void *buf, size_t size, struct ovm_page_sink **ret)
{
	struct ovm_page_sink *sink = NULL;
	struct ovm_error *err = ovm_page_sink_create(buffer_write, NULL, &sink);

	if (err)
		return err;
	sink->arg = sink;
	sink->buf = buf;
	sink->size = size;
	*ret = sink;
	return NULL;
}

static struct ovm_error *discard_write(void *arg, const struct iovec *iov, int nr, uint64_t offset)
{
	(void)arg;
	(void)iov;
	(void)nr;
	(void)offset;
	return NULL;
}

struct ovm_error *ovm_page_sink_create_discard(struct ovm_page_sink **ret)
{
	return ovm_page_sink_create(discard_write, NULL, ret);
}
