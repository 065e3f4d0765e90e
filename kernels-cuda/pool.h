/* SPDX-License-Identifier: GPL-2.0-only */
/* Worker threads that work off a list of items, each preferring those of its own NUMA node. */
#ifndef OVM_KERNELS_CUDA_POOL_H
#define OVM_KERNELS_CUDA_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include "../vmi/error.h"

struct ovm_pool;

struct ovm_pool_job {
	/** How many items there are. */
	size_t nr;
	/** NUMA node of each item, or NULL: no preference. */
	const unsigned char *nodes;
	/** Do one item; @worker is below the number of threads and does one item at a time. */
	struct ovm_error *(*run)(void *arg, unsigned int worker, size_t item);
	void *arg;
	/** Called by the thread that waits for the job; true stops it. May be NULL. */
	bool (*poll)(void *arg);
	void *poll_arg;
};

/** Start @nr_threads threads, spread over the nodes that this process may use. */
struct ovm_error *ovm_pool_create(unsigned int nr_threads, struct ovm_pool **ret);

/** Stop the threads; NULL is fine. */
void ovm_pool_destroy(struct ovm_pool *pool);

unsigned int ovm_pool_nr_threads(const struct ovm_pool *pool);

/** The NUMA node that a worker is bound to, or -1. */
int ovm_pool_node(const struct ovm_pool *pool, unsigned int worker);

/**
 * Run a job to its end. Items start in rising order per node. After an error or a stop no
 * further item starts; of several errors, that of the lowest item is returned.
 *
 * Errors: those of @run; OVM_ERROR_CANCELLED.
 */
struct ovm_error *ovm_pool_run(struct ovm_pool *pool, const struct ovm_pool_job *job);

#endif /* OVM_KERNELS_CUDA_POOL_H */
