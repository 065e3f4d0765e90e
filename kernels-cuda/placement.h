/* SPDX-License-Identifier: GPL-2.0-only */
/* NUMA: where guest RAM is, and where to run and to buffer. All of it works without libnuma. */
#ifndef OVM_KERNELS_CUDA_PLACEMENT_H
#define OVM_KERNELS_CUDA_PLACEMENT_H

#include <stddef.h>

#include "../vmi/memory.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
	/* Nodes above this share queues with others. */
	OVM_MAX_NODES = 64,
};

/** The node that worker @index belongs on; -1 when the machine has a single node. */
int ovm_placement_worker_node(unsigned int index);

/** Run the calling thread on @node, and prefer its memory; -1 does nothing. */
void ovm_placement_bind(int node);

/** Allocate a zeroed buffer on @node (-1: anywhere); NULL when there is no memory. */
void *ovm_placement_alloc(size_t size, int node);

/** Free a buffer of ovm_placement_alloc(); NULL is fine. */
void ovm_placement_free(void *buf, size_t size);

/**
 * The node that holds most of a RAM range, by a sample of its pages that have data; -1 when
 * unknown or when there is a single node. Allocates no holes.
 */
int ovm_placement_range_node(const struct ovm_memory *memory, const struct ovm_ram_range *range);

#ifdef __cplusplus
}
#endif

#endif /* OVM_KERNELS_CUDA_PLACEMENT_H */
