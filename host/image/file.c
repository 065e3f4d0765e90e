// SPDX-License-Identifier: GPL-2.0-only
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmi/cleanup.h"

enum { BUFFER_SIZE = 64 << 10 };

struct ovm_image_file {
	/* What protobuf-c packs into; must come first. */
	ProtobufCBuffer base;
	int fd;
	/* Of the first write that failed. */
	int errnum;
	size_t used;
	char name[OVM_IMAGE_NAME_MAX];
	uint8_t buffer[BUFFER_SIZE];
};

static int write_all(int fd, const uint8_t *data, size_t len)
{
	while (len) {
		ssize_t written = write(fd, data, len);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return written ? errno : EIO;
		data += written;
		len -= (size_t)written;
	}
	return 0;
}

static void flush(struct ovm_image_file *file)
{
	if (!file->errnum && file->used)
		file->errnum = write_all(file->fd, file->buffer, file->used);
	file->used = 0;
}

static void append(struct ovm_image_file *file, const uint8_t *data, size_t len)
{
	while (len && !file->errnum) {
		size_t room = BUFFER_SIZE - file->used;
		size_t part = len < room ? len : room;

		memcpy(file->buffer + file->used, data, part);
		file->used += part;
		data += part;
		len -= part;
		if (file->used == BUFFER_SIZE)
			flush(file);
	}
}

static void append_packed(ProtobufCBuffer *buffer, size_t len, const uint8_t *data)
{
	append((struct ovm_image_file *)buffer, data, len);
}

static struct ovm_error *failed(const struct ovm_image_file *file, int errnum)
{
	if (!errnum)
		return NULL;
	return ovm_error_errno(OVM_ERROR_OUTPUT, errnum, file->name, "can't write %s", file->name);
}

struct ovm_error *ovm_image_file_create(int dir_fd, enum ovm_image_type type, uint64_t number,
					struct ovm_image_file **ret)
{
	struct ovm_image_file *file = malloc(sizeof(*file));
	uint32_t magic[2];

	*ret = NULL;
	if (!file)
		return ovm_error_no_memory();
	file->base.append = append_packed;
	file->errnum = 0;
	file->used = 0;
	ovm_image_name(type, number, file->name);
	file->fd = openat(dir_fd, file->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (file->fd < 0) {
		struct ovm_error *err = ovm_error_errno(OVM_ERROR_OUTPUT, errno, file->name,
							"can't create %s", file->name);

		free(file);
		return err;
	}
	append(file, (const uint8_t *)magic, ovm_image_magic(type, magic) * sizeof(magic[0]));
	*ret = file;
	return NULL;
}

struct ovm_error *ovm_image_file_put(struct ovm_image_file *file, const ProtobufCMessage *message)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	uint32_t prefix = (uint32_t)size;

	/* CRIU reads the length into an int. */
	if (size > INT_MAX)
		return failed(file, EFBIG);
	append(file, (const uint8_t *)&prefix, sizeof(prefix));
	protobuf_c_message_pack_to_buffer(message, &file->base);
	return failed(file, file->errnum);
}

struct ovm_error *ovm_image_file_append(struct ovm_image_file *file, const void *bytes, size_t len)
{
	append(file, bytes, len);
	return failed(file, file->errnum);
}

struct ovm_error *ovm_image_file_finish(struct ovm_image_file *file)
{
	flush(file);
	int fd = file->fd;

	file->fd = -1;
	if (close(fd) && !file->errnum)
		file->errnum = errno;
	struct ovm_error *err = failed(file, file->errnum);

	free(file);
	return err;
}

void ovm_image_file_discard(struct ovm_image_file *file)
{
	if (!file)
		return;
	close(file->fd);
	free(file);
}

struct ovm_error *ovm_image_file_write(int dir_fd, enum ovm_image_type type, uint64_t number,
				       const ProtobufCMessage *message)
{
	_cleanup_image_file_ struct ovm_image_file *file = NULL;
	struct ovm_error *err = ovm_image_file_create(dir_fd, type, number, &file);

	if (!err)
		err = ovm_image_file_put(file, message);
	return err ? err : ovm_image_file_finish(ovm_take_pointer(file));
}
