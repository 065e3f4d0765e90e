/* SPDX-License-Identifier: GPL-2.0-only */
/* A made-up guest whose kernel is the one of llview_model.h: types, symbols and memory. */
#ifndef OVM_TESTS_UNIT_LLVIEW_GUEST_H
#define OVM_TESTS_UNIT_LLVIEW_GUEST_H

#include <stddef.h>

#include "vmi/btf.h"

enum {
	MODEL_MEMORY = 4 * 4096,
	/* Offsets of the symbols. */
	MODEL_THINGS = 0x100,
	MODEL_PER_CPU_OFFSET = 0x200,
	MODEL_COUNTER = 0x300,
	MODEL_THING = 0x1000,
	/* Members of the guest's struct thing. */
	THING_PARENT = 0,
	THING_NODE = 8,
	THING_VECTOR = 24,
	THING_NAME = 32,
	THING_WHOLE = 48,
	THING_BITS = 56,
	THING_LARGE = 60,
	THING_SMALL = 64,
	THING_INDEX = 72,
	THING_POINTER = 80,
	THING_LONG_NAME = 88,
	THING_WORDS = 96,
	THING_INNER = 112,
	THING_SIZE = 192,
};

#define MODEL_BASE UINT64_C(0xffff888000000000)

/* How the kernel differs from what the extractors declare. */
enum model_layout {
	/* In order and padding only. */
	MODEL_MOVED,
	/* Sizes too: small has 16 bits, large 64, elements of words 32, struct pair is turned
	   round. */
	MODEL_RESIZED,
};

/** BTF of the model, as the kernel would have it; freed by the caller. */
void *model_btf(enum model_layout layout, size_t *size);
/** Split BTF of a module that adds "struct extra { long value; }" and its own "struct pair". */
void *model_module_btf(enum model_layout layout, size_t *size);

#endif /* OVM_TESTS_UNIT_LLVIEW_GUEST_H */
