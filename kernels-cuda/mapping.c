// SPDX-License-Identifier: GPL-2.0-only
#include "mapping.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../vmi/cleanup.h"
#include "ram_file.h"
#include "witness.h"

enum {
	/*
	 * Registering has a price of its own, some tens of microseconds, and drivers look chunks
	 * up one by one. With this many, attaching stays well below a second apart from
	 * the price of each page, however scattered the data is.
	 */
	MAX_CHUNKS = 4096,
	/* The parts that a refused chunk is tried in. */
	MAX_PARTS = 32,
	/* A device that has refused this often won't take the rest either; each try may have
	 * pinned and unpinned a chunk. */
	MAX_REFUSALS = 64,
	MAX_REFUSALS_LATER = 8,
	/* Pieces of data that are looked at: for a second or so. */
	MAX_PIECES = 1 << 20,
};

/*
 * Chunks of this size keep the time short in which a driver holds its locks, and in which a chunk
 * is mapped anew. Guests with more RAM than MAX_CHUNKS allow for have longer ones.
 */
static const uint64_t MIN_CHUNK = UINT64_C(1) << 30;
static const uint64_t MAX_CHUNK = UINT64_C(64) << 30;
/* With huge pages of 2 MiB, a witness has to be smaller than 1 GiB; larger pages share no tables.
 */
static const uint64_t MAX_HUGE_CHUNK = UINT64_C(512) << 20;

static const char too_scattered[] = "its data is too scattered";

/* RAM that is contiguous in a file as well, and its mapping that is pinned. */
struct area {
	uint64_t gpa;
	uint64_t size;
	struct ovm_ram_file *file;
	uint64_t file_offset;
	struct ovm_window window;
};

/* A piece of an area that has data, and may be registered. */
struct piece {
	const struct area *area;
	/* In the area. */
	uint64_t offset;
	uint64_t size;
};

struct chunk {
	uint64_t gpa;
	uint64_t size;
	const struct area *area;
	const uint8_t *device;
	struct ovm_window witness;
};

struct ovm_mapping {
	struct ovm_device *device;
	const struct ovm_memory *memory;
	struct ovm_mapping_limits limits;
	/* The device can't pin what can't be written. It does not write. */
	bool writable;
	struct ovm_pagemap pagemap;
	struct ovm_ram_file *files;
	size_t nr_files;
	/* Both sorted by address. */
	struct area *areas;
	size_t nr_areas;
	struct chunk *chunks;
	size_t nr_chunks;
	struct ovm_mapping_extent *extents;
	size_t nr_extents;
	/* RAM that will never be mapped, and bytes with data that aren't. */
	uint64_t unmappable, refused;
	uint64_t allocated;
	char *reason;
};

/* What is to be registered. */
struct plan {
	struct piece *pieces;
	size_t nr;
	/* Room for pieces; how many there may be in the end. */
	size_t room;
	size_t max;
	/* There are enough larger pieces than this. */
	uint64_t too_small;
	uint64_t looked_at;
	unsigned int refusals_left;
};

/* Keep the first reason; one that can't be kept is no loss. */
static void set_reason(struct ovm_mapping *mapping, const char *reason)
{
	if (!mapping->reason)
		mapping->reason = strdup(reason);
}

static void refuse(struct ovm_mapping *mapping, uint64_t size, const char *reason)
{
	mapping->refused += size;
	set_reason(mapping, reason);
}

static void refuse_always(struct ovm_mapping *mapping, uint64_t size, const char *reason)
{
	mapping->unmappable += size;
	set_reason(mapping, reason);
}

static struct ovm_ram_file *find_file(struct ovm_mapping *mapping, const struct ovm_ram_file *other)
{
	for (size_t i = 0; i < mapping->nr_files; i++) {
		struct ovm_ram_file *file = &mapping->files[i];

		if (file->device == other->device && file->inode == other->inode)
			return file;
	}
	return NULL;
}

/* Why a range will never be mapped, or NULL. */
static const char *range_reason(const struct ovm_ram_range *range, const struct ovm_ram_file *file)
{
	if (range->kind == OVM_RAM_FILE && file->kind == OVM_RAM_FILE_HUGE)
		return NULL;
	if (range->kind != OVM_RAM_MAPPED)
		return "RAM that is not a shared file has no pages that can be pinned";
	return file->kind == OVM_RAM_FILE_TMPFS ? NULL : "the RAM file is not on tmpfs";
}

static struct ovm_error *add_range(struct ovm_mapping *mapping, const struct ovm_ram_range *range)
{
	struct area *last = &mapping->areas[mapping->nr_areas ? mapping->nr_areas - 1 : 0];
	struct ovm_ram_file file = {0}, *known;

	if (range->kind != OVM_RAM_PROCESS) {
		struct ovm_error *err = ovm_ram_file_init(&file, range->fd);

		if (err)
			return err;
	}

	const char *reason = range_reason(range, &file);

	if (reason) {
		refuse_always(mapping, range->size, reason);
		return NULL;
	}
	known = find_file(mapping, &file);
	if (!known) {
		known = &mapping->files[mapping->nr_files++];
		*known = file;
	}
	if (mapping->nr_areas && last->file == known && last->gpa + last->size == range->gpa &&
	    last->file_offset + last->size == range->file_offset) {
		last->size += range->size;
		return NULL;
	}
	mapping->areas[mapping->nr_areas++] = (struct area){
		.gpa = range->gpa,
		.size = range->size,
		.file = known,
		.file_offset = range->file_offset,
	};
	return NULL;
}

/* Map the areas; those that can't be are dropped. */
static void open_areas(struct ovm_mapping *mapping)
{
	size_t nr = 0;

	for (size_t i = 0; i < mapping->nr_areas; i++) {
		struct area *area = &mapping->areas[i];
		int errnum = EINVAL;

		if ((area->file_offset | area->size) % area->file->page_size == 0)
			errnum = ovm_window_open(&area->window, area->file->fd, area->file_offset,
						 area->size, area->file->page_size,
						 mapping->writable);
		if (errnum)
			refuse_always(mapping, area->size, strerrordesc_np(errnum));
		else
			mapping->areas[nr++] = *area;
	}
	mapping->nr_areas = nr;
}

static struct ovm_error *make_areas(struct ovm_mapping *mapping)
{
	const struct ovm_ram_range *ranges;
	size_t nr = ovm_memory_ranges(mapping->memory, &ranges);
	struct ovm_error *err = NULL;

	mapping->files = calloc(nr + 1, sizeof(*mapping->files));
	mapping->areas = calloc(nr + 1, sizeof(*mapping->areas));
	if (!mapping->files || !mapping->areas)
		return ovm_error_no_memory();

	int errnum = ovm_pagemap_open(&mapping->pagemap);

	if (errnum) {
		for (size_t i = 0; i < nr; i++)
			refuse_always(mapping, ranges[i].size,
				      "/proc/self/pagemap can't be opened");
		return NULL;
	}
	for (size_t i = 0; i < nr && !err; i++)
		err = add_range(mapping, &ranges[i]);
	if (!err)
		open_areas(mapping);
	return err;
}

static void set_limits(struct ovm_mapping *mapping, const struct ovm_mapping_limits *limits)
{
	uint64_t size = 0, huge = 0;

	for (size_t i = 0; i < mapping->nr_areas; i++) {
		const struct area *area = &mapping->areas[i];

		*(area->file->kind == OVM_RAM_FILE_HUGE ? &huge : &size) += area->size;
	}
	if (limits)
		mapping->limits = *limits;
	if (!mapping->limits.nr_chunks)
		mapping->limits.nr_chunks = MAX_CHUNKS + huge / MAX_HUGE_CHUNK;
	if (mapping->limits.chunk)
		return;
	mapping->limits.chunk = MIN_CHUNK;
	/* Borders of areas and holes make for more chunks than there would have to be. */
	while (mapping->limits.chunk < MAX_CHUNK &&
	       size / mapping->limits.chunk > mapping->limits.nr_chunks / 2)
		mapping->limits.chunk *= 2;
}

/* Most bytes of a chunk. */
static uint64_t max_chunk(const struct ovm_mapping *mapping, const struct area *area)
{
	uint64_t max = mapping->limits.chunk;

	if (area->file->kind == OVM_RAM_FILE_HUGE && max > MAX_HUGE_CHUNK)
		max = MAX_HUGE_CHUNK;
	return max > area->file->page_size ? max : area->file->page_size;
}

/* The parts of a chunk that are tried when it is refused. */
static uint64_t min_chunk(const struct ovm_mapping *mapping, const struct area *area)
{
	uint64_t min = max_chunk(mapping, area) / MAX_PARTS;

	return min > area->file->page_size ? min : area->file->page_size;
}

/* Look at all files. */
static struct ovm_error *look(struct ovm_mapping *mapping)
{
	mapping->allocated = 0;
	for (size_t i = 0; i < mapping->nr_files; i++) {
		struct ovm_error *err = ovm_ram_file_look(&mapping->files[i]);

		if (err)
			return err;
		mapping->allocated += mapping->files[i].allocated;
	}
	for (size_t i = 0; i < mapping->nr_areas; i++) {
		const struct area *area = &mapping->areas[i];

		if (area->file_offset + area->size > area->file->size)
			return ovm_error_address(OVM_ERROR_UNREACHABLE, area->gpa,
						 "the guest's RAM file was truncated while in use: "
						 "it ends before RAM at");
	}
	return NULL;
}

static bool chunk_holds(const struct ovm_mapping *mapping, const struct chunk *chunk)
{
	return ovm_pagemap_is_present(&mapping->pagemap, chunk->witness.map, chunk->size);
}

static void chunk_unmap(struct ovm_mapping *mapping, struct chunk *chunk)
{
	const struct area *area = chunk->area;

	mapping->device->ops->unmap(mapping->device, area->window.map + (chunk->gpa - area->gpa));
	ovm_window_close(&chunk->witness);
}

static void unmap_all(struct ovm_mapping *mapping)
{
	for (size_t i = 0; i < mapping->nr_chunks; i++)
		chunk_unmap(mapping, &mapping->chunks[i]);
	mapping->nr_chunks = mapping->nr_extents = 0;
}

/* Planning */

static int compare_sizes(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;

	return x->size > y->size ? -1 : x->size < y->size;
}

static int compare_addresses(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;
	uint64_t left = x->area->gpa + x->offset, right = y->area->gpa + y->offset;

	return left < right ? -1 : left > right;
}

/* Keep the largest pieces. */
static void plan_shrink(struct ovm_mapping *mapping, struct plan *plan)
{
	if (plan->nr <= plan->max)
		return;
	qsort(plan->pieces, plan->nr, sizeof(*plan->pieces), compare_sizes);
	while (plan->nr > plan->max)
		refuse(mapping, plan->pieces[--plan->nr].size, too_scattered);
	if (plan->nr)
		plan->too_small = plan->pieces[plan->nr - 1].size;
}

static void plan_add(struct ovm_mapping *mapping, struct plan *plan, const struct area *area,
		     uint64_t offset, uint64_t size)
{
	plan->looked_at++;
	if (plan->nr == plan->room)
		plan_shrink(mapping, plan);
	if (size <= plan->too_small)
		refuse(mapping, size, too_scattered);
	else
		plan->pieces[plan->nr++] = (struct piece){area, offset, size};
}

/* The end of the aligned block of a file that an offset is in. */
static uint64_t block_end(const struct area *area, uint64_t offset, uint64_t block)
{
	uint64_t in_file = area->file_offset + offset;

	return (in_file / block + 1) * block - area->file_offset;
}

/* Plan for the data in a piece of an area that isn't mapped. */
static void plan_gap(struct ovm_mapping *mapping, struct plan *plan, const struct area *area,
		     uint64_t offset, uint64_t end)
{
	const uint64_t max = max_chunk(mapping, area);
	uint64_t data, hole;

	if (area->file->kind == OVM_RAM_FILE_HUGE && !area->file->data_end && offset < end)
		refuse(mapping, end - offset,
		       "holes in a file of huge pages can't be told from data");
	while (plan->looked_at < MAX_PIECES &&
	       ovm_ram_file_next(area->file, area->file_offset + offset, area->file_offset + end,
				 &data, &hole)) {
		offset = data - area->file_offset;
		hole -= area->file_offset;
		while (offset < hole) {
			uint64_t stop = block_end(area, offset, max);

			stop = stop < hole ? stop : hole;
			plan_add(mapping, plan, area, offset, stop - offset);
			offset = stop;
		}
	}
	if (plan->looked_at >= MAX_PIECES)
		set_reason(mapping, too_scattered);
}

/* Plan for all data that isn't mapped. */
static void plan_all(struct ovm_mapping *mapping, struct plan *plan)
{
	const struct chunk *chunk = mapping->chunks;
	const struct chunk *last = chunk + mapping->nr_chunks;

	for (size_t i = 0; i < mapping->nr_areas; i++) {
		const struct area *area = &mapping->areas[i];
		uint64_t offset = 0;

		for (; chunk < last && chunk->area == area; chunk++) {
			plan_gap(mapping, plan, area, offset, chunk->gpa - area->gpa);
			offset = chunk->gpa - area->gpa + chunk->size;
		}
		plan_gap(mapping, plan, area, offset, area->size);
	}
	plan_shrink(mapping, plan);
	if (plan->nr)
		qsort(plan->pieces, plan->nr, sizeof(*plan->pieces), compare_addresses);
}

/* Registration */

/* Register a piece. What is not registered, and no failure of the device, is told by *@refused. */
static struct ovm_error *map_chunk(struct ovm_mapping *mapping, const struct piece *piece,
				   bool *refused)
{
	const struct area *area = piece->area;
	struct ovm_ram_file *file = area->file;
	uint64_t offset = area->file_offset + piece->offset;
	struct chunk *chunk = &mapping->chunks[mapping->nr_chunks];
	const void *device;

	*refused = true;
	if (!ovm_ram_file_unchanged(file) && !ovm_ram_file_is_full(file, offset, piece->size)) {
		set_reason(mapping, "the guest gave memory back while it was being mapped");
		return NULL;
	}
	*chunk = (struct chunk){area->gpa + piece->offset, piece->size, area, NULL, {0}};

	int errnum =
		ovm_witness_open(&chunk->witness, file->fd, offset, piece->size, file->page_size);

	if (errnum) {
		set_reason(mapping, errnum == EINVAL ? "it takes Linux 5.14 or later"
						     : strerrordesc_np(errnum));
		return NULL;
	}

	struct ovm_error *err = mapping->device->ops->map(
		mapping->device, area->window.map + piece->offset, piece->size, &device);

	if (!err) {
		chunk->device = device;
		mapping->nr_chunks++;
		*refused = false;
		return NULL;
	}
	ovm_window_close(&chunk->witness);
	if (err->code == OVM_ERROR_DEVICE)
		return err;
	set_reason(mapping, err->message);
	ovm_error_free(err);
	return NULL;
}

/* Register a piece, in parts if need be: blocks that are halved where they are refused. */
static struct ovm_error *map_piece(struct ovm_mapping *mapping, struct plan *plan,
				   const struct piece *piece)
{
	const uint64_t max = max_chunk(mapping, piece->area);
	const uint64_t min = min_chunk(mapping, piece->area);
	uint64_t end = piece->offset + piece->size;
	uint64_t block = max;
	struct piece part = *piece;

	while (part.offset < end) {
		uint64_t stop = block_end(part.area, part.offset, block);
		bool refused = true;

		part.size = (stop < end ? stop : end) - part.offset;
		if (plan->refusals_left && mapping->nr_chunks < mapping->limits.nr_chunks) {
			struct ovm_error *err = map_chunk(mapping, &part, &refused);

			if (err)
				return err;
			plan->refusals_left -= refused;
			if (refused && plan->refusals_left && block > min) {
				block /= 2;
				continue;
			}
		}
		if (refused)
			refuse(mapping, part.size, "it takes too many pieces");
		part.offset += part.size;
		while (block < max && (part.area->file_offset + part.offset) % (2 * block) == 0)
			block *= 2;
	}
	return NULL;
}

static int compare_chunks(const void *a, const void *b)
{
	const struct chunk *x = a, *y = b;

	return x->gpa < y->gpa ? -1 : x->gpa > y->gpa;
}

static void make_extents(struct ovm_mapping *mapping)
{
	size_t nr = 0;

	if (mapping->nr_chunks)
		qsort(mapping->chunks, mapping->nr_chunks, sizeof(*mapping->chunks),
		      compare_chunks);
	for (size_t i = 0; i < mapping->nr_chunks; i++) {
		const struct chunk *chunk = &mapping->chunks[i];
		struct ovm_mapping_extent *last = &mapping->extents[nr ? nr - 1 : 0];

		if (nr && last->gpa + last->size == chunk->gpa &&
		    last->device + last->size == chunk->device)
			last->size += chunk->size;
		else
			mapping->extents[nr++] =
				(struct ovm_mapping_extent){chunk->gpa, chunk->size, chunk->device};
	}
	mapping->nr_extents = nr;
}

/* Register all data that isn't mapped, as far as possible. */
static struct ovm_error *map_all(struct ovm_mapping *mapping, unsigned int max_refusals)
{
	const size_t max = mapping->limits.nr_chunks;
	struct plan plan = {
		.room = 4 * max,
		.max = max - mapping->nr_chunks,
		.refusals_left = max_refusals,
	};
	_cleanup_free_ struct piece *pieces = calloc(plan.room, sizeof(*pieces));
	struct ovm_error *err = NULL;

	if (!pieces)
		return ovm_error_no_memory();
	plan.pieces = pieces;
	mapping->refused = 0;
	if (!mapping->unmappable)
		free(ovm_take_pointer(mapping->reason));
	plan_all(mapping, &plan);
	for (size_t i = 0; i < plan.nr && !err; i++)
		err = map_piece(mapping, &plan, &plan.pieces[i]);
	make_extents(mapping);
	return err;
}

/* The contract */

static struct ovm_error *mapping_init(struct ovm_mapping *mapping,
				      const struct ovm_mapping_limits *limits)
{
	struct ovm_error *err = make_areas(mapping);

	if (err)
		return err;
	set_limits(mapping, limits);
	mapping->chunks = calloc(mapping->limits.nr_chunks, sizeof(*mapping->chunks));
	mapping->extents = calloc(mapping->limits.nr_chunks, sizeof(*mapping->extents));
	if (!mapping->chunks || !mapping->extents)
		return ovm_error_no_memory();
	err = look(mapping);
	return err ? err : map_all(mapping, MAX_REFUSALS);
}

struct ovm_error *ovm_mapping_create_limited(struct ovm_device *device,
					     const struct ovm_memory *memory,
					     const struct ovm_mapping_limits *limits,
					     struct ovm_mapping **ret)
{
	struct ovm_mapping *mapping = calloc(1, sizeof(*mapping));

	*ret = NULL;
	if (!mapping)
		return ovm_error_no_memory();
	mapping->device = device;
	mapping->memory = memory;
	mapping->pagemap.fd = -1;

	struct ovm_device_info info;
	struct ovm_error *err = device->ops->info(device, &info);

	if (!err) {
		mapping->writable = !info.maps_read_only;
		err = mapping_init(mapping, limits);
	}
	if (err) {
		ovm_mapping_destroy(mapping);
		return err;
	}
	*ret = mapping;
	return NULL;
}

struct ovm_error *ovm_mapping_create(struct ovm_device *device, const struct ovm_memory *memory,
				     struct ovm_mapping **ret)
{
	return ovm_mapping_create_limited(device, memory, NULL, ret);
}

void ovm_mapping_destroy(struct ovm_mapping *mapping)
{
	if (!mapping)
		return;
	unmap_all(mapping);
	for (size_t i = 0; i < mapping->nr_areas; i++)
		ovm_window_close(&mapping->areas[i].window);
	ovm_pagemap_close(&mapping->pagemap);
	free(mapping->reason);
	free(mapping->extents);
	free(mapping->chunks);
	free(mapping->areas);
	free(mapping->files);
	free(mapping);
}

bool ovm_mapping_unchanged(const struct ovm_mapping *mapping)
{
	for (size_t i = 0; i < mapping->nr_files; i++) {
		if (!ovm_ram_file_unchanged(&mapping->files[i]))
			return false;
	}
	return true;
}

/* Unmap the chunks that lost a page; returns whether there were any. */
static bool drop_chunks(struct ovm_mapping *mapping)
{
	size_t nr = 0, before = mapping->nr_chunks;

	for (size_t i = 0; i < before; i++) {
		struct chunk *chunk = &mapping->chunks[i];

		if (chunk_holds(mapping, chunk))
			mapping->chunks[nr++] = *chunk;
		else
			chunk_unmap(mapping, chunk);
	}
	mapping->nr_chunks = nr;
	return nr != before;
}

static struct ovm_error *refresh(struct ovm_mapping *mapping, bool *changed)
{
	uint64_t allocated = mapping->allocated;
	/* Before the page tables are looked at, so that no change gets lost between the two. */
	struct ovm_error *err = look(mapping);

	if (err)
		return err;
	*changed = drop_chunks(mapping);
	/* New data is looked for only where there may be some. */
	if (!*changed && mapping->allocated <= allocated)
		return NULL;

	size_t nr = mapping->nr_chunks;

	err = map_all(mapping, MAX_REFUSALS_LATER);
	*changed = *changed || mapping->nr_chunks != nr;
	return err;
}

struct ovm_error *ovm_mapping_refresh(struct ovm_mapping *mapping, bool *changed)
{
	*changed = false;
	if (ovm_mapping_unchanged(mapping))
		return NULL;

	struct ovm_error *err = refresh(mapping, changed);

	if (err) {
		unmap_all(mapping);
		*changed = true;
	}
	return err;
}

size_t ovm_mapping_extents(const struct ovm_mapping *mapping, const struct ovm_mapping_extent **ret)
{
	*ret = mapping->extents;
	return mapping->nr_extents;
}

/* The first chunk that ends after an address, or the number of chunks. */
static size_t find_chunk(const struct ovm_mapping *mapping, uint64_t gpa)
{
	size_t low = 0, high = mapping->nr_chunks;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct chunk *chunk = &mapping->chunks[middle];

		if (chunk->gpa + chunk->size <= gpa)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

size_t ovm_mapping_find(const struct ovm_mapping *mapping, uint64_t gpa, size_t len,
			const uint8_t **ret)
{
	size_t i = find_chunk(mapping, gpa);
	const struct chunk *chunk = &mapping->chunks[i];
	uint64_t alike;

	*ret = NULL;
	if (i == mapping->nr_chunks)
		return len;
	if (chunk->gpa > gpa) {
		alike = chunk->gpa - gpa;
	} else {
		alike = chunk->gpa + chunk->size - gpa;
		*ret = chunk->device + (gpa - chunk->gpa);
	}
	return alike < len ? alike : len;
}

bool ovm_mapping_is_present(const struct ovm_mapping *mapping, uint64_t gpa, uint64_t len)
{
	const uint64_t mask = OVM_PAGE_SIZE - 1;
	uint64_t end = (gpa + len + mask) & ~mask;

	gpa &= ~mask;
	for (size_t i = find_chunk(mapping, gpa); i < mapping->nr_chunks; i++) {
		const struct chunk *chunk = &mapping->chunks[i];
		uint64_t start = chunk->gpa > gpa ? chunk->gpa : gpa;
		uint64_t stop = chunk->gpa + chunk->size < end ? chunk->gpa + chunk->size : end;

		if (start >= stop)
			break;
		if (!ovm_pagemap_is_present(&mapping->pagemap,
					    chunk->witness.map + (start - chunk->gpa),
					    stop - start))
			return false;
	}
	return true;
}

bool ovm_mapping_holds(const struct ovm_mapping *mapping, uint64_t gpa, uint64_t len)
{
	return ovm_mapping_unchanged(mapping) || ovm_mapping_is_present(mapping, gpa, len);
}

bool ovm_mapping_holds_all(struct ovm_mapping *mapping)
{
	if (ovm_mapping_unchanged(mapping))
		return true;
	for (size_t i = 0; i < mapping->nr_chunks; i++) {
		if (!chunk_holds(mapping, &mapping->chunks[i]))
			return false;
	}
	return true;
}

void ovm_mapping_stats(const struct ovm_mapping *mapping, struct ovm_mapping_stats *ret)
{
	*ret = (struct ovm_mapping_stats){
		.refused = mapping->unmappable + mapping->refused,
		.nr_chunks = mapping->nr_chunks,
		.reason = mapping->reason,
	};
	for (size_t i = 0; i < mapping->nr_chunks; i++)
		ret->mapped += mapping->chunks[i].size;
}
