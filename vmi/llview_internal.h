/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of the extractors' runtime share. */
#ifndef OVM_VMI_LLVIEW_INTERNAL_H
#define OVM_VMI_LLVIEW_INTERNAL_H

#include <setjmp.h>

#include "llview-pass/llview_abi.h"
#include "llview.h"

enum ovm_llv_slot_state {
	OVM_LLV_BOUND,
	/** The guest's kernel doesn't have it, or not in a form that fits. */
	OVM_LLV_UNBOUND,
};

/** What a descriptor means in a guest. */
struct ovm_llv_slot {
	/** The value; of a scalar's load: its byte offset. */
	uint64_t value;
	/** Loads: bytes to read, then bits to take and how far to shift down first. */
	uint8_t size;
	uint8_t bits;
	uint8_t shift;
	bool is_signed;
	uint8_t state;
};

enum {
	OVM_LLV_PAGE_SIZE = 4096,
	OVM_LLV_TLB_SIZE = 512,
	/** Shared functions within each other: bounds the stack. */
	OVM_LLV_MAX_DEPTH = 64,
	/** How many steps there are between two looks at the clock. */
	OVM_LLV_CLOCK_STEPS = 4096,
};

struct ovm_llv_tlb_entry {
	/** Page number + 1, so that zeroes match nothing. */
	uint64_t tag;
	const uint8_t *page;
};

struct ovm_llv {
	struct ovm_llv_options options;
	struct ovm_llv_slot *slots;

	/* The run in progress. */
	jmp_buf leave;
	struct ovm_error *err;
	struct ovm_llv_arena *arena;
	uint64_t steps, bytes;
	/* When it has to be over, on a clock that only goes forward; ms. */
	uint64_t deadline;
	bool (*cancelled)(void *arg);
	void *cancelled_arg;
	unsigned int depth;
	struct ovm_llv_tlb_entry tlb[OVM_LLV_TLB_SIZE];
	/* Strings are gathered here. */
	char *scratch;
	size_t scratch_size;
};

/** Whose code runs in this thread. */
extern _Thread_local struct ovm_llv *ovm_llv_current;

/** Milliseconds of a clock that only goes forward. */
uint64_t ovm_llv_now_ms(void);

/** Bind one descriptor. An error says why the slot stays unbound. */
struct ovm_error *ovm_llv_bind(const struct ovm_llv *llv, const struct ovm_llv_reloc *reloc,
			       struct ovm_llv_slot *slot);

#endif /* OVM_VMI_LLVIEW_INTERNAL_H */
