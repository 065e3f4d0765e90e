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

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "json.h"
#include "stream_private.h"

enum {
	MAX_NESTING = 16,
	JSON_DEPTH = 64,
};

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
		    __builtin_add_overflow(
			    *ret, 1 + 1 + strlen(ovm_json_string(sub, "vmsd_name")) + 4, ret))
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
		return stream_error("no section where its description puts", name);
	uint32_t id = take_be32(cursor);
	bool ok = take_name(cursor, name) && take_be32(cursor) == d.instance;

	take_be32(cursor);
	ok = ok && visit_body(&d, device, layout, 0) && take_u8(cursor) == FOOTER &&
	     take_be32(cursor) == id && !cursor->bad;
	return ok ? NULL : stream_error("section and description differ in", name);
}

/* Bytes of all described sections, headers and footers included. */
static bool devices_size(struct json_object *devices, size_t nr, uint64_t *ret)
{
	*ret = 0;
	for (size_t i = 0; i < nr; i++) {
		struct json_object *device = json_object_array_get_idx(devices, i);
		uint64_t size,
			overhead = 1 + 4 + 1 + strlen(ovm_json_string(device, "name")) + 4 + 4;

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
		return stream_error("the migration stream ends in no", "description");

	struct json_object *devices = get_array(description, "devices", &nr);
	size_t end = text - 6;

	if (!devices || !devices_size(devices, nr, &size) || size > end)
		return stream_error("sizes make no sense in", "devices");

	struct cursor cursor = {stream, stream + end, stream + end - size, false};
	struct ovm_error *err = NULL;

	for (size_t i = 0; i < nr && !err; i++)
		err = visit_device(&cursor, json_object_array_get_idx(devices, i), visitor);
	return err;
}
