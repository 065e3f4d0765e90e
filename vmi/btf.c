// SPDX-License-Identifier: GPL-2.0-only
/*
 * BTF: taking it in, names and sizes.  Members are in btf_member.c.
 *
 * Layout (linux/btf.h; Documentation/bpf/btf.rst of 6.1): a header; a section
 * of types, each a struct btf_type followed by kind-specific data, numbered
 * from 1 in order; a section of NUL-terminated strings.  In a module's split
 * BTF, type ids and string offsets go on from where those of vmlinux end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "btf_internal.h"
#include "cleanup.h"

enum {
	/* Qualifiers, typedefs and array dimensions that one type may be wrapped in. */
	MAX_WRAPPERS = 64,
	MAX_UNITS = 1024,
	NR_KINDS = 20,
};

/* Bytes that follow a struct btf_type: fixed, and for each of vlen elements; kinds as numbered. */
static const struct {
	uint8_t fixed, each;
} kind_sizes[NR_KINDS] = {
	[BTF_KIND_INT] = {4, 0},      [BTF_KIND_ARRAY] = {12, 0},
	[BTF_KIND_STRUCT] = {0, 12},  [BTF_KIND_UNION] = {0, 12},
	[BTF_KIND_ENUM] = {0, 8},     [BTF_KIND_FUNC_PROTO] = {0, 8},
	[BTF_KIND_VAR] = {4, 0},      [BTF_KIND_DATASEC] = {0, 12},
	[BTF_KIND_DECL_TAG] = {4, 0}, [OVM_BTF_KIND_ENUM64] = {0, 12},
};

static struct ovm_error *corrupt(const char *what)
{
	return ovm_error_format(OVM_ERROR_CORRUPT, "the guest's BTF is malformed: %s", what);
}

/* Size of the record of the type at @offset, or 0 when it isn't one. */
static size_t record_size(const struct ovm_btf_unit *unit, size_t offset)
{
	size_t left = unit->types_len - offset;

	if (left < sizeof(struct btf_type))
		return 0;
	const struct btf_type *type = (const void *)(unit->types + offset);
	unsigned int kind = BTF_INFO_KIND(type->info);
	if (!kind || kind >= NR_KINDS)
		return 0;
	size_t size = sizeof(*type) + kind_sizes[kind].fixed +
		      (size_t)BTF_INFO_VLEN(type->info) * kind_sizes[kind].each;
	return size <= left ? size : 0;
}

/* Find the sections; @unit->data is set. */
static struct ovm_error *read_header(struct ovm_btf_unit *unit, size_t size)
{
	const struct btf_header *header = (const void *)unit->data;

	if (size < sizeof(*header))
		return corrupt("shorter than its header");
	if (header->magic != BTF_MAGIC || header->version != BTF_VERSION)
		return corrupt("wrong magic number or version");
	if (header->hdr_len < sizeof(*header) || header->hdr_len > size || header->hdr_len % 4 ||
	    header->type_off % 4)
		return corrupt("sections are misaligned");
	size_t body = size - header->hdr_len;
	if (header->type_off > body || header->type_len > body - header->type_off ||
	    header->str_off > body || header->str_len > body - header->str_off)
		return corrupt("sections lie outside");
	unit->types = unit->data + header->hdr_len + header->type_off;
	unit->types_len = header->type_len;
	unit->strings = (const char *)unit->data + header->hdr_len + header->str_off;
	unit->strings_len = header->str_len;
	if (!unit->strings_len || unit->strings[unit->strings_len - 1])
		return corrupt("strings don't end");
	return NULL;
}

static struct ovm_error *read_types(struct ovm_btf_unit *unit)
{
	size_t max = unit->types_len / sizeof(struct btf_type);

	unit->offsets = malloc((max + 1) * sizeof(*unit->offsets));
	if (!unit->offsets)
		return ovm_error_no_memory();
	for (size_t offset = 0; offset < unit->types_len;) {
		size_t size = record_size(unit, offset);

		if (!size)
			return corrupt("a type is cut off or of an unknown kind");
		const struct btf_type *type = (const void *)(unit->types + offset);
		if (BTF_INFO_KIND(type->info) == BTF_KIND_ENUM && BTF_INFO_KFLAG(type->info))
			unit->signed_enums = true;
		unit->offsets[unit->nr++] = offset;
		offset += size;
	}
	return NULL;
}

static uint32_t bucket_of(const struct ovm_btf *btf, const struct ovm_btf_unit *unit,
			  const char *name, size_t len)
{
	return ovm_siphash(&btf->key, name, len) & unit->bucket_mask;
}

static bool class_of(const struct btf_type *type, enum ovm_btf_class *ret)
{
	switch (BTF_INFO_KIND(type->info)) {
	case BTF_KIND_STRUCT:
		*ret = OVM_BTF_STRUCT;
		return true;
	case BTF_KIND_UNION:
		*ret = OVM_BTF_UNION;
		return true;
	case BTF_KIND_ENUM:
	case OVM_BTF_KIND_ENUM64:
		*ret = OVM_BTF_ENUM;
		return true;
	case BTF_KIND_TYPEDEF:
		*ret = OVM_BTF_TYPEDEF;
		return true;
	case BTF_KIND_INT:
	case BTF_KIND_FLOAT:
		*ret = OVM_BTF_BASE;
		return true;
	default:
		return false;
	}
}

static bool is_indexed(const struct btf_type *type, enum ovm_btf_class *ret)
{
	return type->name_off && class_of(type, ret);
}

static bool is_name(const char *string, const char *name, size_t len)
{
	return !strncmp(string, name, len) && !string[len];
}

/* String at an offset as the unit's types give it; "" when there is none. */
const char *ovm_btf_string(const struct ovm_btf *btf, const struct ovm_btf_unit *unit,
			   uint32_t offset)
{
	if (offset >= unit->first_string) {
		offset -= unit->first_string;
		return offset < unit->strings_len ? unit->strings + offset : "";
	}
	return offset < btf->units[0]->strings_len ? btf->units[0]->strings + offset : "";
}

static struct ovm_error *index_names(struct ovm_btf *btf, struct ovm_btf_unit *unit)
{
	size_t nr_buckets = 64;

	while (nr_buckets < unit->nr / 2)
		nr_buckets *= 2;
	unit->bucket_mask = nr_buckets - 1;
	unit->buckets = calloc(nr_buckets, sizeof(*unit->buckets));
	unit->next = calloc(unit->nr + 1, sizeof(*unit->next));
	if (!unit->buckets || !unit->next)
		return ovm_error_no_memory();
	/* Chains hold index + 1; from the last, so that they end up in order. */
	for (size_t i = unit->nr; i-- > 0;) {
		const struct btf_type *type = (const void *)(unit->types + unit->offsets[i]);
		enum ovm_btf_class class;

		if (!is_indexed(type, &class))
			continue;
		const char *name = ovm_btf_string(btf, unit, type->name_off);
		uint32_t bucket = bucket_of(btf, unit, name, strlen(name));
		unit->next[i] = unit->buckets[bucket];
		unit->buckets[bucket] = i + 1;
	}
	return NULL;
}

static void destroy_unit(struct ovm_btf_unit *unit)
{
	if (!unit)
		return;
	free(unit->data);
	free(unit->offsets);
	free(unit->buckets);
	free(unit->next);
	free(unit);
}

static void cleanup_unit(struct ovm_btf_unit **unit)
{
	destroy_unit(*unit);
}

struct ovm_error *ovm_btf_add_module(struct ovm_btf *btf, const void *data, size_t size)
{
	_cleanup_(cleanup_unit) struct ovm_btf_unit *unit = calloc(1, sizeof(*unit));

	if (!unit)
		return ovm_error_no_memory();
	if (btf->nr_units == MAX_UNITS)
		return ovm_error_format(OVM_ERROR_CORRUPT, "the guest has too many modules");
	unit->data = malloc(size ? size : 1);
	if (!unit->data)
		return ovm_error_no_memory();
	memcpy(unit->data, data, size);
	unit->first = 1;
	if (btf->nr_units) {
		const struct ovm_btf_unit *last = btf->units[btf->nr_units - 1];

		unit->first = last->first + last->nr;
		unit->first_string = btf->units[0]->strings_len;
	}
	struct ovm_error *err = read_header(unit, size);
	if (!err)
		err = read_types(unit);
	if (err)
		return err;
	if (unit->nr > UINT32_MAX - unit->first)
		return corrupt("too many types");
	void *grown = realloc(btf->units, (btf->nr_units + 1) * sizeof(*btf->units));
	if (!grown)
		return ovm_error_no_memory();
	btf->units = grown;
	/* vmlinux' own names are looked up through units[0]. */
	btf->units[btf->nr_units] = unit;
	err = index_names(btf, unit);
	if (err)
		return err;
	btf->nr_units++;
	unit = NULL;
	return NULL;
}

struct ovm_error *ovm_btf_create(const void *data, size_t size, struct ovm_btf **ret)
{
	struct ovm_btf *btf = calloc(1, sizeof(*btf));

	if (!btf)
		return ovm_error_no_memory();
	if (getrandom(&btf->key, sizeof(btf->key), 0) != sizeof(btf->key)) {
		free(btf);
		return ovm_error_errno(OVM_ERROR_UNREACHABLE, errno, NULL, "no random numbers");
	}
	struct ovm_error *err = ovm_btf_add_module(btf, data, size);
	if (err) {
		ovm_btf_destroy(btf);
		return err;
	}
	*ret = btf;
	return NULL;
}

void ovm_btf_destroy(struct ovm_btf *btf)
{
	if (!btf)
		return;
	for (size_t i = 0; i < btf->nr_units; i++)
		destroy_unit(btf->units[i]);
	free(btf->units);
	free(btf);
}

size_t ovm_btf_nr_types(const struct ovm_btf *btf)
{
	const struct ovm_btf_unit *last = btf->units[btf->nr_units - 1];

	return last->first + last->nr - 1;
}

const struct btf_type *ovm_btf_type(const struct ovm_btf *btf, uint32_t id,
				    const struct ovm_btf_unit **unit)
{
	size_t low = 0, high = btf->nr_units;

	/* The last unit whose first type isn't behind @id. */
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (btf->units[middle]->first <= id)
			low = middle;
		else
			high = middle;
	}
	const struct ovm_btf_unit *found = btf->units[low];
	if (id < found->first || id - found->first >= found->nr)
		return NULL;
	*unit = found;
	return (const void *)(found->types + found->offsets[id - found->first]);
}

uint32_t ovm_btf_resolve(const struct ovm_btf *btf, const struct ovm_btf_unit *unit, uint32_t id)
{
	uint32_t nr_base = btf->units[0]->nr;

	if (unit == btf->units[0] || id <= nr_base)
		return id;
	id -= nr_base + 1;
	return id < unit->nr ? unit->first + id : 0;
}

const char *ovm_btf_name(const struct ovm_btf *btf, uint32_t type)
{
	const struct ovm_btf_unit *unit;
	const struct btf_type *t = ovm_btf_type(btf, type, &unit);

	return t ? ovm_btf_string(btf, unit, t->name_off) : "";
}

/*
 * Where to go on in a unit: behind @after, if that is a type of this name, so that asking for one
 * after the other takes no longer than the chain; else at the beginning of the chain.
 */
static uint32_t chain_after(const struct ovm_btf *btf, const struct ovm_btf_unit *unit,
			    const char *name, size_t len, uint32_t after)
{
	if (after >= unit->first && after - unit->first < unit->nr) {
		uint32_t i = after - unit->first;
		const struct btf_type *type = (const void *)(unit->types + unit->offsets[i]);
		enum ovm_btf_class class;

		if (is_indexed(type, &class) &&
		    is_name(ovm_btf_string(btf, unit, type->name_off), name, len))
			return unit->next[i];
	}
	return unit->buckets[bucket_of(btf, unit, name, len)];
}

uint32_t ovm_btf_find_next(const struct ovm_btf *btf, enum ovm_btf_class class, const char *name,
			   size_t name_len, uint32_t after)
{
	for (size_t u = 0; u < btf->nr_units; u++) {
		const struct ovm_btf_unit *unit = btf->units[u];

		if (after && unit->first + unit->nr <= after)
			continue;
		for (uint32_t i = chain_after(btf, unit, name, name_len, after); i;
		     i = unit->next[i - 1]) {
			const struct btf_type *type =
				(const void *)(unit->types + unit->offsets[i - 1]);
			enum ovm_btf_class found;

			if (unit->first + i - 1 <= after || !class_of(type, &found) ||
			    found != class)
				continue;
			if (is_name(ovm_btf_string(btf, unit, type->name_off), name, name_len))
				return unit->first + i - 1;
		}
	}
	return 0;
}

/* "struct foo___flavour" has the class of structures and the name "foo". */
void ovm_btf_parse_name(const char *name, enum ovm_btf_class *class, const char **base, size_t *len)
{
	static const struct {
		const char *prefix;
		enum ovm_btf_class class;
	} prefixes[] = {
		{"struct ", OVM_BTF_STRUCT}, {"union ", OVM_BTF_UNION}, {"enum ", OVM_BTF_ENUM}};

	*class = OVM_BTF_TYPEDEF;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		size_t prefix_len = strlen(prefixes[i].prefix);

		if (strncmp(name, prefixes[i].prefix, prefix_len))
			continue;
		*class = prefixes[i].class;
		name += prefix_len;
		name += strspn(name, " ");
		break;
	}
	const char *flavour = strstr(name, "___");
	*base = name;
	*len = flavour && flavour != name ? (size_t)(flavour - name) : strlen(name);
	while (*len && name[*len - 1] == ' ')
		--*len;
}

uint32_t ovm_btf_find(const struct ovm_btf *btf, const char *name)
{
	enum ovm_btf_class class;
	const char *base;
	size_t len;

	ovm_btf_parse_name(name, &class, &base, &len);
	uint32_t id = ovm_btf_find_next(btf, class, base, len, 0);
	if (!id && class == OVM_BTF_TYPEDEF)
		id = ovm_btf_find_next(btf, OVM_BTF_BASE, base, len, 0);
	return id;
}

uint32_t ovm_btf_strip(const struct ovm_btf *btf, uint32_t id)
{
	for (unsigned int i = 0; i < MAX_WRAPPERS; i++) {
		const struct ovm_btf_unit *unit;
		const struct btf_type *type = ovm_btf_type(btf, id, &unit);

		if (!type)
			return 0;
		switch (BTF_INFO_KIND(type->info)) {
		case BTF_KIND_TYPEDEF:
		case BTF_KIND_VOLATILE:
		case BTF_KIND_CONST:
		case BTF_KIND_RESTRICT:
		case BTF_KIND_TYPE_TAG:
			id = ovm_btf_resolve(btf, unit, type->type);
			break;
		default:
			return id;
		}
	}
	return 0;
}

struct ovm_error *ovm_btf_size(const struct ovm_btf *btf, uint32_t id, uint64_t *ret)
{
	uint64_t factor = 1;

	for (unsigned int i = 0; i < MAX_WRAPPERS; i++) {
		const struct ovm_btf_unit *unit;
		const struct btf_type *type;

		id = ovm_btf_strip(btf, id);
		type = ovm_btf_type(btf, id, &unit);
		if (!type)
			break;
		uint64_t size = type->size;
		switch (BTF_INFO_KIND(type->info)) {
		case BTF_KIND_ARRAY: {
			const struct btf_array *array = (const void *)(type + 1);

			if (__builtin_mul_overflow(factor, array->nelems, &factor))
				return corrupt("an array is too large");
			id = ovm_btf_resolve(btf, unit, array->type);
			continue;
		}
		case BTF_KIND_PTR:
			size = 8;
			break;
		case BTF_KIND_INT:
		case BTF_KIND_STRUCT:
		case BTF_KIND_UNION:
		case BTF_KIND_ENUM:
		case BTF_KIND_FLOAT:
		case OVM_BTF_KIND_ENUM64:
			break;
		default:
			return ovm_error_format(OVM_ERROR_KERNEL,
						"type %u of the guest's kernel has no size", id);
		}
		if (__builtin_mul_overflow(size, factor, ret))
			return corrupt("an array is too large");
		return NULL;
	}
	return ovm_error_format(OVM_ERROR_KERNEL, "a type of the guest's kernel has no size");
}

struct ovm_error *ovm_btf_sizeof(const struct ovm_btf *btf, const char *name, uint64_t *ret)
{
	uint32_t id = ovm_btf_find(btf, name);

	if (!id)
		return ovm_error_format(OVM_ERROR_NOT_FOUND, "the guest's kernel has no type '%s'",
					name);
	return ovm_btf_size(btf, id, ret);
}
