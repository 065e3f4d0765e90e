/* SPDX-License-Identifier: GPL-2.0-only */
/* Sockets of IPv4 and IPv6: numbers of the kernel, and what they are by them. */
#ifndef OVM_HOST_IMAGE_INET_SOCKET_H
#define OVM_HOST_IMAGE_INET_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "image.h"

enum {
	OVM_IMAGE_AF_INET = 2,
	OVM_IMAGE_AF_INET6 = 10,
	OVM_IMAGE_SOCK_RAW = 3,
	OVM_IMAGE_IPPROTO_IP = 0,
	OVM_IMAGE_IPPROTO_TCP = 6,
	OVM_IMAGE_IPPROTO_UDP = 17,
	OVM_IMAGE_IPPROTO_UDPLITE = 136,
};

/* States of a connection (the kernel's values) that images have. */
enum ovm_image_tcp_state {
	OVM_IMAGE_TCP_FIN_WAIT1 = 4,
	OVM_IMAGE_TCP_FIN_WAIT2 = 5,
	OVM_IMAGE_TCP_CLOSE_WAIT = 8,
	OVM_IMAGE_TCP_LAST_ACK = 9,
	OVM_IMAGE_TCP_CLOSING = 11,
};

/** Whether a file is a socket of IPv4 or IPv6. */
bool ovm_image_file_is_inet_socket(const struct ovm_rec_file *file);

/** Whether a socket has a TCP connection, or had one, whose state belongs into an image. */
bool ovm_image_has_tcp_stream(const struct ovm_rec_socket *socket);

/** Whether its address is only unique on a link. */
bool ovm_image_is_link_local(const struct ovm_rec_socket *socket);

#endif /* OVM_HOST_IMAGE_INET_SOCKET_H */
