// SPDX-License-Identifier: GPL-2.0-only
#include "vmcoreinfo.h"

#include <string.h>

static const char note_name[12] = "VMCOREINFO";

/* Header of an ELF note, with the name padded to 4 bytes. */
struct note_header {
	uint32_t name_size, size, type;
	char name[12];
};

_Static_assert(sizeof(struct note_header) == OVM_VMCOREINFO_HEADER, "header of the note");

bool ovm_vmcoreinfo_is_header(const void *data, size_t len)
{
	struct note_header header;

	if (len < sizeof(header))
		return false;
	memcpy(&header, data, sizeof(header));
	return header.name_size == sizeof("VMCOREINFO") && !header.type &&
	       !memcmp(header.name, note_name, sizeof(note_name));
}

const char *ovm_vmcoreinfo_note(const void *page, size_t len, size_t *ret_len)
{
	struct note_header header;

	if (!ovm_vmcoreinfo_is_header(page, len))
		return NULL;
	memcpy(&header, page, sizeof(header));
	if (header.size > len - sizeof(header))
		return NULL;
	*ret_len = header.size;
	return (const char *)page + sizeof(header);
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* The whole of [@text, @text + @len) as a number. */
static bool parse_number(const char *text, size_t len, unsigned int base, uint64_t *ret)
{
	bool negative = base == 10 && len && *text == '-';
	uint64_t value = 0;

	if (negative) {
		text++;
		len--;
	}
	if (!len)
		return false;
	for (size_t i = 0; i < len; i++) {
		int digit = digit_value(text[i]);

		if (digit < 0 || (unsigned int)digit >= base ||
		    __builtin_mul_overflow(value, base, &value) ||
		    __builtin_add_overflow(value, (uint64_t)digit, &value))
			return false;
	}
	*ret = negative ? -value : value;
	return true;
}

struct field {
	const char *key;
	unsigned int base;
	size_t offset;
	/* Offset of the flag that tells that the key was there, or 0. */
	size_t flag;
};

#define FIELD(key, base, member) {key, base, offsetof(struct ovm_vmcoreinfo, member), 0}
#define FLAGGED(key, base, member, f) \
	{key, base, offsetof(struct ovm_vmcoreinfo, member), offsetof(struct ovm_vmcoreinfo, f)}

static const struct field fields[] = {
	FIELD("SYMBOL(_stext)", 16, stext),
	FIELD("SYMBOL(init_top_pgt)", 16, init_top_pgt),
	FLAGGED("NUMBER(phys_base)", 10, phys_base, has_phys_base),
	FLAGGED("KERNELOFFSET", 16, kernel_offset, has_kernel_offset),
};

static void parse_line(const char *key, size_t key_len, const char *value, size_t len,
		       struct ovm_vmcoreinfo *ret)
{
	uint64_t number;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		const struct field *field = &fields[i];

		if (strlen(field->key) != key_len || memcmp(field->key, key, key_len) ||
		    !parse_number(value, len, field->base, &number))
			continue;
		*(uint64_t *)((char *)ret + field->offset) = number;
		if (field->flag)
			*(bool *)((char *)ret + field->flag) = true;
		return;
	}
	if (key_len == strlen("OSRELEASE") && !memcmp(key, "OSRELEASE", key_len) &&
	    len < sizeof(ret->release)) {
		memcpy(ret->release, value, len);
		ret->release[len] = 0;
	} else if (key_len == strlen("NUMBER(pgtable_l5_enabled)") &&
		   !memcmp(key, "NUMBER(pgtable_l5_enabled)", key_len)) {
		ret->five_levels = len == 1 && *value == '1';
	}
}

bool ovm_vmcoreinfo_parse(const char *text, size_t len, struct ovm_vmcoreinfo *ret)
{
	const char *end = text + len;

	memset(ret, 0, sizeof(*ret));
	while (text < end) {
		const char *line_end = memchr(text, '\n', (size_t)(end - text)) ?: end;
		const char *equals = memchr(text, '=', (size_t)(line_end - text));

		if (equals)
			parse_line(text, (size_t)(equals - text), equals + 1,
				   (size_t)(line_end - equals - 1), ret);
		text = line_end < end ? line_end + 1 : end;
	}
	return ret->release[0] && ret->stext;
}
