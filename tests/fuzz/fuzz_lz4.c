// SPDX-License-Identifier: GPL-2.0-only
/*
 * The encoder of LZ4 blocks. What it makes must decode to what it was given, stay in the room it
 * was given, and fit where it said it fits.
 *
 * Input: a byte of acceleration, 2 of room, then a program that makes a block, since matches as far
 * apart as the format allows would take inputs that are as long:
 *
 *	0..127 N bytes        the bytes
 *	128..191 LOW HIGH     so many of the last byte
 *	192..255 LOW HIGH L H copy so many from so far back
 */
#include <lz4.h>
#include <stdlib.h>
#include <string.h>

#include "kernels-cuda/lz4block.h"

enum { MAX_BLOCK = 256 << 10 };

static uint8_t block[MAX_BLOCK], back[MAX_BLOCK];
static uint16_t table[OVM_LZ4_TABLE];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The next byte of the input; 0 behind its end. */
static uint8_t next(const uint8_t **data, size_t *size)
{
	if (!*size)
		return 0;
	(*size)--;
	return *(*data)++;
}

static uint32_t next_word(const uint8_t **data, size_t *size)
{
	uint32_t low = next(data, size);

	return low | (uint32_t)next(data, size) << 8;
}

static uint32_t make_block(const uint8_t *data, size_t size)
{
	uint32_t nr = 0;

	while (size && nr < MAX_BLOCK) {
		uint8_t op = next(&data, &size);
		uint32_t distance = op < 192 ? 1 : next_word(&data, &size);
		uint32_t length = op < 128 ? op : next_word(&data, &size);

		for (; length && nr < MAX_BLOCK; length--, nr++) {
			if (op < 128)
				block[nr] = next(&data, &size);
			else
				block[nr] = distance && distance <= nr ? block[nr - distance] : op;
		}
	}
	return nr;
}

static uint32_t check(uint32_t nr, uint32_t room, uint32_t acceleration, int junk)
{
	/* Of its own, so that writing past its end is noticed. */
	uint8_t *out = malloc(room ? room : 1);

	if (!out)
		return 0;
	memset(table, junk, sizeof(table));

	uint32_t size = ovm_lz4_encode(block, nr, out, room, table, acceleration);

	if (size > room)
		abort();
	memset(back, 0xa5, nr);
	if (size &&
	    (LZ4_decompress_safe((const char *)out, (char *)back, (int)size, (int)nr) != (int)nr ||
	     memcmp(block, back, nr)))
		abort();
	free(out);
	return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t acceleration = 1 + next(&data, &size) % 64;
	uint32_t room = next_word(&data, &size);
	uint32_t nr = make_block(data, size);
	uint32_t needed = check(nr, (uint32_t)LZ4_compressBound((int)nr), acceleration, 0);

	if (!needed)
		abort();
	if (check(nr, needed, acceleration, 0) != needed || check(nr, needed - 1, acceleration, 0))
		abort();
	/* Junk in the table makes another block, but none that is wrong. */
	check(nr, room, acceleration, (int)(room & 0xff));
	return 0;
}
