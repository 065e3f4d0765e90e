// SPDX-License-Identifier: GPL-2.0-only
/*
 * A block is a row of sequences (LZ4's block format, lz4_Block_format.md of version 1.9):
 *
 * | token | more of the literals' length | literals | distance, 2 bytes | more of the match's
 * length |
 *
 * The token's upper half is the number of literals, its lower half that of the bytes that are
 * repeated from @distance before, less 4. 15 means that bytes follow which count too, up to the
 * first one that isn't 255. The last sequence ends behind its literals.
 */
#include "lz4.h"

#include <string.h>

enum {
	MORE = 15,
	LAST = 255,
	MIN_MATCH = 4,
};

struct input {
	const uint8_t *next, *end;
};

/* A length that begins with a half of the token. */
static bool take_length(struct input *in, unsigned int half, size_t *ret)
{
	uint8_t more = LAST;

	*ret = half;
	if (half != MORE)
		return true;
	while (more == LAST) {
		if (in->next == in->end)
			return false;
		more = *in->next++;
		*ret += more;
	}
	return true;
}

static bool take_literals(struct input *in, size_t length, uint8_t *out, size_t room)
{
	if (length > (size_t)(in->end - in->next) || length > room)
		return false;
	memcpy(out, in->next, length);
	in->next += length;
	return true;
}

/* The bytes may be among those that are repeated. */
static bool repeat(struct input *in, unsigned int half, uint8_t *out, size_t done, size_t room,
		   size_t *ret)
{
	size_t distance, length;

	if (in->end - in->next < 2)
		return false;
	distance = in->next[0] | (size_t)in->next[1] << 8;
	in->next += 2;
	if (!take_length(in, half, &length) || !distance || distance > done)
		return false;
	length += MIN_MATCH;
	if (length > room)
		return false;
	for (size_t i = 0; i < length; i++)
		out[i] = out[(ptrdiff_t)i - (ptrdiff_t)distance];
	*ret = length;
	return true;
}

bool ovm_lz4_decode(const uint8_t *data, size_t len, uint8_t *out, size_t size)
{
	struct input in = {data, data + len};
	size_t done = 0;

	while (in.next < in.end) {
		unsigned int token = *in.next++;
		size_t length;

		if (!take_length(&in, token >> 4, &length) ||
		    !take_literals(&in, length, out + done, size - done))
			return false;
		done += length;
		if (in.next == in.end)
			return done == size;
		if (!repeat(&in, token & MORE, out + done, done, size - done, &length))
			return false;
		done += length;
	}
	return false;
}
