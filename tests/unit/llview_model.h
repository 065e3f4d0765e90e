/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small kernel for tests of extractors: its types in two layouts, and what
 * the extractors in llview_model.c make of it.  Compiled by LLView and by the
 * host compiler.
 */
#ifndef OVM_TESTS_UNIT_LLVIEW_MODEL_H
#define OVM_TESTS_UNIT_LLVIEW_MODEL_H

#include <linux/types.h>

#ifndef __host
#define __host
#endif

struct model_bytes {
	__u8 __host *data;
	__u64 len;
};

struct model_node {
	struct model_node __host *next;
	__u64 value;
};

struct model_out {
	__u64 number;
	__s64 signed_number;
	__u64 numbers[8];
	char text[16];
	struct model_bytes __host *bytes;
	struct model_node __host *list;
	__u64 count;
};

/* clang-format off */
#define MODEL_ENTRIES(_) \
	_(walk) _(fields) _(narrow) _(wide) _(missing) _(guarded) _(fault) _(index) \
	_(divide) _(recursion) _(text) _(bytes) _(copy) _(array) _(alloc) _(no_record) \
	_(endless) _(enumerators) _(per_cpu) _(fail) _(local_index) _(readable) _(shift) \
	_(unions) _(crossing) _(symbols) _(arithmetic)
/* clang-format on */

#ifndef __LLVIEW__
#define MODEL_DECLARE(name) void model_##name(struct model_out *out);
MODEL_ENTRIES(MODEL_DECLARE)
#endif

#endif /* OVM_TESTS_UNIT_LLVIEW_MODEL_H */
