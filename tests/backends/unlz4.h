/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A decoder of LZ4 blocks, for tests on machines without liblz4.
 *
 * A block is a row of sequences: a byte with two lengths (literals, match - 4), more bytes of the
 * first where it is 15, the literals, the offset of the match (16 bits, little endian), more bytes
 * of the second length. The last sequence ends after its literals. Source: LZ4 1.9.4,
 * doc/lz4_Block_format.md.
 */
#ifndef OVM_TESTS_BACKENDS_UNLZ4_H
#define OVM_TESTS_BACKENDS_UNLZ4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Add what goes on after a length of 15. */
static inline bool unlz4_length(const uint8_t *in, size_t size, size_t *at, size_t *length)
{
	uint8_t byte = 255;

	if (*length != 15)
		return true;
	while (byte == 255) {
		if (*at == size)
			return false;
		byte = in[(*at)++];
		*length += byte;
	}
	return true;
}

/** Decode a block that makes exactly @out_size bytes; false if it doesn't. */
static inline bool unlz4(const uint8_t *in, size_t size, uint8_t *out, size_t out_size)
{
	size_t at = 0, done = 0;

	while (at < size) {
		uint8_t token = in[at++];
		size_t literals = token >> 4, match = token & 15, offset;

		if (!unlz4_length(in, size, &at, &literals) || literals > size - at ||
		    literals > out_size - done)
			return false;
		memcpy(out + done, in + at, literals);
		at += literals;
		done += literals;
		if (at == size)
			break;
		if (size - at < 2)
			return false;
		offset = in[at] | (size_t)in[at + 1] << 8;
		at += 2;
		if (!unlz4_length(in, size, &at, &match))
			return false;
		match += 4;
		if (!offset || offset > done || match > out_size - done)
			return false;
		for (; match; match--, done++)
			out[done] = out[done - offset];
	}
	return done == out_size;
}

#endif /* OVM_TESTS_BACKENDS_UNLZ4_H */
