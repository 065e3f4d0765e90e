// SPDX-License-Identifier: GPL-2.0-only
/*
 * QEMU's migration stream, format version 3 (QEMU 7.2, migration/savevm.c and
 * migration/vmstate.c).  Numbers are big-endian.
 *
 *	stream:      "QEVM" be32 version, sections, 00 (end of stream)
 *	             [06 be32 length, JSON description]
 *	section:     04 be32 id, u8 length, name, be32 instance, be32 version,
 *	             fields, subsections, 7e be32 id
 *	subsection:  05 u8 length, name, be32 version, fields, subsections
 *
 * Before them a full migration has sections of other types (configuration,
 * parts of RAM), whose length nothing tells; the description covers none of
 * them, but it gives the length of all sections of type 04, which end the
 * stream.  So those are found from the end.
 *
 * The description: {"page_size": N, "devices": [{"name": S, "instance_id": N,
 * "vmsd_name": S, "version": N, "fields": [{"name": S, "size": N of one element,
 * "array_len": N if it is an array, ...}], "subsections": [{"vmsd_name": S,
 * "version": N, "fields": ..., "subsections": ...}]}]}.  Devices of the old style
 * have "size" and one field of type "buffer" instead, but the same rules hold.
 */
#include "migration_stream.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "json.h"

enum {
	SECTION_FULL = 0x04,
	SUBSECTION = 0x05,
	DESCRIPTION = 0x06,
	FOOTER = 0x7e,
	END_OF_STREAM = 0x00,
	HEADER_BYTES = 8,
	FOOTER_BYTES = 5,
	MAX_INSTANCE = 1 << 16,
	MAX_NESTING = 16,
	/* Longest subsection that is passed without knowing it; a nested guest's takes 12 KiB. */
	MAX_UNKNOWN = 32 << 10,
	JSON_DEPTH = 64,
};

/* A reader that fails once and for all when it would leave the buffer. */
struct cursor {
	const uint8_t *start, *end, *at;
	bool bad;
};

static const uint8_t *take(struct cursor *c, uint64_t len)
{
	const uint8_t *at = c->at;

	if (c->bad || len > (uint64_t)(c->end - c->at)) {
		c->bad = true;
		return NULL;
	}
	c->at += len;
	return at;
}

static uint8_t take_u8(struct cursor *c)
{
	const uint8_t *at = take(c, 1);

	return at ? *at : 0;
}

static uint32_t take_be32(struct cursor *c)
{
	const uint8_t *at = take(c, 4);
	uint32_t value = 0;

	if (at)
		memcpy(&value, at, sizeof(value));
	return be32toh(value);
}

/* Whether a string with its length in front comes next. */
static bool take_name(struct cursor *c, const char *name)
{
	size_t len = strlen(name);

	if (take_u8(c) != len)
		return false;
	const uint8_t *at = take(c, len);

	return at && !memcmp(at, name, len);
}

static struct ovm_error *error_corrupt(const char *what, const char *name)
{
	return ovm_error_format(OVM_ERROR_CORRUPT, "QEMU's device state is not understood: %s \"%s\"",
				what, name);
}

/* ---- Streams with a description ------------------------------------------ */

static uint64_t get_number(struct json_object *object, const char *key, uint64_t absent)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, key, &value))
		return absent;
	int64_t number = json_object_get_int64(value);

	return number < 0 ? UINT64_MAX : (uint64_t)number;
}

static struct json_object *get_array(struct json_object *object, const char *key, size_t *nr)
{
	struct json_object *value;

	*nr = 0;
	if (!json_object_object_get_ex(object, key, &value) ||
	    !json_object_is_type(value, json_type_array))
		return NULL;
	*nr = json_object_array_length(value);
	return value;
}

static bool field_size(struct json_object *field, uint64_t *ret)
{
	return !__builtin_mul_overflow(get_number(field, "size", UINT64_MAX),
				       get_number(field, "array_len", 1), ret);
}

/* Bytes of a section's or subsection's fields and subsections. */
static bool body_size(struct json_object *body, int nesting, uint64_t *ret)
{
	size_t nr_fields, nr_subsections;
	struct json_object *fields = get_array(body, "fields", &nr_fields);
	struct json_object *subsections = get_array(body, "subsections", &nr_subsections);

	*ret = 0;
	for (size_t i = 0; i < nr_fields; i++) {
		uint64_t size;

		if (!field_size(json_object_array_get_idx(fields, i), &size) ||
		    __builtin_add_overflow(*ret, size, ret))
			return false;
	}
	for (size_t i = 0; i < nr_subsections; i++) {
		struct json_object *sub = json_object_array_get_idx(subsections, i);
		uint64_t size;

		if (nesting == MAX_NESTING || !body_size(sub, nesting + 1, &size) ||
		    __builtin_add_overflow(*ret, size, ret) ||
		    __builtin_add_overflow(*ret, 1 + 1 + strlen(ovm_json_string(sub, "vmsd_name")) + 4,
					   ret))
			return false;
	}
	return true;
}

/* What a walk through a described section hands on to the visitor. */
struct described {
	const struct ovm_stream_visitor *visitor;
	const char *section;
	uint32_t instance;
	struct cursor *cursor;
};

static bool visit_body(struct described *d, struct json_object *body, const char *layout,
		       int nesting)
{
	size_t nr_fields, nr_subsections;
	struct json_object *fields = get_array(body, "fields", &nr_fields);
	struct json_object *subsections = get_array(body, "subsections", &nr_subsections);

	for (size_t i = 0; i < nr_fields; i++) {
		struct json_object *field = json_object_array_get_idx(fields, i);
		uint64_t size;
		const uint8_t *data = field_size(field, &size) ? take(d->cursor, size) : NULL;

		if (!data)
			return false;
		d->visitor->field(d->visitor->arg, d->section, d->instance, layout,
				  ovm_json_string(field, "name"), data, size);
	}
	for (size_t i = 0; i < nr_subsections; i++) {
		struct json_object *sub = json_object_array_get_idx(subsections, i);
		const char *name = ovm_json_string(sub, "vmsd_name");

		if (nesting == MAX_NESTING || take_u8(d->cursor) != SUBSECTION ||
		    !take_name(d->cursor, name) ||
		    take_be32(d->cursor) != get_number(sub, "version", 0) ||
		    !visit_body(d, sub, name, nesting + 1))
			return false;
	}
	return true;
}

static struct ovm_error *visit_device(struct cursor *cursor, struct json_object *device,
				      const struct ovm_stream_visitor *visitor)
{
	const char *name = ovm_json_string(device, "name");
	const char *layout = ovm_json_string(device, "vmsd_name");
	struct described d = {
		.visitor = visitor,
		.section = name,
		.instance = (uint32_t)get_number(device, "instance_id", 0),
		.cursor = cursor,
	};

	if (take_u8(cursor) != SECTION_FULL)
		return error_corrupt("no section where its description puts", name);
	uint32_t id = take_be32(cursor);
	bool ok = take_name(cursor, name) && take_be32(cursor) == d.instance;

	take_be32(cursor);
	ok = ok && visit_body(&d, device, layout, 0) && take_u8(cursor) == FOOTER &&
	     take_be32(cursor) == id && !cursor->bad;
	return ok ? NULL : error_corrupt("section and description differ in", name);
}

/* Bytes of all described sections, headers and footers included. */
static bool devices_size(struct json_object *devices, size_t nr, uint64_t *ret)
{
	*ret = 0;
	for (size_t i = 0; i < nr; i++) {
		struct json_object *device = json_object_array_get_idx(devices, i);
		uint64_t size, overhead = 1 + 4 + 1 + strlen(ovm_json_string(device, "name")) + 4 + 4;

		if (!body_size(device, 0, &size) || __builtin_add_overflow(*ret, size, ret) ||
		    __builtin_add_overflow(*ret, overhead + FOOTER_BYTES, ret))
			return false;
	}
	return true;
}

/*
 * The description is the last thing in the stream, so the length in front of it
 * must be that of the rest: the first such place from the end is the right one,
 * because no JSON text holds the zero bytes of a length.
 */
static bool find_description(const uint8_t *stream, size_t len, size_t *ret)
{
	for (size_t text = len; text-- > HEADER_BYTES + 6;) {
		uint32_t length;

		if (stream[text] != '{' || stream[text - 5] != DESCRIPTION ||
		    stream[text - 6] != END_OF_STREAM)
			continue;
		memcpy(&length, stream + text - 4, sizeof(length));
		if (be32toh(length) == len - text) {
			*ret = text;
			return true;
		}
	}
	return false;
}

static struct json_object *parse_description(const uint8_t *text, size_t len)
{
	struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH);
	struct json_object *object = NULL;

	if (!tokener)
		return NULL;
	if (len <= INT32_MAX)
		object = json_tokener_parse_ex(tokener, (const char *)text, (int)len);
	json_tokener_free(tokener);
	return object;
}

struct ovm_error *ovm_stream_visit_described(const uint8_t *stream, size_t len,
					     const struct ovm_stream_visitor *visitor)
{
	_cleanup_json_ struct json_object *description = NULL;
	size_t text, nr;
	uint64_t size;

	if (!find_description(stream, len, &text) ||
	    !(description = parse_description(stream + text, len - text)))
		return error_corrupt("the migration stream ends in no", "description");

	struct json_object *devices = get_array(description, "devices", &nr);
	size_t end = text - 6;

	if (!devices || !devices_size(devices, nr, &size) || size > end)
		return error_corrupt("sizes make no sense in", "devices");

	struct cursor cursor = {stream, stream + end, stream + end - size, false};
	struct ovm_error *err = NULL;

	for (size_t i = 0; i < nr && !err; i++)
		err = visit_device(&cursor, json_object_array_get_idx(devices, i), visitor);
	return err;
}

/* ---- Streams without a description --------------------------------------- */

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

/* Pass a subsection that no layout describes: up to the next one, or to the footer. */
static void skip_unknown(struct cursor *c, const struct plain_section *section)
{
	for (int n = 0; !c->bad && !ends_here(c, section->id) &&
			!subsection_begins(c, section->layout->name);
	     n++) {
		take(c, 1);
		c->bad |= n == MAX_UNKNOWN;
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
			skip_unknown(c, section);
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
			return error_corrupt("there are two sections", section->layout->name);
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
		/* What looks like a section inside a section is data of the guest, in registers say. */
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
		return error_corrupt("it doesn't begin with", "QEVM");
	struct ovm_error *err = scan(&plain, stream, len, &found);

	free(found.list);
	return err;
}
