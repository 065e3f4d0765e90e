/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Running extractors on a guest.
 *
 * An extractor is code compiled by LLView (llview-pass/); it reads the guest
 * through the callbacks given here and fills records in an arena.  Whatever the
 * guest's memory holds, it ends: with its records, or with an error.
 *
 * A llv is used by one thread at a time; many may exist.
 */
#ifndef OVM_VMI_LLVIEW_H
#define OVM_VMI_LLVIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "btf.h"
#include "error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct ovm_llv;
struct ovm_llv_arena;
struct ovm_llv_reloc;

/** How the guest is read, and what its kernel is made of. */
struct ovm_llv_options {
	/** sizeof(struct ovm_llv_options) */
	size_t size;
	/** Passed to each callback. */
	void *arg;
	/**
	 * Where @len bytes of kernel memory are mapped in this process, or NULL when they are to be
	 * read. Asked for whole pages; the answer is kept until the run ends. May be NULL.
	 */
	const void *(*peek)(void *arg, uint64_t address, size_t len);
	/** Read kernel memory. Errors: OVM_ERROR_FAULT with the address. */
	struct ovm_error *(*read)(void *arg, uint64_t address, void *buf, size_t len);
	/** Address of a symbol of the guest's kernel. */
	bool (*symbol)(void *arg, const char *name, uint64_t *ret);
	/** Types of the guest's kernel; has to outlive the result. */
	const struct ovm_btf *btf;
	/** Descriptors to bind; NULL: those of all extractors that this program is linked with. */
	const struct ovm_llv_reloc *relocs;
	size_t nr_relocs;
};

/**
 * Bind all extractors to a guest's kernel. What the kernel doesn't have is an error only when it
 * is used, since extractors ask before they use what not every kernel has.
 */
struct ovm_error *ovm_llv_create(const struct ovm_llv_options *options, struct ovm_llv **ret);

/** Free; NULL is fine. Arenas live on. */
void ovm_llv_destroy(struct ovm_llv *llv);

/**
 * How many descriptors could not be bound; @describe, if not NULL, is called with each, its error
 * owned by the callee.
 */
size_t ovm_llv_unbound(const struct ovm_llv *llv,
		       void (*describe)(void *arg, const struct ovm_llv_reloc *reloc,
					struct ovm_error *err),
		       void *arg);

/** Make an arena, which owns the records that runs put into it. */
struct ovm_error *ovm_llv_arena_create(struct ovm_llv_arena **ret);

/** Free an arena and every record in it; NULL is fine. */
void ovm_llv_arena_destroy(struct ovm_llv_arena *arena);

/** A zeroed object in an arena, aligned to 16 bytes; NULL when memory is short. */
void *ovm_llv_arena_alloc(struct ovm_llv_arena *arena, size_t size);

/** Bounds of a run; 0 stands for the default. */
struct ovm_llv_budget {
	/** Turns of loops: 100 million. */
	uint64_t steps;
	/** Bytes of records and of guest memory copied into them: 1 GiB. */
	uint64_t bytes;
	/** Time, in ms: 30 s. Ends what is too slow for the other bounds to be reached soon. */
	uint64_t milliseconds;
	/** Asked now and then; true ends the run with OVM_ERROR_CANCELLED. May be NULL. */
	bool (*cancelled)(void *arg);
	void *arg;
};

/** An entry point as ovm_llv_run() takes it. */
#define OVM_LLV_ENTRY(function) ((void (*)(void))(function))

/**
 * Run an entry point, made with LLV_ENTRY(), on @arg. Records go to @arena, those of a run that
 * fails too. @name is for messages. Takes up to 4 MiB of the calling thread's stack.
 *
 * Errors: OVM_ERROR_FAULT, OVM_ERROR_BUDGET, OVM_ERROR_KERNEL (something was used that the guest's
 * kernel doesn't have), OVM_ERROR_CORRUPT, and what the extractor itself fails with; with the guest
 * address where there is one.
 */
struct ovm_error *ovm_llv_run(struct ovm_llv *llv, const char *name, void (*entry)(void), void *arg,
			      const struct ovm_llv_budget *budget, struct ovm_llv_arena *arena);

#ifdef __cplusplus
}
#endif

#endif /* OVM_VMI_LLVIEW_H */
