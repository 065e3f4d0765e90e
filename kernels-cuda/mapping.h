/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guest RAM as a device sees it.
 *
 * Pages are pinned when they are mapped into the device, so that only what has data is mapped, and
 * only once: pinning a page costs more than copying it. The guest may give a page back afterwards
 * (balloon, free page reporting: a hole is punched into the RAM file), and the device goes on
 * seeing the old page. A mapping beside the one that is pinned tells where that
 * happened (witness.h). Until then the page that was given back takes up memory, and one
 * that is given back while it is being mapped is allocated again: who wants memory
 * back from guests at any time should not attach a device to them for long.
 *
 * Only files on tmpfs (memfds included) are mapped, and those on hugetlbfs that have no
 * holes. Others, and what the device can't pin, have to be staged. RAM is registered with the
 * device in chunks that begin at multiples of a power of two of the file; a chunk that lost a page
 * is registered anew as a whole.
 *
 * Besides the device's own, this takes page tables of two mappings: with pages of 4 KiB, 4 MiB for
 * each GiB.
 *
 * One thread at a time, but for ovm_mapping_find(), ovm_mapping_unchanged(), ovm_mapping_holds()
 * and ovm_mapping_is_present().
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
	/** Bytes, a multiple of 4 KiB. */
	uint64_t size;
	const uint8_t *device;
};

/**
 * Map what of a guest's RAM has data. What can't be mapped is left out: it has to be staged.
 *
 * @memory: has to outlive the mapping
 *
 * Errors: OVM_ERROR_DEVICE for a device that failed, OVM_ERROR_NO_MEMORY, OVM_ERROR_UNREACHABLE
 * when a RAM file is not what it was; nothing stays mapped then.
 */
struct ovm_error *ovm_mapping_create(struct ovm_device *device, const struct ovm_memory *memory,
				     struct ovm_mapping **ret);

/** Limits that depend on how much RAM there is; those of zero do. */
struct ovm_mapping_limits {
	/** Most bytes of a chunk: a power of two from 4 KiB to 64 GiB. */
	uint64_t chunk;
	/** Most chunks. If there is more, the smallest pieces are left out. */
	size_t nr_chunks;
};

/** The same with other limits, for tests. */
struct ovm_error *ovm_mapping_create_limited(struct ovm_device *device,
					     const struct ovm_memory *memory,
					     const struct ovm_mapping_limits *limits,
					     struct ovm_mapping **ret);

/** Unmap all; NULL is fine. The device may have failed. */
void ovm_mapping_destroy(struct ovm_mapping *mapping);

/**
 * Map what got data since, map anew what was discarded. Nothing may be running on the device.
 * Device addresses of before are not valid any more if *@changed.
 *
 * Where no file has changed, this is a system call for each. Otherwise it takes a look at the page
 * tables of all that is mapped, and, if something was discarded or added, a search for it.
 *
 * Errors: as above; all is unmapped then, and *@changed.
 */
struct ovm_error *ovm_mapping_refresh(struct ovm_mapping *mapping, bool *changed);

/**
 * The extents, sorted by address, disjoint, as long as possible; valid until the next refresh. For
 * kernels: copies must not cross the chunks' borders, see ovm_mapping_find().
 */
size_t ovm_mapping_extents(const struct ovm_mapping *mapping,
			   const struct ovm_mapping_extent **ret);

/**
 * How the device can read the RAM at @gpa. Returns how many of the @len bytes are alike: mapped at
 * *@ret within one chunk, so that they can be copied at once, or not mapped when that is NULL.
 */
size_t ovm_mapping_find(const struct ovm_mapping *mapping, uint64_t gpa, size_t len,
			const uint8_t **ret);

/**
 * Whether what the device has read of a piece of RAM since the last refresh was what the guest
 * has there: false if any page of it was discarded since, or might have been. What is not
 * mapped holds always.
 */
bool ovm_mapping_holds(const struct ovm_mapping *mapping, uint64_t gpa, uint64_t len);

/** The same for all that is mapped; cheap when nothing was discarded. */
bool ovm_mapping_holds_all(struct ovm_mapping *mapping);

/**
 * Whether no file has changed since the last refresh, so that everything holds; if in doubt: no.
 * This is a system call for each file.
 */
bool ovm_mapping_unchanged(const struct ovm_mapping *mapping);

/**
 * The same as ovm_mapping_holds(), but without a look at the files: for one piece after the other,
 * when ovm_mapping_unchanged() has said no.
 */
bool ovm_mapping_is_present(const struct ovm_mapping *mapping, uint64_t gpa, uint64_t len);

struct ovm_mapping_stats {
	/** Bytes that are mapped, and bytes with data that aren't. */
	uint64_t mapped, refused;
	/** Pieces that are registered with the device one by one. */
	uint64_t nr_chunks;
	/** Why something was refused first, or NULL; valid until the next refresh. */
	const char *reason;
};

void ovm_mapping_stats(const struct ovm_mapping *mapping, struct ovm_mapping_stats *ret);

#endif /* OVM_KERNELS_CUDA_MAPPING_H */
