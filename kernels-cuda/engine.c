// SPDX-License-Identifier: GPL-2.0-only
/* The part of the page engine that all back ends share: life cycle and checks of requests. */
#include "engine.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "../vmi/cleanup.h"
#include "backend.h"
#include "lz4block.h"

enum {
	/* One writer saturates a file, so more threads than these only take CPUs from guests. */
	MAX_AUTO_THREADS = 16,
	MAX_THREADS = 1024,
	DEFAULT_CHUNK = 2 << 20,
	MAX_CHUNK = 64 << 20,
	MAX_ZERO_PAGES = 16,
};

/*
 * Copy a struct that begins with its size: what the caller doesn't have is 0, and what it has
 * beyond what is known here must be 0.
 */
static bool copy_options(void *to, size_t to_size, const void *from)
{
	size_t from_size;

	memcpy(&from_size, from, sizeof(from_size));
	if (from_size < sizeof(from_size))
		return false;
	for (size_t i = to_size; i < from_size; i++) {
		if (((const uint8_t *)from)[i])
			return false;
	}
	memset(to, 0, to_size);
	memcpy(to, from, from_size < to_size ? from_size : to_size);
	return true;
}

static struct ovm_error *usage(const char *what)
{
	return ovm_error_format(OVM_ERROR_USAGE, "page engine: %s", what);
}

static unsigned int auto_threads(void)
{
	cpu_set_t cpus;
	unsigned int nr;

	/* Fails on machines with more CPUs than the set holds: those have enough. */
	if (sched_getaffinity(0, sizeof(cpus), &cpus))
		return MAX_AUTO_THREADS;
	nr = (unsigned int)CPU_COUNT(&cpus);
	return nr < 1 ? 1 : nr > MAX_AUTO_THREADS ? MAX_AUTO_THREADS : nr;
}

/* Take the device for a new engine; without one, say why, unless the caller insists. */
static struct ovm_error *engine_open(struct ovm_engine *engine, ovm_device_open_fn *open)
{
	struct ovm_error *err = open(&engine->device);

	if (!err) {
		engine->backend = &ovm_backend_cuda;
		return NULL;
	}
	engine->device = NULL;
	if (engine->asked_for == OVM_BACKEND_CUDA) {
		err->code = OVM_ERROR_USAGE;
		return ovm_error_prepend(err, "no CUDA back end, use cpu or auto");
	}
	engine->reason = strdup(err->message);
	ovm_error_free(err);
	return engine->reason ? NULL : ovm_error_no_memory();
}

static struct ovm_error *engine_create(const struct ovm_engine_options *options,
				       ovm_device_open_fn *open, struct ovm_engine **ret)
{
	struct ovm_engine_options opts = {0};

	*ret = NULL;
	if (options && !copy_options(&opts, sizeof(opts), options))
		return usage("options of another version");
	if ((unsigned int)opts.backend > OVM_BACKEND_CUDA)
		return usage("no such back end");
	if (opts.nr_threads > MAX_THREADS)
		return usage("too many threads");
	const unsigned int asked_for = opts.nr_threads;

	if (!opts.nr_threads)
		opts.nr_threads = auto_threads();

	struct ovm_engine *engine = calloc(1, sizeof(*engine));

	if (!engine)
		return ovm_error_no_memory();
	engine->backend = &ovm_backend_cpu;
	engine->asked_for = opts.backend;
	engine->nr_asked_for = asked_for;

	struct ovm_error *err = ovm_pool_create(opts.nr_threads, &engine->pool);

	if (!err && opts.backend != OVM_BACKEND_CPU)
		err = engine_open(engine, open);
	if (err) {
		ovm_engine_destroy(engine);
		return err;
	}
	*ret = engine;
	return NULL;
}

struct ovm_error *ovm_engine_create(const struct ovm_engine_options *options,
				    struct ovm_engine **ret)
{
	return engine_create(options, ovm_cuda_device_open, ret);
}

struct ovm_error *ovm_engine_create_on(const struct ovm_engine_options *options,
				       ovm_device_open_fn *open, struct ovm_engine **ret)
{
	return engine_create(options, open, ret);
}

bool ovm_engine_is_like(const struct ovm_engine *engine, const struct ovm_engine_options *options)
{
	struct ovm_engine_options opts;

	return copy_options(&opts, sizeof(opts), options) && !engine->gave_up &&
	       !engine->did_not_attach && opts.backend == engine->asked_for &&
	       opts.nr_threads == engine->nr_asked_for;
}

bool ovm_engine_gave_up(const struct ovm_engine *engine)
{
	return engine->gave_up;
}

static void engine_detach(struct ovm_engine *engine)
{
	engine->backend->detach(engine);
	engine->state = NULL;
	ovm_source_destroy(ovm_take_pointer(engine->source));
	engine->memory = NULL;
	free(ovm_take_pointer(engine->ram));
	engine->nr_ram = 0;
	engine->ram_size = 0;
}

static void device_destroy(struct ovm_engine *engine)
{
	if (engine->device)
		engine->device->ops->destroy(engine->device);
	engine->device = NULL;
}

void ovm_engine_destroy(struct ovm_engine *engine)
{
	if (!engine)
		return;
	engine_detach(engine);
	device_destroy(engine);
	ovm_pool_destroy(engine->pool);
	free(engine->reason);
	free(engine);
}

/*
 * After a failure of the device: do without it from now on. Returns the error if the caller has to
 * be told, NULL if the CPU can do what failed.
 */
static struct ovm_error *engine_give_up(struct ovm_engine *engine, struct ovm_error *err)
{
	if (!err || engine->backend == &ovm_backend_cpu ||
	    (err->code != OVM_ERROR_DEVICE && err->code != OVM_ERROR_NOT_FOUND))
		return err;
	engine->backend->detach(engine);
	engine->state = NULL;
	device_destroy(engine);
	engine->backend = &ovm_backend_cpu;
	engine->gave_up = true;
	free(engine->reason);
	engine->reason = strdup(err->message);
	if (engine->asked_for == OVM_BACKEND_CUDA)
		return ovm_error_prepend(err, "the GPU failed, use another one or the CPU");
	ovm_error_free(err);
	return engine->reason ? NULL : ovm_error_no_memory();
}

const char *ovm_engine_backend_name(const struct ovm_engine *engine)
{
	return engine->backend->name;
}

const char *ovm_engine_reason(const struct ovm_engine *engine)
{
	return engine->reason;
}

unsigned int ovm_engine_nr_threads(const struct ovm_engine *engine)
{
	return ovm_pool_nr_threads(engine->pool);
}

/* Keep the ranges of guest RAM, adjacent ones joined. */
static struct ovm_error *join_ranges(struct ovm_engine *engine, const struct ovm_ram_range *ranges,
				     size_t nr)
{
	engine->ram = calloc(nr, sizeof(*engine->ram));
	if (!engine->ram)
		return ovm_error_no_memory();
	for (size_t i = 0; i < nr; i++) {
		struct ovm_gpa_range *last = &engine->ram[engine->nr_ram - 1];

		engine->ram_size += ranges[i].size;
		if (engine->nr_ram && last->gpa + last->size == ranges[i].gpa) {
			last->size += ranges[i].size;
			continue;
		}
		engine->ram[engine->nr_ram].gpa = ranges[i].gpa;
		engine->ram[engine->nr_ram].size = ranges[i].size;
		engine->nr_ram++;
	}
	return NULL;
}

struct ovm_error *ovm_engine_attach(struct ovm_engine *engine, const struct ovm_memory *memory)
{
	const struct ovm_ram_range *ranges;
	size_t nr = ovm_memory_ranges(memory, &ranges);

	engine_detach(engine);
	if (!nr || nr > UINT32_MAX)
		return usage("the guest has no RAM");

	struct ovm_error *err = join_ranges(engine, ranges, nr);

	if (!err)
		err = ovm_source_create(memory, &engine->source);
	engine->memory = memory;
	if (!err)
		err = engine->backend->attach(engine);
	/* It has not worked yet: the reason is enough. Another time it may work, unless it won't.
	 */
	engine->did_not_attach |= err && err->code == OVM_ERROR_DEVICE;
	err = engine_give_up(engine, err);
	engine->gave_up = false;
	if (err)
		engine_detach(engine);
	return err;
}

uint64_t ovm_engine_ram_size(const struct ovm_engine *engine)
{
	return engine->ram_size;
}

void ovm_engine_device_stats(const struct ovm_engine *engine, struct ovm_engine_device_stats *ret)
{
	*ret = (struct ovm_engine_device_stats){0};
	if (engine->state && engine->backend->device_stats)
		engine->backend->device_stats(engine, ret);
}

static struct ovm_error *check_ranges(const struct ovm_walk_request *request)
{
	uint64_t user_end = UINT64_C(1) << (ovm_level_shift(request->levels + 1) - 1);
	uint64_t end = 0;

	if (request->nr_ranges > UINT32_MAX - 1)
		return usage("too many ranges");
	for (size_t i = 0; i < request->nr_ranges; i++) {
		const struct ovm_walk_range *range = &request->ranges[i];

		if (range->start < end || range->end <= range->start || range->end > user_end ||
		    range->start % OVM_PAGE_SIZE || range->end % OVM_PAGE_SIZE)
			return ovm_error_address(OVM_ERROR_CORRUPT, range->start,
						 "page engine: ranges must be sorted, disjoint "
						 "pages of user space, unlike that at");
		end = range->end;
	}
	return NULL;
}

static struct ovm_error *check_layout(const struct ovm_engine *engine,
				      const struct ovm_page_layout *page)
{
	const struct ovm_gpa_range *last = &engine->ram[engine->nr_ram - 1];
	uint64_t frames = (last->gpa + last->size) >> OVM_PAGE_SHIFT;

	if (!page)
		return NULL;
	if (page->page_size < 16 || page->page_size > OVM_PAGE_SIZE || page->page_size % 8 ||
	    page->vmemmap_base % 8 || page->mapping_offset % 8 || page->compound_head_offset % 8 ||
	    page->mapping_offset > page->page_size - 8 ||
	    page->compound_head_offset > page->page_size - 8 ||
	    frames * page->page_size > -page->vmemmap_base)
		return ovm_error_format(OVM_ERROR_KERNEL,
					"page engine: impossible layout of struct page");
	return NULL;
}

/*
 * Default limits. A process may map a page many times, so that there are more entries than
 * pages; but not without end.
 */
static void default_limits(const struct ovm_engine *engine, struct ovm_walk_request *request)
{
	uint64_t ram_pages = engine->ram_size >> OVM_PAGE_SHIFT;
	uint64_t range_entries = (uint64_t)request->levels * 2 * OVM_TABLE_ENTRIES;

	if (!request->phys_bits)
		request->phys_bits = 52;
	if (!request->max_entries)
		request->max_entries =
			(UINT64_C(1) << 26) + 4 * ram_pages + range_entries * request->nr_ranges;
	if (!request->max_runs)
		request->max_runs = (UINT64_C(1) << 20) + 4 * ram_pages + request->nr_ranges;
}

static struct ovm_error *check_walk(const struct ovm_engine *engine,
				    struct ovm_walk_request *request)
{
	if (request->levels != 4 && request->levels != 5)
		return usage("page tables have 4 or 5 levels");
	if (request->nr_zero_pages > MAX_ZERO_PAGES)
		return usage("too many zero pages");
	default_limits(engine, request);
	if (request->phys_bits < 32 || request->phys_bits > 52)
		return usage("physical addresses have 32 to 52 bits");
	if (request->sme_mask & ~OVM_PTE_ADDRESS || request->sme_mask >> 32 == 0)
		request->sme_mask = 0;
	if (request->pgd % OVM_PAGE_SIZE ||
	    !ovm_gpa_ranges_contain(engine->ram, engine->nr_ram, request->pgd, OVM_PAGE_SIZE))
		return ovm_error_address(OVM_ERROR_CORRUPT, request->pgd,
					 "the process' top page table is not in guest RAM:");

	struct ovm_error *err = check_layout(engine, request->page);

	return err ? err : check_ranges(request);
}

static bool same_layout(const struct ovm_page_layout *a, const struct ovm_page_layout *b)
{
	if (!a || !b)
		return a == b;
	return a->kernel_pgd == b->kernel_pgd && a->vmemmap_base == b->vmemmap_base &&
	       a->page_size == b->page_size && a->mapping_offset == b->mapping_offset &&
	       a->compound_head_offset == b->compound_head_offset;
}

/* Check the requests of a batch, and copy them with what they leave out filled in. */
static struct ovm_error *check_batch(const struct ovm_engine *engine,
				     const struct ovm_walk_request *requests, size_t nr,
				     struct ovm_walk_request *copies, size_t *failed)
{
	for (size_t i = 0; i < nr; i++) {
		struct ovm_error *err = NULL;

		/* The callers' structs may be of another size than this one. */
		const void *request = (const char *)requests + i * requests->size;

		if (!copy_options(&copies[i], sizeof(*copies), request))
			err = usage("walk request of another version");
		else if (copies[i].levels != copies[0].levels ||
			 !same_layout(copies[i].page, copies[0].page))
			err = usage("processes of different guests in one walk");
		else
			err = check_walk(engine, &copies[i]);
		if (err) {
			*failed = i;
			return err;
		}
	}
	return NULL;
}

static struct ovm_error *make_results(struct ovm_walk_result **results, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		results[i] = calloc(1, sizeof(*results[i]));
		if (!results[i])
			return ovm_error_no_memory();
	}
	return NULL;
}

static void free_results(struct ovm_walk_result **results, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		ovm_walk_result_free(ovm_take_pointer(results[i]));
}

static struct ovm_error *walk_batch(struct ovm_engine *engine,
				    const struct ovm_walk_request *requests, size_t nr,
				    struct ovm_walk_result **results, size_t *failed)
{
	const struct ovm_engine_backend *backend = engine->backend;
	struct ovm_error *err = make_results(results, nr);

	if (!err)
		err = engine_give_up(engine, backend->walk(engine, requests, nr, results, failed));
	if (err || engine->backend == backend)
		return err;
	/* The device failed half-way. */
	free_results(results, nr);
	err = make_results(results, nr);
	return err ? err : engine->backend->walk(engine, requests, nr, results, failed);
}

struct ovm_error *ovm_engine_walk_batch(struct ovm_engine *engine,
					const struct ovm_walk_request *requests, size_t nr,
					struct ovm_walk_result **ret, size_t *failed)
{
	_cleanup_free_ struct ovm_walk_request *copies = calloc(nr + 1, sizeof(*copies));
	size_t ignored;
	struct ovm_error *err;

	failed = failed ? failed : &ignored;
	*failed = 0;
	for (size_t i = 0; i < nr; i++)
		ret[i] = NULL;
	if (!copies)
		return ovm_error_no_memory();
	if (!engine->memory)
		return usage("not attached to a guest");
	err = check_batch(engine, requests, nr, copies, failed);
	if (!err)
		err = walk_batch(engine, copies, nr, ret, failed);
	if (err)
		free_results(ret, nr);
	return err;
}

struct ovm_error *ovm_engine_walk(struct ovm_engine *engine, const struct ovm_walk_request *request,
				  struct ovm_walk_result **ret)
{
	return ovm_engine_walk_batch(engine, request, 1, ret, NULL);
}

void ovm_walk_result_free(struct ovm_walk_result *result)
{
	if (!result)
		return;
	free(result->runs);
	free(result);
}

/* First address of a piece that is not RAM, or the one behind the piece. */
static uint64_t ram_end(const struct ovm_engine *engine, const struct ovm_copy_run *run)
{
	uint64_t end = run->gpa + (run->nr_pages << OVM_PAGE_SHIFT);

	for (uint32_t i = 0; i < engine->nr_ram; i++) {
		const struct ovm_gpa_range *ram = &engine->ram[i];

		if (run->gpa - ram->gpa < ram->size)
			return end - ram->gpa <= ram->size ? end : ram->gpa + ram->size;
	}
	return run->nr_pages ? run->gpa : end;
}

/* Pieces that are not RAM are found here, before the work is planned by their length. */
static struct ovm_error *check_copies(const struct ovm_engine *engine,
				      const struct ovm_copy_request *request)
{
	const uint64_t max = INT64_MAX;

	for (size_t i = 0; i < request->nr_copies; i++) {
		const struct ovm_copy_run *run = &request->copies[i];

		if (run->gpa % OVM_PAGE_SIZE || run->gpa > max || run->offset > max ||
		    run->nr_pages > (max - run->gpa) >> OVM_PAGE_SHIFT ||
		    run->nr_pages > (max - run->offset) >> OVM_PAGE_SHIFT)
			return ovm_error_address(OVM_ERROR_USAGE, run->gpa,
						 "page engine: can't copy a malformed piece at");

		uint64_t end = ram_end(engine, run);

		if (end != run->gpa + (run->nr_pages << OVM_PAGE_SHIFT))
			return ovm_error_address(OVM_ERROR_FAULT, end,
						 "no guest RAM at physical address");
	}
	return NULL;
}

struct ovm_error *ovm_engine_copy(struct ovm_engine *engine, const struct ovm_copy_request *request)
{
	struct ovm_copy_request req;

	if (!engine->memory)
		return usage("not attached to a guest");
	if (!copy_options(&req, sizeof(req), request))
		return usage("copy request of another version");
	if (!req.sink)
		return usage("no sink to copy to");
	if (!req.chunk)
		req.chunk = DEFAULT_CHUNK;
	if (req.chunk % OVM_PAGE_SIZE || req.chunk > MAX_CHUNK)
		return usage("a chunk is a multiple of 4 KiB, up to 64 MiB");

	const struct ovm_engine_backend *backend = engine->backend;
	struct ovm_error *err = check_copies(engine, &req);

	if (err)
		return err;
	err = engine_give_up(engine, backend->copy(engine, &req));
	/* What the device has written, the CPU writes once more. */
	return err || engine->backend == backend ? err : engine->backend->copy(engine, &req);
}

/* The pages of all extents are those of all copies, in the same order. */
static struct ovm_error *check_extents(const struct ovm_pack_request *request)
{
	uint64_t nr_pages = 0, left = 0;

	for (size_t i = 0; i < request->nr_copies; i++) {
		if (request->copies[i].offset != nr_pages << OVM_PAGE_SHIFT)
			return usage("offsets of pages to pack are not prefix sums");
		nr_pages += request->copies[i].nr_pages;
	}
	left = nr_pages;
	for (size_t i = 0; i < request->nr_extents; i++) {
		const struct ovm_pack_extent *extent = &request->extents[i];

		if (extent->nr_pages > left)
			return usage("extents have more pages than there are to pack");
		left -= extent->nr_pages;
		if (extent->ops & ~(uint32_t)OVM_PACK_ALL)
			return usage("no such operation on pages");
		if (extent->parent != OVM_PACK_NO_PARENT &&
		    (!request->parent || extent->parent > request->parent->nr ||
		     extent->nr_pages > request->parent->nr - extent->parent))
			return usage("the parent has fewer pages than that");
	}
	if (left)
		return usage("extents have fewer pages than there are to pack");
	if (request->hashes && request->hashes->nr != nr_pages)
		return usage("hashes are for another number of pages");
	return NULL;
}

static struct ovm_error *check_pack(const struct ovm_engine *engine,
				    struct ovm_pack_request *request)
{
	const struct ovm_copy_request copies = {
		.copies = request->copies,
		.nr_copies = request->nr_copies,
	};
	struct ovm_error *err = check_copies(engine, &copies);

	if (err)
		return err;
	if (!request->sink)
		return usage("no sink to pack into");
	if (request->base > INT64_MAX / 2)
		return usage("the sink isn't as large as that");
	if (!request->block_pages)
		request->block_pages = 1;
	if (request->block_pages > OVM_PACK_MAX_BLOCK_PAGES)
		return usage("blocks have 4 MiB at most");
	if (!request->acceleration)
		request->acceleration = 1;
	if (request->acceleration > OVM_LZ4_MAX_ACCELERATION)
		return usage("acceleration is 65537 at most");
	if (request->parent && request->hashes &&
	    memcmp(&request->parent->key, &request->hashes->key, sizeof(request->parent->key)))
		return usage("hashes have another key than the parent's");
	return check_extents(request);
}

struct ovm_error *ovm_engine_pack(struct ovm_engine *engine, const struct ovm_pack_request *request,
				  struct ovm_pack_result **ret)
{
	struct ovm_pack_request req;

	*ret = NULL;
	if (!engine->memory)
		return usage("not attached to a guest");
	if (!copy_options(&req, sizeof(req), request))
		return usage("pack request of another version");

	const struct ovm_engine_backend *backend = engine->backend;
	struct ovm_error *err = check_pack(engine, &req);

	if (err)
		return err;
	err = engine_give_up(engine, backend->pack(engine, &req, ret));
	/* What the device has written, the CPU writes once more. */
	return err || engine->backend == backend ? err : engine->backend->pack(engine, &req, ret);
}
