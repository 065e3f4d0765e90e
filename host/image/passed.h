/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Files on their way in messages.
 *
 * CRIU opens each of them in the process that sends the message again, which is one that has the
 * other end of the socket. There it has the descriptor of another file, if it is one that is
 * opened in this process anyway, or else one that is closed when all is restored.
 */
#ifndef OVM_HOST_IMAGE_PASSED_H
#define OVM_HOST_IMAGE_PASSED_H

#include "image.h"
#include "socket_table.h"

/** The first of all files of a set: those behind descriptors, those mapped, those on their way. */
const struct ovm_rec_file *ovm_image_set_files(const struct ovm_image_set *set);

/**
 * Put the queues of a table in the order in which CRIU can send again what waits in them, and find
 * out where it can't.
 */
struct ovm_error *ovm_image_plan_queues(struct ovm_image_socket_table *table,
					const struct ovm_image_set *set);

#endif /* OVM_HOST_IMAGE_PASSED_H */
