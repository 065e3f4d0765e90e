// SPDX-License-Identifier: GPL-2.0-only
/*
 * Making and running extractors.  What they call while they run is in
 * llview_runtime.c.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "llview_internal.h"

enum {
	ARENA_CHUNK = 256 * 1024,
	ARENA_ALIGN = 16,
};

static const uint64_t default_steps = 100 * 1000 * 1000;
static const uint64_t default_bytes = UINT64_C(1) << 30;
static const uint64_t default_milliseconds = 30 * 1000;

/* Bounds of the section that the linker gathers descriptors in, absent without extractors. */
extern const struct ovm_llv_reloc __start_llv_relocs[] __attribute__((weak, visibility("hidden")));
extern const struct ovm_llv_reloc __stop_llv_relocs[] __attribute__((weak, visibility("hidden")));

struct chunk {
	struct chunk *next;
	size_t size, used;
	_Alignas(ARENA_ALIGN) uint8_t data[];
};

struct ovm_llv_arena {
	struct chunk *chunks;
};

_Thread_local struct ovm_llv *ovm_llv_current;

uint64_t ovm_llv_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

struct ovm_error *ovm_llv_arena_create(struct ovm_llv_arena **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? NULL : ovm_error_no_memory();
}

void ovm_llv_arena_destroy(struct ovm_llv_arena *arena)
{
	if (!arena)
		return;
	for (struct chunk *chunk = arena->chunks, *next; chunk; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	free(arena);
}

void *ovm_llv_arena_alloc(struct ovm_llv_arena *arena, size_t size)
{
	struct chunk *chunk = arena->chunks;

	if (size > SIZE_MAX / 2)
		return NULL;
	size = (size + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
	if (!chunk || chunk->size - chunk->used < size) {
		size_t room = size > ARENA_CHUNK ? size : ARENA_CHUNK;

		chunk = calloc(1, sizeof(*chunk) + room);
		if (!chunk)
			return NULL;
		chunk->size = room;
		chunk->next = arena->chunks;
		arena->chunks = chunk;
	}
	void *result = chunk->data + chunk->used;
	chunk->used += size;
	return result;
}

struct ovm_error *ovm_llv_create(const struct ovm_llv_options *options, struct ovm_llv **ret)
{
	if (options->size != sizeof(*options) || !options->read || !options->btf)
		return ovm_error_format(OVM_ERROR_USAGE, "incomplete options for extractors");
	struct ovm_llv *llv = calloc(1, sizeof(*llv));
	if (!llv)
		return ovm_error_no_memory();
	llv->options = *options;
	if (!options->relocs) {
		llv->options.relocs = __start_llv_relocs;
		llv->options.nr_relocs = __stop_llv_relocs - __start_llv_relocs;
	}
	llv->slots = calloc(llv->options.nr_relocs + 1, sizeof(*llv->slots));
	if (!llv->slots) {
		ovm_llv_destroy(llv);
		return ovm_error_no_memory();
	}
	for (size_t i = 0; i < llv->options.nr_relocs; i++) {
		struct ovm_error *err = ovm_llv_bind(llv, &llv->options.relocs[i], &llv->slots[i]);

		/* Said again, with the reason, when it is used. */
		if (err)
			llv->slots[i].state = OVM_LLV_UNBOUND;
		ovm_error_free(err);
	}
	*ret = llv;
	return NULL;
}

void ovm_llv_destroy(struct ovm_llv *llv)
{
	if (!llv)
		return;
	free(llv->slots);
	free(llv->scratch);
	free(llv);
}

size_t ovm_llv_unbound(const struct ovm_llv *llv,
		       void (*describe)(void *arg, const struct ovm_llv_reloc *reloc,
					struct ovm_error *err),
		       void *arg)
{
	size_t nr = 0;

	for (size_t i = 0; i < llv->options.nr_relocs; i++) {
		struct ovm_llv_slot slot = {0};

		if (llv->slots[i].state == OVM_LLV_BOUND)
			continue;
		nr++;
		if (describe)
			describe(arg, &llv->options.relocs[i],
				 ovm_llv_bind(llv, &llv->options.relocs[i], &slot));
	}
	return nr;
}

struct ovm_error *ovm_llv_run(struct ovm_llv *llv, const char *name, void (*entry)(void), void *arg,
			      const struct ovm_llv_budget *budget, struct ovm_llv_arena *arena)
{
	/* The pass marks records as another address space, which is this one to us. */
	void (*function)(void *) = (void (*)(void *))entry;
	struct ovm_llv *outer = ovm_llv_current;

	llv->arena = arena;
	llv->err = NULL;
	llv->depth = 0;
	llv->steps = budget && budget->steps ? budget->steps : default_steps;
	llv->bytes = budget && budget->bytes ? budget->bytes : default_bytes;
	llv->deadline = ovm_llv_now_ms() + (budget && budget->milliseconds ? budget->milliseconds
									   : default_milliseconds);
	llv->cancelled = budget ? budget->cancelled : NULL;
	llv->cancelled_arg = budget ? budget->arg : NULL;
	memset(llv->tlb, 0, sizeof(llv->tlb));
	ovm_llv_current = llv;
	if (!_setjmp(llv->leave))
		function(arg);
	ovm_llv_current = outer;
	return ovm_error_prepend(llv->err, "%s", name);
}
