// SPDX-License-Identifier: GPL-2.0-only
/*
 * QEMU's answers to "info mtree -f" and "gpa2hva".
 *
 * Layout of the former (QEMU 7.2, softmmu/memory.c, mtree_print_flatview), one
 * block a distinct view, which several address spaces share:
 *
 *	FlatView #2
 *	 AS "memory", root: system
 *	 AS "cpu-memory-0", root: system
 *	 Root memory region: system
 *	  0000000000000000-00000000000bffff (prio 0, ram): pc.ram KVM
 *	  0000000000100000-000000007fffffff (prio 0, ram): pc.ram @0000000000100000 KVM
 *
 * Ends are inclusive; "@" is the offset in the region, left out when zero; the
 * kind is ram, rom, romd, ramd (RAM of a passed-through device), i/o, with
 * "nv-" in front for non-volatile memory; accelerators that know of the range
 * add their name at the end.  With "-o", the owner comes before that.
 */
#include "ram_layout.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	/* More than any machine has; bounds what a broken answer makes us allocate. */
	MAX_RANGES = 65536,
	LINE_BYTES = 1024,
};

/* Copy the next line, cut to fit; false at the end of the text. */
static bool next_line(const char **text, char line[static LINE_BYTES])
{
	const char *start = *text, *end = strchrnul(start, '\n');
	size_t len = (size_t)(end - start);

	if (!*start)
		return false;
	*text = *end ? end + 1 : end;
	if (len >= LINE_BYTES)
		len = LINE_BYTES - 1;
	memcpy(line, start, len);
	while (len && line[len - 1] == '\r')
		len--;
	line[len] = '\0';
	return true;
}

static bool add_range(struct ovm_layout *layout, const struct ovm_layout_range *range)
{
	/* Grow at powers of two. */
	if (!(layout->nr & (layout->nr - 1))) {
		size_t capacity = layout->nr ? layout->nr * 2 : 1;
		void *ranges = reallocarray(layout->ranges, capacity, sizeof(*layout->ranges));

		if (!ranges)
			return false;
		layout->ranges = ranges;
	}
	layout->ranges[layout->nr++] = *range;
	return true;
}

/* Cut what follows the region's name off: " @offset", " owner:...", " KVM". */
static void parse_region(char *text, struct ovm_layout_range *range)
{
	char *at = strstr(text, " @");
	size_t len = at ? (size_t)(at - text) : strcspn(text, " ");

	range->offset = at ? strtoull(at + 2, NULL, 16) : 0;
	if (len >= sizeof(range->name))
		len = sizeof(range->name) - 1;
	memcpy(range->name, text, len);
	range->name[len] = '\0';
}

/* Parse a line of a view; false when it isn't ordinary RAM. */
static bool parse_range(char *line, struct ovm_layout_range *ret)
{
	uint64_t first, last;
	char kind[16];
	int used = 0;

	if (sscanf(line, " %" SCNx64 "-%" SCNx64 " (prio %*d, %15[^)]): %n", &first, &last, kind,
		   &used) != 3 ||
	    !used)
		return false;
	if (strcmp(kind, "ram") || last < first || last - first == UINT64_MAX)
		return false;
	memset(ret, 0, sizeof(*ret));
	parse_region(line + used, ret);
	ret->gpa = first;
	ret->size = last - first + 1;
	return ret->offset + ret->size >= ret->size;
}

static bool is_memory_view(const char *line)
{
	static const char name[] = " AS \"memory\",";

	return !strncmp(line, name, sizeof(name) - 1);
}

struct ovm_error *ovm_layout_parse(const char *mtree, struct ovm_layout *ret)
{
	struct ovm_layout layout = {0};
	struct ovm_layout_range range;
	char line[LINE_BYTES];
	bool inside = false, seen = false;

	*ret = layout;
	while (next_line(&mtree, line)) {
		if (!strncmp(line, "FlatView ", strlen("FlatView "))) {
			inside = false;
		} else if (is_memory_view(line)) {
			inside = seen = true;
		} else if (inside && parse_range(line, &range)) {
			if (layout.nr < MAX_RANGES && add_range(&layout, &range))
				continue;
			ovm_layout_deinit(&layout);
			return ovm_error_no_memory();
		}
	}
	if (!layout.nr)
		return ovm_error_format(OVM_ERROR_UNREACHABLE, "QEMU's memory map shows no %s",
					seen ? "RAM" : "address space called \"memory\"");
	*ret = layout;
	return NULL;
}

void ovm_layout_filter(struct ovm_layout *layout, bool (*keep)(void *arg, const char *name),
		       void *arg)
{
	size_t nr = 0;

	for (size_t i = 0; i < layout->nr; i++) {
		if (keep(arg, layout->ranges[i].name))
			layout->ranges[nr++] = layout->ranges[i];
	}
	layout->nr = nr;
}

uint64_t ovm_layout_total(const struct ovm_layout *layout)
{
	uint64_t total = 0;

	for (size_t i = 0; i < layout->nr; i++) {
		const struct ovm_layout_range *range = &layout->ranges[i];
		uint64_t end = range->offset + range->size;
		bool last = true;

		for (size_t j = 0; j < layout->nr && last; j++) {
			const struct ovm_layout_range *other = &layout->ranges[j];
			uint64_t other_end = other->offset + other->size;

			last = strcmp(other->name, range->name) || other_end < end ||
			       (other_end == end && j >= i);
		}
		if (last)
			total += end;
	}
	return total;
}

void ovm_layout_deinit(struct ovm_layout *layout)
{
	free(layout->ranges);
	memset(layout, 0, sizeof(*layout));
}

bool ovm_layout_parse_hva(const char *text, uint64_t *ret)
{
	static const char marker[] = ") is 0x";
	const char *at = strstr(text, marker);

	if (!at || !isxdigit((unsigned char)at[sizeof(marker) - 1]))
		return false;
	*ret = strtoull(at + sizeof(marker) - 1, NULL, 16);
	return true;
}
