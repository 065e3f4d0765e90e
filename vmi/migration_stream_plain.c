// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device state without a description: the sections of a migration stream (see
 * migration_stream.c for the format) from start to end, nothing before them but
 * the eight bytes of the header.  Nothing tells how long a section is, so those
 * whose layout is known are looked for.
 */
#include "migration_stream.h"

#include <stdlib.h>
#include <string.h>

#include "stream_private.h"

enum {
	MAX_INSTANCE = 1 << 16,
	/* Longest subsection that is passed without knowing it; a nested guest's takes 12 KiB. */
	MAX_UNKNOWN = 32 << 10,
};

static const struct ovm_stream_layout *find_layout(const struct ovm_stream_layout *layouts,
						   size_t nr, const char *name, size_t len)
{
	for (size_t i = 0; i < nr; i++) {
		if (strlen(layouts[i].name) == len && !memcmp(layouts[i].name, name, len))
			return &layouts[i];
	}
	return NULL;
}

/* A section that was recognised. */
struct plain_section {
	const struct ovm_stream_layout *layout;
	uint32_t id, instance;
	const uint8_t *fields, *end;
};

struct plain {
	const struct ovm_stream_layout *layouts;
	size_t nr;
	const struct ovm_stream_visitor *visitor;
};

static void visit_fields(const struct plain *plain, const struct plain_section *section,
			 const struct ovm_stream_layout *layout, struct cursor *c)
{
	for (size_t i = 0; i < layout->nr_fields; i++) {
		const struct ovm_stream_field *field = &layout->fields[i];
		size_t size = (size_t)field->size * field->count;
		const uint8_t *data = take(c, size);

		if (data && plain->visitor)
			plain->visitor->field(plain->visitor->arg, section->layout->name,
					      section->instance, layout->name, field->name, data,
					      size);
	}
}

/* Whether a section with the given id ends here, and the stream goes on sensibly. */
static bool ends_here(const struct cursor *c, uint32_t id)
{
	struct cursor ahead = *c;

	if (take_u8(&ahead) != FOOTER || take_be32(&ahead) != id)
		return false;
	uint8_t next = take_u8(&ahead);

	return !ahead.bad &&
	       (next == SECTION_FULL || (next == END_OF_STREAM && ahead.at == ahead.end));
}

/* Whether a subsection called "SECTION/..." begins here. */
static bool subsection_begins(const struct cursor *c, const char *section)
{
	struct cursor ahead = *c;
	size_t len = strlen(section);

	if (take_u8(&ahead) != SUBSECTION || take_u8(&ahead) <= len)
		return false;
	const uint8_t *name = take(&ahead, len + 1);

	return name && !memcmp(name, section, len) && name[len] == '/';
}

/* Whether a section may begin at @at: at the start, or behind a footer. */
static bool may_begin(const uint8_t *stream, const uint8_t *at)
{
	return at == stream + HEADER_BYTES ||
	       (at - stream >= HEADER_BYTES + FOOTER_BYTES && at[-FOOTER_BYTES] == FOOTER);
}

static bool parse_header(const struct plain *plain, const uint8_t *stream, const uint8_t *at,
			 const uint8_t *end, struct plain_section *ret)
{
	struct cursor c = {stream, end, at, false};

	if (take_u8(&c) != SECTION_FULL)
		return false;
	ret->id = take_be32(&c);
	uint8_t len = take_u8(&c);
	const char *name = (const char *)take(&c, len);

	ret->instance = take_be32(&c);
	uint32_t version = take_be32(&c);

	if (c.bad || ret->instance >= MAX_INSTANCE)
		return false;
	ret->layout = find_layout(plain->layouts, plain->nr, name, len);
	ret->fields = c.at;
	/* Subsections, too, are layouts, but never sections. */
	return ret->layout && !strchr(ret->layout->name, '/') && ret->layout->version == version;
}

/*
 * Pass a subsection that no layout describes: up to the next one, or to the footer.
 * On the way there can't be another section, or the one at hand is made up to hide it.
 */
static void skip_unknown(const struct plain *plain, struct cursor *c,
			 const struct plain_section *section)
{
	struct plain_section hidden;

	for (int n = 0;
	     !c->bad && !ends_here(c, section->id) && !subsection_begins(c, section->layout->name);
	     n++) {
		c->bad |=
			n == MAX_UNKNOWN || (may_begin(c->start, c->at) &&
					     parse_header(plain, c->start, c->at, c->end, &hidden));
		take(c, 1);
	}
}

static bool visit_subsections(const struct plain *plain, struct plain_section *section,
			      struct cursor *c)
{
	while (!c->bad && subsection_begins(c, section->layout->name)) {
		take(c, 1);
		uint8_t len = take_u8(c);
		const char *name = (const char *)take(c, len);
		uint32_t version = take_be32(c);
		const struct ovm_stream_layout *layout =
			c->bad ? NULL : find_layout(plain->layouts, plain->nr, name, len);

		if (layout && layout->version == version)
			visit_fields(plain, section, layout, c);
		else
			skip_unknown(plain, c, section);
	}
	section->end = c->at;
	return !c->bad && ends_here(c, section->id);
}

static bool visit_section(const struct plain *plain, struct plain_section *section,
			  const uint8_t *start, const uint8_t *end)
{
	struct cursor c = {start, end, section->fields, false};

	visit_fields(plain, section, section->layout, &c);
	return visit_subsections(plain, section, &c);
}

/* Sections found so far, to notice those that are there twice. */
struct found {
	struct {
		const struct ovm_stream_layout *layout;
		uint32_t instance;
	} *list;
	size_t nr, capacity;
};

static struct ovm_error *found_add(struct found *found, const struct plain_section *section)
{
	for (size_t i = 0; i < found->nr; i++) {
		if (found->list[i].layout == section->layout &&
		    found->list[i].instance == section->instance)
			return stream_error("there are two sections", section->layout->name);
	}
	if (found->nr == found->capacity) {
		size_t capacity = found->capacity ? found->capacity * 2 : 16;
		void *list = reallocarray(found->list, capacity, sizeof(*found->list));

		if (!list)
			return ovm_error_no_memory();
		found->list = list;
		found->capacity = capacity;
	}
	found->list[found->nr].layout = section->layout;
	found->list[found->nr++].instance = section->instance;
	return NULL;
}

static struct ovm_error *scan(const struct plain *plain, const uint8_t *stream, size_t len,
			      struct found *found)
{
	const struct plain silent = {plain->layouts, plain->nr, NULL};
	const uint8_t *end = stream + len;

	for (const uint8_t *at = stream + HEADER_BYTES; at < end; at++) {
		struct plain_section section;

		if (*at != SECTION_FULL || !may_begin(stream, at) ||
		    !parse_header(plain, stream, at, end, &section) ||
		    !visit_section(&silent, &section, stream, end))
			continue;
		struct ovm_error *err = found_add(found, &section);

		if (err)
			return err;
		visit_section(plain, &section, stream, end);
		/* What looks like a section inside a section is data of the guest, in registers
		 * say. */
		at = section.end + FOOTER_BYTES - 1;
	}
	return NULL;
}

struct ovm_error *ovm_stream_visit_plain(const uint8_t *stream, size_t len,
					 const struct ovm_stream_layout *layouts, size_t nr,
					 const struct ovm_stream_visitor *visitor)
{
	const struct plain plain = {layouts, nr, visitor};
	struct found found = {0};

	if (len < HEADER_BYTES || memcmp(stream, "QEVM\0\0\0\3", HEADER_BYTES))
		return stream_error("it doesn't begin with", "QEVM");
	struct ovm_error *err = scan(&plain, stream, len, &found);

	free(found.list);
	return err;
}
