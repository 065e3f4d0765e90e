// SPDX-License-Identifier: GPL-2.0-only
#include "pool.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
	ALIGNMENT = 16,
	CHUNK_SIZE = 32 << 10,
};

struct ovm_image_chunk {
	struct ovm_image_chunk *next;
	size_t used, size;
	alignas(ALIGNMENT) unsigned char bytes[];
};

static struct ovm_image_chunk *add_chunk(struct ovm_image_pool *pool, size_t need)
{
	size_t size = need > CHUNK_SIZE ? need : CHUNK_SIZE;

	if (size > SIZE_MAX - sizeof(struct ovm_image_chunk))
		return NULL;
	struct ovm_image_chunk *chunk = calloc(1, sizeof(*chunk) + size);

	if (!chunk)
		return NULL;
	chunk->size = size;
	chunk->next = pool->chunks;
	pool->chunks = chunk;
	return chunk;
}

void *ovm_image_alloc(struct ovm_image_pool *pool, size_t nr, size_t size)
{
	struct ovm_image_chunk *chunk = pool->chunks;
	size_t bytes;

	if (__builtin_mul_overflow(nr, size, &bytes) || bytes > SIZE_MAX - ALIGNMENT)
		return NULL;
	bytes = (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	if (!chunk || bytes > chunk->size - chunk->used)
		chunk = add_chunk(pool, bytes);
	if (!chunk)
		return NULL;
	void *ret = chunk->bytes + chunk->used;

	chunk->used += bytes;
	return ret;
}

char *ovm_image_string(struct ovm_image_pool *pool, const void *bytes, size_t len)
{
	if (len == SIZE_MAX)
		return NULL;
	char *ret = ovm_image_alloc(pool, len + 1, 1);

	if (ret && len)
		memcpy(ret, bytes, len);
	return ret;
}

void ovm_image_pool_deinit(struct ovm_image_pool *pool)
{
	while (pool->chunks) {
		struct ovm_image_chunk *next = pool->chunks->next;

		free(pool->chunks);
		pool->chunks = next;
	}
}
