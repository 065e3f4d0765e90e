/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory for the parts of a message, all freed at once. */
#ifndef OVM_HOST_IMAGE_POOL_H
#define OVM_HOST_IMAGE_POOL_H

#include <stddef.h>

struct ovm_image_chunk;

struct ovm_image_pool {
	struct ovm_image_chunk *chunks;
};

/** Allocate @nr zeroed elements of @size bytes, aligned to 16; NULL when memory is out. */
void *ovm_image_alloc(struct ovm_image_pool *pool, size_t nr, size_t size);

/** Copy @len bytes and end them with a NUL. */
char *ovm_image_string(struct ovm_image_pool *pool, const void *bytes, size_t len);

/** Free everything; the pool is empty and usable afterwards. */
void ovm_image_pool_deinit(struct ovm_image_pool *pool);

#define ovm_image_new(pool, type) ((type *)ovm_image_alloc((pool), 1, sizeof(type)))
#define _cleanup_pool_		  __attribute__((cleanup(ovm_image_pool_deinit)))

#endif /* OVM_HOST_IMAGE_POOL_H */
