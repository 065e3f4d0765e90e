// SPDX-License-Identifier: GPL-2.0-only
/*
 * Members and enumerators by name.
 *
 * A member's offset is in bits; in a structure whose kind flag is set, its
 * upper 8 bits are the width of a bit-field (linux/btf.h).
 */
#include <stdlib.h>
#include <string.h>

#include "btf_internal.h"

enum {
	/* Anonymous structures within each other. */
	MAX_DEPTH = 16,
	/* Members looked at for one path; malformed types could nest without end. */
	MAX_STEPS = 20000,
	/* Types of one name that are looked at; kernels have a few. */
	MAX_NAMESAKES = 64,
};

struct walk {
	const struct ovm_btf *btf;
	unsigned int steps;
	/* Where the path has led so far. */
	uint32_t type;
	uint64_t bit_offset;
	uint32_t bits;
};

static bool is_record(const struct btf_type *type)
{
	return type && (BTF_INFO_KIND(type->info) == BTF_KIND_STRUCT ||
			BTF_INFO_KIND(type->info) == BTF_KIND_UNION);
}

/* Find a name in a structure, anonymous members included, and go there. */
static bool enter_member(struct walk *walk, uint32_t id, uint64_t bit_offset, const char *name,
			 size_t len, unsigned int depth)
{
	const struct ovm_btf_unit *unit;
	const struct btf_type *type = ovm_btf_type(walk->btf, id, &unit);

	if (!is_record(type) || depth > MAX_DEPTH)
		return false;
	const struct btf_member *member = (const void *)(type + 1);
	bool bit_fields = BTF_INFO_KFLAG(type->info);
	for (unsigned int i = 0; i < BTF_INFO_VLEN(type->info); i++, member++) {
		uint64_t offset = bit_fields ? member->offset & 0xffffff : member->offset;
		uint32_t target = ovm_btf_resolve(walk->btf, unit, member->type);

		if (walk->steps++ > MAX_STEPS)
			return false;
		if (!member->name_off) {
			if (enter_member(walk, ovm_btf_strip(walk->btf, target),
					 bit_offset + offset, name, len, depth + 1))
				return true;
			continue;
		}
		const char *s = ovm_btf_string(walk->btf, unit, member->name_off);
		if (strncmp(s, name, len) || s[len])
			continue;
		walk->type = ovm_btf_strip(walk->btf, target);
		walk->bit_offset = bit_offset + offset;
		walk->bits = bit_fields ? member->offset >> 24 : 0;
		return true;
	}
	return false;
}

/* Go to an element of the array that the path has led to. */
static bool enter_element(struct walk *walk, uint64_t index)
{
	const struct ovm_btf_unit *unit;
	const struct btf_type *type = ovm_btf_type(walk->btf, walk->type, &unit);
	uint64_t size, offset;

	if (!type || BTF_INFO_KIND(type->info) != BTF_KIND_ARRAY)
		return false;
	const struct btf_array *array = (const void *)(type + 1);
	/* [0] and [1] are how flexible arrays used to be declared. */
	if (index >= array->nelems && array->nelems > 1)
		return false;
	uint32_t element = ovm_btf_strip(walk->btf, ovm_btf_resolve(walk->btf, unit, array->type));
	struct ovm_error *err = ovm_btf_size(walk->btf, element, &size);
	if (err) {
		ovm_error_free(err);
		return false;
	}
	if (__builtin_mul_overflow(size * 8, index, &offset) || size > UINT32_MAX ||
	    __builtin_add_overflow(walk->bit_offset, offset, &walk->bit_offset))
		return false;
	walk->type = element;
	return true;
}

static bool follow(struct walk *walk, const char *path)
{
	while (*path) {
		if (*path == '[') {
			char *end;
			uint64_t index = strtoull(path + 1, &end, 10);

			if (*end != ']' || !enter_element(walk, index))
				return false;
			path = end + 1;
			continue;
		}
		if (*path == '.')
			path++;
		size_t len = strcspn(path, ".[");
		if (!len || !enter_member(walk, walk->type, walk->bit_offset, path, len, 0))
			return false;
		path += len;
	}
	return true;
}

static enum ovm_btf_kind kind_of(const struct btf_type *type)
{
	switch (type ? BTF_INFO_KIND(type->info) : BTF_KIND_UNKN) {
	case BTF_KIND_INT:
		return OVM_BTF_IS_INTEGER;
	case BTF_KIND_ENUM:
	case OVM_BTF_KIND_ENUM64:
		return OVM_BTF_IS_ENUM;
	case BTF_KIND_PTR:
		return OVM_BTF_IS_POINTER;
	case BTF_KIND_STRUCT:
		return OVM_BTF_IS_STRUCT;
	case BTF_KIND_UNION:
		return OVM_BTF_IS_UNION;
	case BTF_KIND_ARRAY:
		return OVM_BTF_IS_ARRAY;
	default:
		return OVM_BTF_IS_OTHER;
	}
}

static bool is_signed(const struct btf_type *type)
{
	switch (type ? BTF_INFO_KIND(type->info) : BTF_KIND_UNKN) {
	case BTF_KIND_INT:
		return BTF_INT_ENCODING(*(const uint32_t *)(type + 1)) & BTF_INT_SIGNED;
	case BTF_KIND_ENUM:
	case OVM_BTF_KIND_ENUM64:
		return BTF_INFO_KFLAG(type->info);
	default:
		return false;
	}
}

/* Integers may be bit-fields by their type alone (BTF without the kind flag). */
static void describe_integer(const struct btf_type *type, struct ovm_btf_member *ret)
{
	uint32_t data = *(const uint32_t *)(type + 1);

	if (ret->bits || BTF_INT_BITS(data) == ret->size * 8)
		return;
	/* A bool is an integer of 8 bits; odd widths are bit-fields of old. */
	ret->bits = BTF_INT_BITS(data);
	ret->bit_offset += BTF_INT_OFFSET(data);
}

static struct ovm_error *describe(const struct walk *walk, struct ovm_btf_member *ret)
{
	const struct ovm_btf_unit *unit;
	const struct btf_type *type = ovm_btf_type(walk->btf, walk->type, &unit);

	*ret = (struct ovm_btf_member){
		.bit_offset = walk->bit_offset,
		.bits = walk->bits,
		.type = walk->type,
		.kind = kind_of(type),
		.is_signed = is_signed(type),
	};
	struct ovm_error *err = ovm_btf_size(walk->btf, walk->type, &ret->size);
	if (err) {
		/* A function type or an incomplete one: it has an offset all the same. */
		ovm_error_free(err);
		return NULL;
	}
	if (ret->kind == OVM_BTF_IS_INTEGER)
		describe_integer(type, ret);
	if (ret->kind != OVM_BTF_IS_ARRAY)
		return NULL;
	const struct btf_array *array = (const void *)(type + 1);
	uint32_t element = ovm_btf_strip(walk->btf, ovm_btf_resolve(walk->btf, unit, array->type));
	const struct ovm_btf_unit *element_unit;
	ret->count = array->nelems;
	ret->element_kind = kind_of(ovm_btf_type(walk->btf, element, &element_unit));
	return ovm_btf_size(walk->btf, element, &ret->element_size);
}

struct ovm_error *ovm_btf_member_of(const struct ovm_btf *btf, uint32_t type, const char *path,
				    struct ovm_btf_member *ret)
{
	struct walk walk = {.btf = btf, .type = ovm_btf_strip(btf, type)};

	if (!follow(&walk, path))
		return ovm_error_format(OVM_ERROR_NOT_FOUND,
					"type %u of the guest's kernel has no member '%s'", type,
					path);
	return describe(&walk, ret);
}

static bool same_place(const struct ovm_btf_member *a, const struct ovm_btf_member *b)
{
	return a->bit_offset == b->bit_offset && a->bits == b->bits && a->size == b->size;
}

struct ovm_error *ovm_btf_find_member(const struct ovm_btf *btf, const char *type, const char *path,
				      struct ovm_btf_member *ret)
{
	enum ovm_btf_class class;
	const char *base;
	size_t len;
	bool found = false;
	unsigned int nr = 0;

	ovm_btf_parse_name(type, &class, &base, &len);
	for (uint32_t id = 0; (id = ovm_btf_find_next(btf, class, base, len, id));) {
		struct walk walk = {.btf = btf, .type = ovm_btf_strip(btf, id)};
		struct ovm_btf_member member;

		if (++nr > MAX_NAMESAKES)
			return ovm_error_format(OVM_ERROR_CORRUPT,
						"the guest's BTF is malformed: too many types '%s'",
						type);
		/* A module's private type of the same name doesn't speak for vmlinux. */
		if (found && id > btf->units[0]->nr)
			break;
		if (!follow(&walk, path))
			continue;
		struct ovm_error *err = describe(&walk, &member);
		if (err)
			return err;
		if (found && !same_place(ret, &member))
			return ovm_error_format(OVM_ERROR_KERNEL,
						"the guest's kernel has several types '%s' that "
						"disagree on member '%s'",
						type, path);
		if (!found)
			*ret = member;
		found = true;
	}
	if (found)
		return NULL;
	if (!nr)
		return ovm_error_format(OVM_ERROR_NOT_FOUND, "the guest's kernel has no type '%s'",
					type);
	return ovm_error_format(OVM_ERROR_NOT_FOUND,
				"type '%s' of the guest's kernel has no member '%s'", type, path);
}

static bool find_enumerator(const struct ovm_btf *btf, uint32_t id, const char *name, int64_t *ret)
{
	const struct ovm_btf_unit *unit;
	const struct btf_type *type = ovm_btf_type(btf, ovm_btf_strip(btf, id), &unit);

	if (!type)
		return false;
	unsigned int kind = BTF_INFO_KIND(type->info);
	if (kind != BTF_KIND_ENUM && kind != OVM_BTF_KIND_ENUM64)
		return false;
	const uint32_t *words = (const uint32_t *)(type + 1);
	unsigned int step = kind == BTF_KIND_ENUM ? 2 : 3;
	for (unsigned int i = 0; i < BTF_INFO_VLEN(type->info); i++, words += step) {
		if (strcmp(ovm_btf_string(btf, unit, words[0]), name))
			continue;
		if (kind == OVM_BTF_KIND_ENUM64)
			*ret = (int64_t)((uint64_t)words[2] << 32 | words[1]);
		else if (BTF_INFO_KFLAG(type->info) || !unit->signed_enums)
			*ret = (int32_t)words[1];
		else
			*ret = words[1];
		return true;
	}
	return false;
}

struct ovm_error *ovm_btf_enum_value(const struct ovm_btf *btf, const char *type, const char *name,
				     int64_t *ret)
{
	enum ovm_btf_class class;
	const char *base;
	size_t len;

	ovm_btf_parse_name(type, &class, &base, &len);
	if (!len || (class == OVM_BTF_ENUM && !*base)) {
		for (uint32_t id = 1; id <= ovm_btf_nr_types(btf); id++)
			if (find_enumerator(btf, id, name, ret))
				return NULL;
	}
	for (uint32_t id = 0; len && (id = ovm_btf_find_next(btf, class, base, len, id));)
		if (find_enumerator(btf, id, name, ret))
			return NULL;
	return ovm_error_format(OVM_ERROR_NOT_FOUND,
				"the guest's kernel has no enumerator '%s'%s%s", name,
				len ? " in " : "", type);
}
