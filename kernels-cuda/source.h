/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guest RAM as a source of bulk copies.
 *
 * Writing from a mapping whose pages aren't mapped yet is several times slower,
 * so they are populated first; but populating or reading a hole of the RAM file would
 * allocate it. Hence what is a hole is asked for in blocks of 2 MiB, and only blocks
 * without holes are used without asking for each page.
 *
 * Thread-safe, but for ovm_source_refresh().
 */
#ifndef OVM_KERNELS_CUDA_SOURCE_H
#define OVM_KERNELS_CUDA_SOURCE_H

#include "../vmi/memory.h"

struct ovm_source;

/** Make a source for a memory, which must outlive it. */
struct ovm_error *ovm_source_create(const struct ovm_memory *memory, struct ovm_source **ret);

/** Free a source; NULL is fine. */
void ovm_source_destroy(struct ovm_source *source);

/**
 * How the guest RAM at @gpa can be read.
 *
 * Returns how many of the @len bytes, both multiples of 4 KiB, can be read the same way: at *@ret,
 * which is populated, or with ovm_memory_read() when that is NULL.
 */
size_t ovm_source_find(struct ovm_source *source, uint64_t gpa, size_t len, const uint8_t **ret);

/** Forget what is a hole: the guest may have given RAM back (balloon) since it was found out. */
void ovm_source_refresh(struct ovm_source *source);

/** The NUMA node of the RAM range that holds @gpa; -1 when it doesn't matter. */
int ovm_source_node(const struct ovm_source *source, uint64_t gpa);

#endif /* OVM_KERNELS_CUDA_SOURCE_H */
