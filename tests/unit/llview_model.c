// SPDX-License-Identifier: GPL-2.0-only
/*
 * Extractors for the tests of LLView at run time.  The structures are declared
 * in another order than the model's kernel has them, so that only relocated
 * accesses give the right answers.
 */
#include <linux/list.h>
#include <linux/string.h>

#include "llview_model.h"

struct ovm_rec_bytes {
	u8 __host *data;
	u64 len;
};

struct inner___t {
	u32 a, b;
};

struct thing___t {
	struct {
		union {
			u64 whole;
			u32 half;
		};
	};
	char name[16];
	struct inner___t inner[4];
	unsigned int low : 3;
	int negative : 5;
	struct list_head node;
	s64 small;
	u32 large;
	void *pointer;
	struct thing___t *parent;
	u64 index;
	u64 absent;
	const char *long_name;
	u16 words[3];
	struct inner___t *vector;
};

struct pair___t {
	u64 first;
	u64 second;
};

enum color___t { COLOR_RED };

extern struct thing___t first_thing;
extern struct list_head things;
extern unsigned long counter;

LLV_ENTRY(model_walk, struct model_out, out)
{
	struct thing___t *t;

	list_for_each_entry(t, &things, node) {
		struct model_node __host *n = llv_new(struct model_node);

		n->value = t->index;
		n->next = out->list;
		out->list = n;
		out->count++;
	}
}

LLV_ENTRY(model_fields, struct model_out, out)
{
	struct thing___t *t = &first_thing;

	out->numbers[0] = t->index;
	out->numbers[1] = t->low;
	out->numbers[2] = t->inner[2].b;
	out->numbers[3] = t->inner[t->low].a;
	out->numbers[4] = t->words[1];
	out->numbers[5] = t->words[t->low];
	out->numbers[6] = llv_sizeof(struct thing___t);
	out->numbers[7] = llv_offsetof(struct thing___t, inner[1].b);
	out->signed_number = t->negative;
}

LLV_ENTRY(model_narrow, struct model_out, out)
{
	out->signed_number = first_thing.small;
}

LLV_ENTRY(model_wide, struct model_out, out)
{
	out->number = first_thing.large;
}

LLV_ENTRY(model_missing, struct model_out, out)
{
	out->count = 1;
	out->number = first_thing.absent;
	out->count = 2;
}

LLV_ENTRY(model_guarded, struct model_out, out)
{
	if (llv_field_exists(struct thing___t, absent))
		out->number = first_thing.absent;
	else
		out->count = llv_field_exists(struct thing___t, index) +
			     llv_type_exists(struct thing) + llv_type_exists(struct nothing) +
			     llv_symbol_exists("things") + llv_symbol_exists("nothings") +
			     llv_exists(first_thing.absent);
}

LLV_ENTRY(model_fault, struct model_out, out)
{
	out->count = 1;
	out->number = *(u64 *)first_thing.pointer;
	out->count = 2;
}

LLV_ENTRY(model_index, struct model_out, out)
{
	out->numbers[first_thing.index] = 1;
}

LLV_ENTRY(model_local_index, struct model_out, out)
{
	u64 local[4] = {1, 2, 3, 4};

	local[first_thing.index] = 7;
	out->number = local[3];
}

LLV_ENTRY(model_divide, struct model_out, out)
{
	out->number = 100 / first_thing.index;
}

LLV_ENTRY(model_shift, struct model_out, out)
{
	out->number = 1ULL << first_thing.index;
}

LLV_SHARED u64 model_depth(const struct thing___t *t);

LLV_SHARED u64 model_depth(const struct thing___t *t)
{
	return t ? model_depth(t->parent) + 1 : 0;
}

LLV_ENTRY(model_recursion, struct model_out, out)
{
	out->number = model_depth(&first_thing);
}

LLV_ENTRY(model_text, struct model_out, out)
{
	struct ovm_rec_bytes __host *b = llv_new(struct ovm_rec_bytes);
	struct ovm_rec_bytes __host *c = llv_new(struct ovm_rec_bytes);

	llv_strcpy(out->text, first_thing.name);
	out->count = llv_streq(first_thing.name, "model") + 2 * llv_streq(first_thing.name, "mode");
	llv_string(b, first_thing.long_name, 4096);
	llv_bytes_from_array(c, out->text, 5);
	llv_concat(b, c, b);
	out->number = b->len;
	llv_set_text(out->text, "done");
}

LLV_ENTRY(model_bytes, struct model_out, out)
{
	struct ovm_rec_bytes __host *b = llv_new(struct ovm_rec_bytes);

	llv_bytes(b, first_thing.pointer, first_thing.index);
	out->number = b->len;
}

LLV_ENTRY(model_copy, struct model_out, out)
{
	struct pair___t pair = *(struct pair___t *)first_thing.pointer;

	out->number = pair.first + pair.second;
}

LLV_ENTRY(model_array, struct model_out, out)
{
	char name[16];

	memcpy(name, first_thing.name, sizeof(name));
	for (unsigned int i = 0; i < sizeof(name); i++)
		out->number += name[i];
	llv_copy(out->numbers, first_thing.pointer);
	llv_copy_part(out->text, first_thing.name, first_thing.index);
}

LLV_ENTRY(model_alloc, struct model_out, out)
{
	for (;;) {
		struct model_node __host *n = llv_new(struct model_node);

		n->next = out->list;
		out->list = n;
	}
}

LLV_ENTRY(model_no_record, struct model_out, out)
{
	out->list->value = 1;
}

LLV_ENTRY(model_endless, struct model_out, out)
{
	struct thing___t *t = &first_thing;

	while (t)
		t = t->parent;
	out->count = 1;
}

LLV_ENTRY(model_enumerators, struct model_out, out)
{
	out->numbers[0] = llv_enum_value(enum color___t, COLOR_BLUE);
	out->numbers[1] = llv_enum_exists(enum color___t, COLOR_BLUE);
	out->numbers[2] = llv_enum_exists(enum color___t, COLOR_GREY);
	out->signed_number = llv_enum_value(enum color, COLOR_NONE);
}

LLV_ENTRY(model_per_cpu, struct model_out, out)
{
	out->numbers[0] = *llv_per_cpu(counter, 0);
	out->numbers[1] = *llv_per_cpu(counter, 1);
}

LLV_ENTRY(model_symbols, struct model_out, out)
{
	out->number = (u64)&first_thing;
	out->count = &first_thing == llv_per_cpu(first_thing, 0);
}

LLV_ENTRY(model_fail, struct model_out, out)
{
	llv_fail(LLV_NOT_DUMPABLE, first_thing.index, "a thing that can't be saved");
}

LLV_ENTRY(model_readable, struct model_out, out)
{
	out->count = llv_readable(first_thing.pointer, 8);
	if (out->count)
		out->number = llv_load_u64(first_thing.pointer);
}

LLV_ENTRY(model_unions, struct model_out, out)
{
	out->numbers[0] = first_thing.whole;
	out->numbers[1] = first_thing.half;
}

LLV_ENTRY(model_crossing, struct model_out, out)
{
	out->number = llv_load_u64(first_thing.pointer);
}

/* vector[i] steps by the guest's size of an element. */
LLV_ENTRY(model_arithmetic, struct model_out, out)
{
	struct inner___t *v = first_thing.vector;

	out->numbers[0] = v[2].a;
	out->numbers[1] = (v + first_thing.index)->b;
	v++;
	out->numbers[2] = v->a;
	out->numbers[3] =
		(unsigned long)(first_thing.vector + 1) - (unsigned long)first_thing.vector;
}
