/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Writing one image: magic, then records.
 *
 * Files are made with O_EXCL and mode 0600, and are written through a buffer.
 * Nothing is synced: when and whether that is done is the caller's policy.
 */
#ifndef OVM_HOST_IMAGE_FILE_H
#define OVM_HOST_IMAGE_FILE_H

#include <protobuf-c/protobuf-c.h>
#include <stdint.h>

#include "table.h"
#include "vmi/error.h"

struct ovm_image_file;

/** Create the image in the directory @dir_fd. Errors: OVM_ERROR_OUTPUT, OVM_ERROR_NO_MEMORY. */
struct ovm_error *ovm_image_file_create(int dir_fd, enum ovm_image_type type, uint64_t number,
					struct ovm_image_file **ret);

/** Append a record. After an error the file is only good for ovm_image_file_discard(). */
struct ovm_error *ovm_image_file_put(struct ovm_image_file *file, const ProtobufCMessage *message);

/** Append bytes that belong to no record. */
struct ovm_error *ovm_image_file_append(struct ovm_image_file *file, const void *bytes, size_t len);

/** Write what is buffered, close the file and free it, also after an error. */
struct ovm_error *ovm_image_file_finish(struct ovm_image_file *file);

/** Close the file without writing what is buffered, and free it; NULL is fine. */
void ovm_image_file_discard(struct ovm_image_file *file);

static inline void ovm_cleanup_image_file(struct ovm_image_file **file)
{
	ovm_image_file_discard(*file);
}

#define _cleanup_image_file_ __attribute__((cleanup(ovm_cleanup_image_file)))

/** Write an image of a single record. */
struct ovm_error *ovm_image_file_write(int dir_fd, enum ovm_image_type type, uint64_t number,
				       const ProtobufCMessage *message);

#endif /* OVM_HOST_IMAGE_FILE_H */
