/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What leads out of the processes that are saved, and may: the caller sees to it when restoring.
 */
#ifndef OVM_HOST_IMAGE_EXTERNAL_H
#define OVM_HOST_IMAGE_EXTERNAL_H

#include <stdbool.h>

#include "file_table.h"
#include "socket_table.h"

/** Whether text is of the form "unix[INODE]" or "pipe[INODE]". */
bool ovm_image_is_external_name(const char *text);

/** Whether the caller has named a pipe, or a Unix socket. */
bool ovm_image_is_external(const struct ovm_image_set *set, const struct ovm_rec_file *file);

/** Whether a socket is connected to one that is not saved, which the caller has allowed. */
bool ovm_image_leads_to_external(const struct ovm_image_socket *socket);

struct ovm_image_file;

/** The entries of sockets outside, which the others find by their inode numbers. */
struct ovm_error *ovm_image_put_external_sockets(struct ovm_image_file *image,
						 const struct ovm_image_file_table *files,
						 const struct ovm_image_socket_table *sockets);

#endif /* OVM_HOST_IMAGE_EXTERNAL_H */
