/* SPDX-License-Identifier: GPL-2.0-only */
/* Options that sockets of all families have, as images have them. */
#ifndef OVM_HOST_IMAGE_SK_OPTS_H
#define OVM_HOST_IMAGE_SK_OPTS_H

#include "pool.h"
#include "proto/sk-opts.pb-c.h"
#include "vmi/error.h"
#include "vmi/extract/record.h"

/** Fill in a message; what it refers to is allocated in @pool. */
struct ovm_error *ovm_image_fill_sk_opts(struct ovm_image_pool *pool,
					 const struct ovm_rec_sock_opts *opts, SkOptsEntry *entry);

#endif /* OVM_HOST_IMAGE_SK_OPTS_H */
