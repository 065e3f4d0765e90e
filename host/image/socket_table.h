/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The Unix sockets of a set, and which of them lead to which.
 *
 * On restore a socket finds the one that it is connected to among those that
 * are described before it, unless the two are connected to each other. Hence
 * the order.
 */
#ifndef OVM_HOST_IMAGE_SOCKET_TABLE_H
#define OVM_HOST_IMAGE_SOCKET_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "image.h"

struct ovm_image_socket {
	const struct ovm_rec_file *file;
	const struct ovm_rec_socket *rec;
	/** The first process that has it, and the lowest of its descriptors that lead to it; of
	 * what is only on its way in a message, those of the socket that the message waits in. */
	const struct ovm_rec_process *process;
	int32_t fd;
	/** No descriptor leads to it. */
	bool only_passed;
	/** Place among all descriptors of sockets. */
	size_t place;
	/** What it is connected to; of a connection that waits to be accepted, the listening
	 * socket. NULL: nothing, or nothing that is here. */
	struct ovm_image_socket *peer;
	/** The peer is connected to this one in turn. */
	bool mutual;
	/** It waits to be accepted by the peer. */
	bool waiting;
	/** Following the peers from here leads back here. */
	bool in_circle;
	/** Sockets that are connected to it, and the first of them in the order of the table. */
	size_t nr_connected;
	const struct ovm_image_socket *first_connected;
	/** Its place in the order. */
	size_t position;
	/** The caller has named it: it may be connected to one that is not saved. */
	bool external;
	/** Why the files that come with its messages can't be sent again: a phrase such as "is not
	 * connected back", or NULL. */
	const char *passed_problem;
	/** Where building the order has got to. */
	enum { OVM_IMAGE_SOCKET_NEW, OVM_IMAGE_SOCKET_ON_PATH, OVM_IMAGE_SOCKET_PLACED } stage;
};

struct ovm_image_socket_table {
	/** By the identity of the struct sock. */
	struct ovm_image_socket *sockets;
	size_t nr;
	/** Peers first; of two that are connected to each other, the one behind the other. */
	struct ovm_image_socket **order;
	/** In the order in which what waits in them is to be described. */
	struct ovm_image_socket **queues;
	/** A sorted list of inode numbers. */
	uint64_t *inos;
};

/** Collect the Unix sockets of a set. The records must outlive the table. */
struct ovm_error *ovm_image_socket_table_create(const struct ovm_image_set *set,
						struct ovm_image_socket_table **ret);

/** Free a table; NULL is fine. */
void ovm_image_socket_table_destroy(struct ovm_image_socket_table *table);

/** The socket with that struct sock; NULL if it is not there. */
struct ovm_image_socket *ovm_image_socket_find(const struct ovm_image_socket_table *table,
					       uint64_t sk);

/** How many sockets have an inode number. */
size_t ovm_image_socket_count_ino(const struct ovm_image_socket_table *table, uint64_t ino);

/** Whether a file is a Unix socket. */
bool ovm_image_file_is_unix_socket(const struct ovm_rec_file *file);

/**
 * The length of the directory that a relative name begins at, as the first part of the path that
 * it is bound to; 0 if the name is not the rest of it.
 */
size_t ovm_image_socket_directory(const struct ovm_rec_unix *socket);

enum {
	/* Types and states of sockets (the kernel's values). */
	OVM_IMAGE_SOCK_STREAM = 1,
	OVM_IMAGE_SOCK_DGRAM = 2,
	OVM_IMAGE_SOCK_SEQPACKET = 5,
	OVM_IMAGE_TCP_ESTABLISHED = 1,
	OVM_IMAGE_TCP_CLOSE = 7,
	OVM_IMAGE_TCP_LISTEN = 10,
	OVM_IMAGE_SHUTDOWN_BOTH = 3,
};

#endif /* OVM_HOST_IMAGE_SOCKET_TABLE_H */
