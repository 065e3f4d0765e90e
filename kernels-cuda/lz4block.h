/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An encoder of LZ4 blocks.
 *
 * A block is a chain of sequences:
 *
 *	token | more literal length | literals | offset (16 bits) | more match length
 *
 * The upper half of the token is the number of literals, the lower half that of
 * matching bytes less 4; 15 means that bytes follow which are added, up to the
 * first that isn't 255. A match copies from offset bytes back, 1 to 65535. The
 * last sequence ends with its literals. The last 5 bytes are literals, and the last match
 * starts 12 bytes before the end or earlier.
 *
 * Source: LZ4 1.9.4, doc/lz4_Block_format.md.
 *
 * One thread encodes a block, greedily: it remembers where it last saw what hashes alike, and
 * strides the longer the less it finds. How fast that is on a GPU has not been measured.
 */
#ifndef OVM_KERNELS_CUDA_LZ4BLOCK_H
#define OVM_KERNELS_CUDA_LZ4BLOCK_H

#include <stdbool.h>

#include "lanes.h"
#include "run.h"

enum {
	OVM_LZ4_TABLE_BITS = 12,
	/** Entries of the encoder's table. */
	OVM_LZ4_TABLE = 1 << OVM_LZ4_TABLE_BITS,
	OVM_LZ4_MIN_MATCH = 4,
	OVM_LZ4_LAST_LITERALS = 5,
	OVM_LZ4_LAST_MATCH = 12,
	OVM_LZ4_MAX_DISTANCE = 65535,
	/** What can be asked for as acceleration. */
	OVM_LZ4_MAX_ACCELERATION = 65537,
	/* Positions without a match after which the stride grows, as a power of two. */
	OVM_LZ4_PATIENCE = 6,
};

struct ovm_lz4_output {
	uint8_t *data;
	uint32_t used;
	uint32_t size;
};

static inline OVM_HD uint32_t ovm_lz4_load(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline OVM_HD uint32_t ovm_lz4_hash(uint32_t word)
{
	return word * UINT32_C(2654435761) >> (32 - OVM_LZ4_TABLE_BITS);
}

/** How many of up to @max bytes are the same at two places. */
static inline OVM_HD uint32_t ovm_lz4_match(const uint8_t *a, const uint8_t *b, uint32_t max)
{
	uint32_t n = 0;

	while (n + 4 <= max && ovm_lz4_load(a + n) == ovm_lz4_load(b + n))
		n += 4;
	while (n < max && a[n] == b[n])
		n++;
	return n;
}

/** Bytes that a length takes beside the token. */
static inline OVM_HD uint32_t ovm_lz4_length_size(uint32_t length)
{
	return length < 15 ? 0 : 1 + (length - 15) / 255;
}

static inline OVM_HD void ovm_lz4_put_length(struct ovm_lz4_output *out, uint32_t length)
{
	if (length < 15)
		return;
	for (length -= 15; length >= 255; length -= 255)
		out->data[out->used++] = 255;
	out->data[out->used++] = (uint8_t)length;
}

/**
 * Put a sequence; a match of 0 bytes means the last one. False when there is no room for it.
 */
static inline OVM_HD bool ovm_lz4_put(struct ovm_lz4_output *out, const uint8_t *literals,
				      uint32_t nr_literals, uint32_t distance, uint32_t match)
{
	uint32_t more = match ? match - OVM_LZ4_MIN_MATCH : 0;
	uint32_t size = 1 + ovm_lz4_length_size(nr_literals) + nr_literals +
			(match ? 2 + ovm_lz4_length_size(more) : 0);

	if (size > out->size - out->used)
		return false;
	out->data[out->used++] =
		(uint8_t)((nr_literals < 15 ? nr_literals : 15) << 4 | (more < 15 ? more : 15));
	ovm_lz4_put_length(out, nr_literals);
	for (uint32_t i = 0; i < nr_literals; i++)
		out->data[out->used++] = literals[i];
	if (match) {
		out->data[out->used++] = (uint8_t)distance;
		out->data[out->used++] = (uint8_t)(distance >> 8);
		ovm_lz4_put_length(out, more);
	}
	return true;
}

/**
 * Encode @nr bytes, less than 2 GiB, into a block of at most @size bytes.
 *
 * @table: OVM_LZ4_TABLE entries, all 0. What else they hold does no harm, but what the block
 *	becomes depends on it.
 * @acceleration: 1 to OVM_LZ4_MAX_ACCELERATION
 *
 * Returns the block's size, or 0 if it would be larger.
 */
static inline OVM_HD uint32_t ovm_lz4_encode(const uint8_t *in, uint32_t nr, uint8_t *data,
					     uint32_t size, uint16_t *table, uint32_t acceleration)
{
	struct ovm_lz4_output out;
	uint32_t anchor = 0, misses = acceleration << OVM_LZ4_PATIENCE;

	out.data = data;
	out.used = 0;
	out.size = size;
	for (uint32_t at = 0; nr >= OVM_LZ4_LAST_MATCH && at <= nr - OVM_LZ4_LAST_MATCH;) {
		uint32_t word = ovm_lz4_load(in + at);
		uint32_t hash = ovm_lz4_hash(word);
		/* The table has the lower 16 bits of a position, and a match is never farther. */
		uint32_t distance = (at - table[hash]) & OVM_LZ4_MAX_DISTANCE;

		table[hash] = (uint16_t)at;
		if (!distance || distance > at || ovm_lz4_load(in + at - distance) != word) {
			at += misses++ >> OVM_LZ4_PATIENCE;
			continue;
		}

		uint32_t end = at + OVM_LZ4_MIN_MATCH;

		end += ovm_lz4_match(in + end, in + end - distance,
				     nr - OVM_LZ4_LAST_LITERALS - end);
		while (at > anchor && at > distance && in[at - 1] == in[at - 1 - distance])
			at--;
		if (!ovm_lz4_put(&out, in + anchor, at - anchor, distance, end - at))
			return 0;
		at = end;
		anchor = end;
		misses = acceleration << OVM_LZ4_PATIENCE;
	}
	return ovm_lz4_put(&out, in + anchor, nr - anchor, 0, 0) ? out.used : 0;
}

/** Consecutive pages that are one block. */
struct ovm_lz4_block {
	uint32_t first;
	uint32_t nr_pages;
};

/**
 * The most bytes that a block may take to be worth it: reading what is stored as it is is faster.
 */
static inline OVM_HD uint32_t ovm_lz4_worth(uint32_t nr_pages)
{
	return nr_pages * (OVM_PAGE_SIZE / 8 * 7) - 1;
}

/** What a kernel is told: pages in device memory, and how they are blocks. */
struct ovm_compress_args {
	const uint8_t *pages;
	const struct ovm_lz4_block *blocks;
	uint32_t nr;
	uint32_t acceleration;
	/** The block that begins with page n goes to n pages from here. */
	uint8_t *out;
	/** Becomes the size of each block; that of its pages when it isn't worth it. */
	uint32_t *sizes;
};

enum {
	/** LZ4 blocks that a block encodes: one by the first thread of every other warp. */
	OVM_COMPRESS_BLOCKS = 4,
};

static inline OVM_HD void ovm_compress_body(const struct ovm_compress_args *args, uint32_t block)
{
	OVM_SHARED(uint16_t, tables[OVM_COMPRESS_BLOCKS * OVM_LZ4_TABLE]);

	OVM_LANES(i, OVM_COMPRESS_BLOCKS * OVM_LZ4_TABLE)
		tables[i] = 0;
	OVM_SYNC();
	OVM_LANES(lane, OVM_BLOCK_LANES) {
		const uint32_t lanes = OVM_BLOCK_LANES / OVM_COMPRESS_BLOCKS;
		uint32_t i = block * OVM_COMPRESS_BLOCKS + lane / lanes;

		if (lane % lanes || i >= args->nr)
			continue;

		uint64_t offset = (uint64_t)args->blocks[i].first << OVM_PAGE_SHIFT;
		uint32_t bytes = args->blocks[i].nr_pages << OVM_PAGE_SHIFT;
		uint32_t size =
			ovm_lz4_encode(args->pages + offset, bytes, args->out + offset,
				       ovm_lz4_worth(args->blocks[i].nr_pages),
				       tables + lane / lanes * OVM_LZ4_TABLE, args->acceleration);

		args->sizes[i] = size ? size : bytes;
	}
}

#endif /* OVM_KERNELS_CUDA_LZ4BLOCK_H */
