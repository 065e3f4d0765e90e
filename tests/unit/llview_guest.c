// SPDX-License-Identifier: GPL-2.0-only
/* Types of the model kernel, written with libbpf: an implementation of the format not ours. */
#include <bpf/btf.h>
#include <stdlib.h>
#include <string.h>

#include "llview_guest.h"

struct ids {
	int u8, u16, u32, u64, s16, s32, s64, pointer;
};

static struct ids add_numbers(struct btf *btf)
{
	struct ids ids = {
		.u8 = btf__add_int(btf, "char", 1, 0),
		.u16 = btf__add_int(btf, "short unsigned int", 2, 0),
		.u32 = btf__add_int(btf, "unsigned int", 4, 0),
		.u64 = btf__add_int(btf, "long unsigned int", 8, 0),
		.s16 = btf__add_int(btf, "short int", 2, BTF_INT_SIGNED),
		.s32 = btf__add_int(btf, "int", 4, BTF_INT_SIGNED),
		.s64 = btf__add_int(btf, "long int", 8, BTF_INT_SIGNED),
	};

	ids.pointer = btf__add_ptr(btf, 0);
	return ids;
}

static void add_pair(struct btf *btf, const struct ids *ids, bool swapped)
{
	int typedef_id = btf__add_typedef(btf, "number_t", btf__add_const(btf, ids->u64));

	btf__add_struct(btf, "pair", 16);
	btf__add_field(btf, swapped ? "second" : "first", typedef_id, 0, 0);
	btf__add_field(btf, swapped ? "first" : "second", ids->u64, 64, 0);
}

static void add_color(struct btf *btf)
{
	btf__add_enum(btf, "color", 4);
	btf__add_enum_value(btf, "COLOR_NONE", -1);
	btf__add_enum_value(btf, "COLOR_RED", 0);
	btf__add_enum_value(btf, "COLOR_BLUE", 7);
}

/* A structure without a name around a union without one. */
static int add_anonymous(struct btf *btf, const struct ids *ids)
{
	int both = btf__add_union(btf, NULL, 8);

	btf__add_field(btf, "whole", ids->u64, 0, 0);
	btf__add_field(btf, "half", ids->u32, 0, 0);
	int outer = btf__add_struct(btf, NULL, 8);
	btf__add_field(btf, NULL, both, 0, 0);
	return outer;
}

static int add_inner(struct btf *btf, const struct ids *ids, bool resized)
{
	int id = btf__add_struct(btf, "inner", resized ? 12 : 16);

	btf__add_field(btf, "b", ids->u32, 32, 0);
	btf__add_field(btf, "a", ids->u32, 64, 0);
	return id;
}

static void add_thing(struct btf *btf, const struct ids *ids, bool resized)
{
	int inner = add_inner(btf, ids, resized);
	int anonymous = add_anonymous(btf, ids);
	int list = btf__add_struct(btf, "list_head", 16);
	btf__add_field(btf, "next", ids->pointer, 0, 0);
	btf__add_field(btf, "prev", ids->pointer, 64, 0);
	int name = btf__add_array(btf, ids->u32, ids->u8, 16);
	int words = btf__add_array(btf, ids->u32, resized ? ids->u32 : ids->u16, 3);
	int inners = btf__add_array(btf, ids->u32, inner, 4);

	btf__add_struct(btf, "thing", THING_SIZE);
	btf__add_field(btf, "parent", ids->pointer, THING_PARENT * 8, 0);
	btf__add_field(btf, "node", list, THING_NODE * 8, 0);
	btf__add_field(btf, "vector", ids->pointer, THING_VECTOR * 8, 0);
	btf__add_field(btf, "name", name, THING_NAME * 8, 0);
	btf__add_field(btf, NULL, anonymous, THING_WHOLE * 8, 0);
	btf__add_field(btf, "negative", ids->s32, THING_BITS * 8 + 7, 5);
	btf__add_field(btf, "low", ids->u32, THING_BITS * 8 + 20, 3);
	btf__add_field(btf, "large", resized ? ids->u64 : ids->u32, THING_LARGE * 8, 0);
	btf__add_field(btf, "small", resized ? ids->s16 : ids->s64, THING_SMALL * 8, 0);
	btf__add_field(btf, "index", ids->u64, THING_INDEX * 8, 0);
	btf__add_field(btf, "pointer", ids->pointer, THING_POINTER * 8, 0);
	btf__add_field(btf, "long_name", ids->pointer, THING_LONG_NAME * 8, 0);
	btf__add_field(btf, "words", words, THING_WORDS * 8, 0);
	btf__add_field(btf, "inner", inners, THING_INNER * 8, 0);
}

static void *raw_copy(struct btf *btf, size_t *size)
{
	__u32 len = 0;
	const void *raw = btf__raw_data(btf, &len);
	void *copy = raw ? malloc(len) : NULL;

	if (copy)
		memcpy(copy, raw, len);
	*size = copy ? len : 0;
	return copy;
}

static struct btf *build(enum model_layout layout)
{
	struct btf *btf = btf__new_empty();
	struct ids ids = add_numbers(btf);

	add_pair(btf, &ids, layout == MODEL_RESIZED);
	add_color(btf);
	add_thing(btf, &ids, layout == MODEL_RESIZED);
	return btf;
}

void *model_btf(enum model_layout layout, size_t *size)
{
	struct btf *btf = build(layout);
	void *raw = raw_copy(btf, size);

	btf__free(btf);
	return raw;
}

void *model_module_btf(enum model_layout layout, size_t *size)
{
	struct btf *base = build(layout);
	struct btf *module = btf__new_empty_split(base);
	int s64 = btf__find_by_name_kind(base, "long int", BTF_KIND_INT);

	btf__add_struct(module, "extra", 8);
	btf__add_field(module, "value", s64, 0, 0);
	int typedef_id = btf__add_typedef(module, "module_t", s64);
	btf__add_struct(module, "pair", 24);
	btf__add_field(module, "third", typedef_id, 128, 0);
	void *raw = raw_copy(module, size);
	btf__free(module);
	btf__free(base);
	return raw;
}
