// SPDX-License-Identifier: GPL-2.0-only
/* Device state that was put together by hand, wrong in one way at a time. */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>

#include "test.h"
#include "vmi/migration_stream.h"
#include "vmi/vcpu.h"

struct stream {
	uint8_t bytes[4096];
	size_t len;
};

static void add(struct stream *stream, const void *data, size_t len)
{
	memcpy(stream->bytes + stream->len, data, len);
	stream->len += len;
}

static void add_u8(struct stream *stream, uint8_t value)
{
	add(stream, &value, 1);
}

static void add_be32(struct stream *stream, uint32_t value)
{
	value = htobe32(value);
	add(stream, &value, sizeof(value));
}

static void add_name(struct stream *stream, const char *name)
{
	add_u8(stream, (uint8_t)strlen(name));
	add(stream, name, strlen(name));
}

static void begin(struct stream *stream)
{
	stream->len = 0;
	add(stream, "QEVM\0\0\0\3", 8);
}

/* A section "dev" with two fields, and perhaps a subsection. */
static void add_section(struct stream *stream, uint32_t id, uint32_t instance, uint32_t value,
			const char *subsection)
{
	add_u8(stream, 4);
	add_be32(stream, id);
	add_name(stream, "dev");
	add_be32(stream, instance);
	add_be32(stream, 7);
	add_be32(stream, value);
	add(stream, "ab", 2);
	if (subsection) {
		add_u8(stream, 5);
		add_name(stream, subsection);
		add_be32(stream, 1);
		add_be32(stream, value + 1);
	}
	add_u8(stream, 0x7e);
	add_be32(stream, id);
}

static const struct ovm_stream_field dev_fields[] = {{"value", 4, 1}, {"bytes", 1, 2}};
static const struct ovm_stream_field sub_fields[] = {{"more", 4, 1}};
static const struct ovm_stream_layout layouts[] = {
	{"dev", 7, dev_fields, 2},
	{"dev/sub", 1, sub_fields, 1},
};

/* What was visited, as text. */
struct visited {
	char text[1024];
};

static void note(void *arg, const char *section, uint32_t instance, const char *layout,
		 const char *name, const uint8_t *data, size_t size)
{
	struct visited *visited = arg;
	size_t len = strlen(visited->text);

	snprintf(visited->text + len, sizeof(visited->text) - len, "%s%u:%s.%s=%u/%zu ", section,
		 instance, layout, name, size == 4 ? data[3] : data[0], size);
}

static struct ovm_error *visit_plain(const struct stream *stream, struct visited *visited)
{
	const struct ovm_stream_visitor visitor = {note, visited};

	visited->text[0] = '\0';
	return ovm_stream_visit_plain(stream->bytes, stream->len, layouts, 2, &visitor);
}

OVM_TEST(migration_stream, plain_sections_and_subsections)
{
	struct visited visited;
	struct stream stream;

	begin(&stream);
	add_section(&stream, 3, 0, 10, NULL);
	add_section(&stream, 9, 1, 20, "dev/sub");
	add_section(&stream, 4, 2, 30, "dev/unknown");
	add_u8(&stream, 0);
	ASSERT_OK(visit_plain(&stream, &visited));
	ASSERT_STREQ(visited.text, "dev0:dev.value=10/4 dev0:dev.bytes=97/2 "
				   "dev1:dev.value=20/4 dev1:dev.bytes=97/2 "
				   "dev1:dev/sub.more=21/4 "
				   "dev2:dev.value=30/4 dev2:dev.bytes=97/2 ");
}

OVM_TEST(migration_stream, section_in_data_of_another_device_is_noticed)
{
	struct visited visited;
	struct stream stream;

	begin(&stream);
	/* A device that nobody knows, whose data is a footer and a section of its own. */
	add_u8(&stream, 4);
	add_be32(&stream, 1);
	add_name(&stream, "other");
	add_be32(&stream, 0);
	add_be32(&stream, 1);
	add(&stream, "data\x7e\0\0\0\0", 9);
	add_section(&stream, 77, 0, 66, NULL);
	add(&stream, "\4data\x7e\0\0\0\1", 10);
	add_section(&stream, 3, 0, 10, NULL);
	add_u8(&stream, 0);
	ASSERT_ERROR(visit_plain(&stream, &visited), OVM_ERROR_CORRUPT, "two sections \"dev\"");
}

OVM_TEST(migration_stream, section_can_not_be_hidden_in_a_subsection)
{
	struct visited visited;
	struct stream stream;

	begin(&stream);
	/* A made-up section with the id of the true one, up to whose footer it would reach. */
	add_section(&stream, 3, 0, 66, "dev/unknown");
	stream.len -= 5;
	add(&stream, "\x7e\0\0\0\1", 5);
	add_section(&stream, 3, 0, 10, NULL);
	add_u8(&stream, 0);
	ASSERT_OK(visit_plain(&stream, &visited));
	ASSERT_STREQ(visited.text, "dev0:dev.value=10/4 dev0:dev.bytes=97/2 ");
}

OVM_TEST(migration_stream, cut_streams_are_harmless)
{
	struct visited visited;
	struct stream stream;

	begin(&stream);
	add_section(&stream, 3, 0, 10, "dev/sub");
	add_u8(&stream, 0);
	for (size_t len = 0; len < stream.len; len++) {
		/* A copy of just this size, so that a reader behind its end is caught. */
		uint8_t *copy = malloc(len ?: 1);
		const struct ovm_stream_visitor visitor = {note, &visited};

		memcpy(copy, stream.bytes, len);
		visited.text[0] = '\0';
		ovm_error_free(ovm_stream_visit_plain(copy, len, layouts, 2, &visitor));
		ovm_error_free(ovm_stream_visit_described(copy, len, &visitor));
		free(copy);
		ASSERT_STREQ(visited.text, "");
	}
}

static void describe(struct stream *stream, const char *json)
{
	add_u8(stream, 0);
	add_u8(stream, 6);
	add_be32(stream, (uint32_t)strlen(json));
	add(stream, json, strlen(json));
}

static struct ovm_error *visit_described(const char *json, struct visited *visited)
{
	const struct ovm_stream_visitor visitor = {note, visited};
	struct stream stream;

	begin(&stream);
	add(&stream, "parts of RAM, of any length", 27);
	add_section(&stream, 3, 5, 10, "dev/sub");
	describe(&stream, json);
	visited->text[0] = '\0';
	return ovm_stream_visit_described(stream.bytes, stream.len, &visitor);
}

#define DEVICE_START                                                                      \
	"{\"devices\": [{\"name\": \"dev\", \"instance_id\": 5, \"vmsd_name\": \"dev\", " \
	"\"version\": 7, \"fields\": ["
#define DEVICE_END                                                                       \
	"], \"subsections\": [{\"vmsd_name\": \"dev/sub\", \"version\": 1, \"fields\": " \
	"[{\"name\": \"more\", \"size\": 4}]}]}]}"

OVM_TEST(migration_stream, description_tells_the_fields)
{
	struct visited visited;

	ASSERT_OK(visit_described(DEVICE_START
				  "{\"name\": \"value\", \"size\": 4}, "
				  "{\"name\": \"bytes\", \"size\": 1, \"array_len\": 2}" DEVICE_END,
				  &visited));
	ASSERT_STREQ(visited.text,
		     "dev5:dev.value=10/4 dev5:dev.bytes=97/2 dev5:dev/sub.more=11/4 ");
}

OVM_TEST(migration_stream, description_that_does_not_fit)
{
	static const char *const bad[] = {
		"{}",
		"{\"devices\": 1}",
		"{\"devices\": [1, null, {}]}",
		DEVICE_START "{\"name\": \"value\", \"size\": 5}" DEVICE_END,
		DEVICE_START "{\"name\": \"value\", \"size\": 4000}" DEVICE_END,
		DEVICE_START "{\"name\": \"value\", \"size\": -1}" DEVICE_END,
		DEVICE_START "{\"name\": \"value\"}" DEVICE_END,
		DEVICE_START "{\"name\": \"value\", \"size\": 9223372036854775807, "
			     "\"array_len\": 3}" DEVICE_END,
		"{\"devices\": [",
	};
	struct visited visited;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ASSERT_ERROR(visit_described(bad[i], &visited), OVM_ERROR_CORRUPT, NULL);
}

OVM_TEST(migration_stream, vcpu_that_is_missing_is_an_error)
{
	const struct ovm_vcpu_context context = {.nr_vcpus = 1};
	struct ovm_vcpus *vcpus;
	struct stream stream;

	begin(&stream);
	add_u8(&stream, 0);
	ASSERT_ERROR(ovm_vcpus_parse(stream.bytes, stream.len, false, &context, &vcpus),
		     OVM_ERROR_CORRUPT, "no state of vCPU 0");
	ASSERT_FALSE(vcpus);
	ASSERT_ERROR(ovm_vcpus_parse_notes(stream.bytes, stream.len, &vcpus), OVM_ERROR_CORRUPT,
		     "not an ELF file");
}
