/* SPDX-License-Identifier: GPL-2.0-only */
/* What a back end of the page engine implements. */
#ifndef OVM_KERNELS_CUDA_BACKEND_H
#define OVM_KERNELS_CUDA_BACKEND_H

#include "device.h"
#include "engine.h"
#include "pageops.h"
#include "pool.h"
#include "source.h"

/** The part of an engine that all back ends have. */
struct ovm_engine {
	const struct ovm_engine_backend *backend;
	struct ovm_pool *pool;
	/** NULL for the CPU. */
	struct ovm_device *device;
	/** As they were given. */
	enum ovm_backend asked_for;
	unsigned int nr_asked_for;
	/** A device that was there has failed, after it had worked or before. */
	bool gave_up;
	bool did_not_attach;
	/** See ovm_engine_reason(). */
	char *reason;
	/** NULL until attached. */
	const struct ovm_memory *memory;
	/** Guest RAM, sorted, adjacent ranges joined. */
	struct ovm_gpa_range *ram;
	uint32_t nr_ram;
	/** Bytes of guest RAM. */
	uint64_t ram_size;
	/** The same for copies by CPUs, which any back end may fall back on. */
	struct ovm_source *source;
	/** The back end's own state. */
	void *state;
};

/**
 * The requests that a back end gets are checked: see engine.c. Where it returns OVM_ERROR_DEVICE,
 * the engine does without the device from then on, and the CPU does what was asked.
 */
struct ovm_engine_backend {
	const char *name;
	/**
	 * Make engine->state for engine->memory. OVM_ERROR_NOT_FOUND: the device is fine, but not
	 * for this guest; the engine does without it.
	 */
	struct ovm_error *(*attach)(struct ovm_engine *engine);
	/** Free engine->state, which may be NULL. */
	void (*detach)(struct ovm_engine *engine);
	/** Walk for all requests; results[] are there and empty. */
	struct ovm_error *(*walk)(struct ovm_engine *engine,
				  const struct ovm_walk_request *requests, size_t nr,
				  struct ovm_walk_result **results, size_t *failed);
	struct ovm_error *(*copy)(struct ovm_engine *engine,
				  const struct ovm_copy_request *request);
	struct ovm_error *(*pack)(struct ovm_engine *engine, const struct ovm_pack_request *request,
				  struct ovm_pack_result **ret);
	/** NULL without a device; asked only when there is engine->state. */
	void (*device_stats)(const struct ovm_engine *engine, struct ovm_engine_device_stats *ret);
};

extern const struct ovm_engine_backend ovm_backend_cpu;
/** On engine->device. */
extern const struct ovm_engine_backend ovm_backend_cuda;

/** The CPU back end's walk: level by level, by the engine's threads. */
struct ovm_error *ovm_cpu_walk(struct ovm_engine *engine, const struct ovm_walk_request *requests,
			       size_t nr, struct ovm_walk_result **results, size_t *failed);
/** The CPU back end's copy. */
struct ovm_error *ovm_cpu_copy(struct ovm_engine *engine, const struct ovm_copy_request *request);
/** The CPU back end's packing. */
struct ovm_error *ovm_cpu_pack(struct ovm_engine *engine, const struct ovm_pack_request *request,
			       struct ovm_pack_result **ret);

struct ovm_walk;

/** Fill in all of a walk; it points into engine and request. */
void ovm_walk_init(struct ovm_walk *walk, const struct ovm_engine *engine,
		   const struct ovm_walk_request *request);

/** Write into a sink; see ovm_sink_write_fn. */
struct ovm_error *ovm_page_sink_write(struct ovm_page_sink *sink, const struct iovec *iov,
				      int nr_iov, uint64_t offset);

#endif /* OVM_KERNELS_CUDA_BACKEND_H */
