/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guest RAM as a device sees it.
 *
 * Pages are pinned when they are mapped into the device, so that only what has data is mapped, and
 * only once: pinning a page costs more than copying it. The guest may give a
 * page back afterwards (balloon, free page reporting: a hole is punched into the RAM file), and the
 * device goes on seeing the old page. So the file is mapped here a second time, for the
 * device alone: where a hole was punched, the kernel has taken the page out of this mapping, and
 * nothing puts it back; /proc/self/pagemap tells.
 */
#ifndef OVM_KERNELS_CUDA_MAPPING_H
#define OVM_KERNELS_CUDA_MAPPING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../vmi/memory.h"
#include "device.h"
#include "run.h"

struct ovm_mapping;

/** RAM that is mapped, at consecutive device addresses. */
struct ovm_mapping_extent {
	uint64_t gpa;
	/** Bytes, a multiple of 4 KiB, at most 64 GiB. */
	uint64_t size;
	const uint8_t *device;
};

/**
 * Map what of a guest's RAM has data. What can't be mapped is left out: it has to be staged.
 *
 * Errors: OVM_ERROR_DEVICE for a device that failed, OVM_ERROR_NO_MEMORY, OVM_ERROR_UNREACHABLE;
 * nothing stays mapped then.
 */
struct ovm_error *ovm_mapping_create(struct ovm_device *device, const struct ovm_memory *memory,
				     struct ovm_mapping **ret);

/** Unmap all; NULL is fine. The device may have failed. */
void ovm_mapping_destroy(struct ovm_mapping *mapping);

/**
 * Map what got data since, map anew what was discarded. Nothing may be running on the device.
 * Device addresses of before are not valid any more if *@changed.
 */
struct ovm_error *ovm_mapping_refresh(struct ovm_mapping *mapping, bool *changed);

/** The extents, sorted by address, disjoint, as long as possible; valid until the next refresh. */
size_t ovm_mapping_extents(const struct ovm_mapping *mapping,
			   const struct ovm_mapping_extent **ret);

/**
 * How the device can read the RAM at @gpa. Returns how many of the @len bytes are alike: mapped at
 * *@ret, or not mapped when that is NULL.
 */
size_t ovm_mapping_find(const struct ovm_mapping *mapping, uint64_t gpa, size_t len,
			const uint8_t **ret);

/**
 * Whether what the device has read of a piece of RAM since the last refresh was what the guest
 * has there: false if any page of it was discarded since.
 */
bool ovm_mapping_holds(struct ovm_mapping *mapping, uint64_t gpa, uint64_t len);

/** The same for all that is mapped; cheap when nothing was discarded. */
bool ovm_mapping_holds_all(struct ovm_mapping *mapping);

struct ovm_mapping_stats {
	/** Bytes that are mapped, and bytes with data that can't be. */
	uint64_t mapped, refused;
	/** Pieces that are registered with the device one by one. */
	uint64_t nr_chunks;
	/** Why something was refused, or NULL. */
	const char *reason;
};

void ovm_mapping_stats(const struct ovm_mapping *mapping, struct ovm_mapping_stats *ret);

#endif /* OVM_KERNELS_CUDA_MAPPING_H */
