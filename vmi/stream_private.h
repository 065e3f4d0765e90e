/* SPDX-License-Identifier: GPL-2.0-only */
/* What the two parsers of migration streams share. */
#ifndef OVM_VMI_STREAM_PRIVATE_H
#define OVM_VMI_STREAM_PRIVATE_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "error.h"

enum {
	SECTION_FULL = 0x04,
	SUBSECTION = 0x05,
	DESCRIPTION = 0x06,
	FOOTER = 0x7e,
	END_OF_STREAM = 0x00,
	HEADER_BYTES = 8,
	FOOTER_BYTES = 5,
};

/* A reader that fails once and for all when it would leave the buffer. */
struct cursor {
	const uint8_t *start, *end, *at;
	bool bad;
};

static inline const uint8_t *take(struct cursor *c, uint64_t len)
{
	const uint8_t *at = c->at;

	if (c->bad || len > (uint64_t)(c->end - c->at)) {
		c->bad = true;
		return NULL;
	}
	c->at += len;
	return at;
}

static inline uint8_t take_u8(struct cursor *c)
{
	const uint8_t *at = take(c, 1);

	return at ? *at : 0;
}

static inline uint32_t take_be32(struct cursor *c)
{
	const uint8_t *at = take(c, 4);
	uint32_t value = 0;

	if (at)
		memcpy(&value, at, sizeof(value));
	return be32toh(value);
}

/* Whether a string with its length in front comes next. */
static inline bool take_name(struct cursor *c, const char *name)
{
	size_t len = strlen(name);

	if (take_u8(c) != len)
		return false;
	const uint8_t *at = take(c, len);

	return at && !memcmp(at, name, len);
}

static inline struct ovm_error *stream_error(const char *what, const char *name)
{
	return ovm_error_format(OVM_ERROR_CORRUPT,
				"QEMU's device state is not understood: %s \"%s\"", what, name);
}

#endif /* OVM_VMI_STREAM_PRIVATE_H */
