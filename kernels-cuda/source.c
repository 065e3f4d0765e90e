// SPDX-License-Identifier: GPL-2.0-only
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../vmi/cleanup.h"
#include "placement.h"
#include "run.h"

#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

enum {
	BLOCK_SHIFT = 21,
	BLOCK_SIZE = 1 << BLOCK_SHIFT,
	/* What one page fault maps around itself by default (fault_around_bytes). */
	WINDOW_SHIFT = 16,
	WINDOW_SIZE = 1 << WINDOW_SHIFT,
	WINDOWS_PER_BLOCK = BLOCK_SIZE / WINDOW_SIZE,
};

/* States of a block; only ever changed from unknown. */
enum block_state {
	BLOCK_UNKNOWN,
	/* All its pages have data. */
	BLOCK_FULL,
	/* Some of its pages may be holes. */
	BLOCK_MIXED,
};

struct block {
	atomic_uchar state;
	/* One bit per window: populated. */
	atomic_uint populated;
};

struct source_range {
	struct ovm_ram_range ram;
	/* NULL unless the range is mapped. */
	struct block *blocks;
	bool mincore_is_honest;
	int node;
};

struct ovm_source {
	const struct ovm_memory *memory;
	struct source_range *ranges;
	size_t nr;
	atomic_bool no_cachestat;
	atomic_bool no_populate;
};

/*
 * The kernel tells who can't write a file that all of it is cached (mm/mincore.c,
 * can_do_mincore()), which would make holes look like data.
 */
static bool mincore_is_honest(int fd)
{
	return !faccessat(fd, "", W_OK, AT_EMPTY_PATH | AT_EACCESS);
}

static struct ovm_error *range_init(const struct ovm_memory *memory, struct source_range *range,
				    const struct ovm_ram_range *ram)
{
	range->ram = *ram;
	range->node = ovm_placement_range_node(memory, ram);
	if (!ram->map)
		return NULL;
	range->mincore_is_honest = mincore_is_honest(ram->fd);
	range->blocks = calloc((ram->size >> BLOCK_SHIFT) + 1, sizeof(*range->blocks));
	return range->blocks ? NULL : ovm_error_no_memory();
}

struct ovm_error *ovm_source_create(const struct ovm_memory *memory, struct ovm_source **ret)
{
	const struct ovm_ram_range *ranges;
	size_t nr = ovm_memory_ranges(memory, &ranges);
	struct ovm_source *source = calloc(1, sizeof(*source));

	if (!source)
		return ovm_error_no_memory();
	source->memory = memory;
	source->ranges = calloc(nr ? nr : 1, sizeof(*source->ranges));

	struct ovm_error *err = source->ranges ? NULL : ovm_error_no_memory();

	for (size_t i = 0; i < nr && !err; i++, source->nr++)
		err = range_init(memory, &source->ranges[i], &ranges[i]);
	if (err) {
		ovm_source_destroy(source);
		return err;
	}
	*ret = source;
	return NULL;
}

void ovm_source_destroy(struct ovm_source *source)
{
	if (!source)
		return;
	for (size_t i = 0; i < source->nr; i++)
		free(source->ranges[i].blocks);
	free(source->ranges);
	free(source);
}

void ovm_source_refresh(struct ovm_source *source)
{
	for (size_t i = 0; i < source->nr; i++) {
		struct source_range *range = &source->ranges[i];
		size_t nr = range->blocks ? (range->ram.size >> BLOCK_SHIFT) + 1 : 0;

		for (size_t j = 0; j < nr; j++)
			atomic_store_explicit(&range->blocks[j].state, BLOCK_UNKNOWN,
					      memory_order_relaxed);
	}
}

static struct source_range *source_range(const struct ovm_source *source, uint64_t gpa)
{
	for (size_t i = 0; i < source->nr; i++) {
		if (gpa - source->ranges[i].ram.gpa < source->ranges[i].ram.size)
			return &source->ranges[i];
	}
	return NULL;
}

int ovm_source_node(const struct ovm_source *source, uint64_t gpa)
{
	const struct source_range *range = source_range(source, gpa);

	return range ? range->node : -1;
}

/*
 * Number of pages of a file that are in the page cache, or -1.
 *
 * cachestat(fd, struct { u64 off, len; }, struct { u64 nr_cache, nr_dirty, nr_writeback,
 * nr_evicted, nr_recently_evicted; }, 0). Source: Linux 6.5, include/uapi/linux/mman.h.
 */
static int64_t cached_pages(struct ovm_source *source, int fd, uint64_t offset, uint64_t len)
{
	uint64_t where[2] = {offset, len};
	uint64_t stat[5];

	if (atomic_load_explicit(&source->no_cachestat, memory_order_relaxed))
		return -1;
	if (syscall(SYS_cachestat, fd, where, stat, 0)) {
		atomic_store_explicit(&source->no_cachestat, true, memory_order_relaxed);
		return -1;
	}
	return (int64_t)stat[0];
}

/* Whether all pages of a mapping are in the page cache, for kernels without cachestat. */
static bool all_incore(const struct source_range *range, const uint8_t *map, size_t len)
{
	unsigned char cached[BLOCK_SIZE / OVM_PAGE_SIZE];

	if (!range->mincore_is_honest || mincore((void *)(uintptr_t)map, len, cached))
		return false;
	for (size_t i = 0; i < len / OVM_PAGE_SIZE; i++) {
		if (!(cached[i] & 1))
			return false;
	}
	return true;
}

/* Find out whether a block has holes. What is swapped out on the host counts as one. */
static enum block_state block_probe(struct ovm_source *source, struct source_range *range,
				    uint64_t offset)
{
	uint64_t start = offset & ~(uint64_t)(BLOCK_SIZE - 1);
	uint64_t left = range->ram.size - start;
	size_t len = left < BLOCK_SIZE ? left : BLOCK_SIZE;
	int64_t cached = cached_pages(source, range->ram.fd, range->ram.file_offset + start, len);

	if (cached < 0)
		return all_incore(range, range->ram.map + start, len) ? BLOCK_FULL : BLOCK_MIXED;
	return (uint64_t)cached == len / OVM_PAGE_SIZE ? BLOCK_FULL : BLOCK_MIXED;
}

static enum block_state block_state(struct ovm_source *source, struct source_range *range,
				    uint64_t offset)
{
	struct block *block = &range->blocks[offset >> BLOCK_SHIFT];
	enum block_state state = atomic_load_explicit(&block->state, memory_order_relaxed);

	if (state == BLOCK_UNKNOWN) {
		state = block_probe(source, range, offset);
		atomic_store_explicit(&block->state, (unsigned char)state, memory_order_relaxed);
	}
	return state;
}

/* The bits of the windows that [offset, offset + len), within a block, touches. */
static unsigned int window_mask(uint64_t offset, size_t len)
{
	unsigned int first = (offset >> WINDOW_SHIFT) % WINDOWS_PER_BLOCK;
	unsigned int last = ((offset + len - 1) >> WINDOW_SHIFT) % WINDOWS_PER_BLOCK;

	return ~0U >> (WINDOWS_PER_BLOCK - 1 - last) & ~0U << first;
}

/*
 * Populate pages that have data, unless that was done before. A fault on one page maps the
 * cached ones around it, so a window is populated by any of its pages. All of
 * this is for speed only: what is not mapped will be when it is read.
 */
static void populate(struct ovm_source *source, struct source_range *range, uint64_t offset,
		     size_t len)
{
	struct block *block = &range->blocks[offset >> BLOCK_SHIFT];
	unsigned int mask = window_mask(offset, len);
	unsigned int populated = atomic_load_explicit(&block->populated, memory_order_relaxed);

	if ((populated & mask) == mask ||
	    atomic_load_explicit(&source->no_populate, memory_order_relaxed))
		return;
	if (madvise((void *)(uintptr_t)(range->ram.map + offset), len, MADV_POPULATE_READ) &&
	    errno == EINVAL)
		atomic_store_explicit(&source->no_populate, true, memory_order_relaxed);
	atomic_fetch_or_explicit(&block->populated, mask, memory_order_relaxed);
}

static bool page_has_data(const struct ovm_source *source, uint64_t gpa)
{
	return ovm_memory_peek(source->memory, gpa, OVM_PAGE_SIZE) != NULL;
}

size_t ovm_source_find(struct ovm_source *source, uint64_t gpa, size_t len, const uint8_t **ret)
{
	struct source_range *range = source_range(source, gpa);

	*ret = NULL;
	if (!range)
		return len;

	uint64_t offset = gpa - range->ram.gpa;

	if (len > range->ram.size - offset)
		len = range->ram.size - offset;
	if (!range->blocks)
		return len;
	if (len > BLOCK_SIZE - offset % BLOCK_SIZE)
		len = BLOCK_SIZE - offset % BLOCK_SIZE;
	if (block_state(source, range, offset) == BLOCK_MIXED) {
		bool data = page_has_data(source, gpa);
		size_t same = OVM_PAGE_SIZE;

		while (same < len && page_has_data(source, gpa + same) == data)
			same += OVM_PAGE_SIZE;
		len = same;
		if (!data)
			return len;
	}
	populate(source, range, offset, len);
	*ret = range->ram.map + offset;
	return len;
}
