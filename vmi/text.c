// SPDX-License-Identifier: GPL-2.0-only
#include "text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
	MAX_SEQUENCE = 4,
};

/*
 * Bytes of the UTF-8 sequence at @text, 0 when there is none. A first byte tells how many follow,
 * each 10xxxxxx; a code point has to be in its shortest form and no surrogate. Source: RFC 3629.
 */
static size_t decode(const uint8_t *text, size_t len, uint32_t *ret)
{
	static const uint32_t least[MAX_SEQUENCE + 1] = {0, 0, 0x80, 0x800, 0x10000};
	size_t size = text[0] < 0x80 ? 1 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : MAX_SEQUENCE;
	uint32_t code = size == 1 ? text[0] : text[0] & (0x7fu >> size);

	if (size > len || (text[0] >= 0x80 && text[0] < 0xc0) || text[0] >= 0xf8)
		return 0;
	for (size_t i = 1; i < size; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (text[i] & 0x3f);
	}
	if (code < least[size] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 0;
	*ret = code;
	return size;
}

/* Control characters, separators of lines and paragraphs, marks of direction. */
static bool is_shown(uint32_t code)
{
	static const struct {
		uint32_t first, last;
	} hidden[] = {
		{0, 0x1f},	  {0x7f, 0x9f},	    {0x61c, 0x61c},   {0x200e, 0x200f},
		{0x2028, 0x202e}, {0x2066, 0x2069}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb},
	};

	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
		if (code >= hidden[i].first && code <= hidden[i].last)
			return false;
	return true;
}

void ovm_text_clean(char *text, size_t len)
{
	for (size_t at = 0; at < len;) {
		uint32_t code = 0;
		size_t size = decode((const uint8_t *)text + at, len - at, &code);

		if (!size || !is_shown(code)) {
			size = size ? size : 1;
			memset(text + at, '?', size);
		}
		at += size;
	}
}
