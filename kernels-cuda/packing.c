// SPDX-License-Identifier: GPL-2.0-only
#include "packing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "../vmi/cleanup.h"

static struct ovm_error *random_bytes(void *buf, size_t size)
{
	uint8_t *at = buf;

	while (size) {
		ssize_t n = getrandom(at, size, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return ovm_error_errno(OVM_ERROR_UNREACHABLE, errno, NULL,
					       "the kernel has no random numbers for hashes");
		at += n;
		size -= (size_t)n;
	}
	return NULL;
}

/* Each number modulo p is to be as likely as any other. */
static struct ovm_error *key_create(struct ovm_hash_key *key)
{
	struct ovm_error *err = random_bytes(key, sizeof(*key));

	for (unsigned int i = 0; !err && i < OVM_HASH_KEY_FOLDS;) {
		key->fold[i] &= OVM_HASH_PRIME;
		if (key->fold[i] == OVM_HASH_PRIME)
			err = random_bytes(&key->fold[i], sizeof(key->fold[i]));
		else
			i++;
	}
	return err;
}

struct ovm_error *ovm_page_hashes_create(const struct ovm_page_hashes *parent, uint64_t nr,
					 struct ovm_page_hashes **ret)
{
	struct ovm_page_hashes *hashes = calloc(1, sizeof(*hashes));

	*ret = NULL;
	if (!hashes)
		return ovm_error_no_memory();
	hashes->nr = nr;
	hashes->hashes = calloc(nr ? nr : 1, sizeof(*hashes->hashes));

	struct ovm_error *err = hashes->hashes ? NULL : ovm_error_no_memory();

	if (!err && parent)
		hashes->key = parent->key;
	else if (!err)
		err = key_create(&hashes->key);
	if (err) {
		ovm_page_hashes_free(hashes);
		return err;
	}
	*ret = hashes;
	return NULL;
}

void ovm_page_hashes_free(struct ovm_page_hashes *hashes)
{
	if (!hashes)
		return;
	free(hashes->hashes);
	free(hashes);
}

void ovm_pack_result_free(struct ovm_pack_result *result)
{
	if (!result)
		return;
	free(result->pieces);
	free(result->block_sizes);
	free(result->duplicates);
	free(result);
}

uint64_t ovm_packing_gpa(const struct ovm_pack_request *request, uint64_t page)
{
	uint64_t offset = page << OVM_PAGE_SHIFT;
	size_t low = 0, high = request->nr_copies;

	/* The last copy that begins at or before the page. */
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (request->copies[middle].offset <= offset)
			low = middle;
		else
			high = middle;
	}
	return request->copies[low].gpa + (offset - request->copies[low].offset);
}

/* The state of dividing a request into chunks. */
struct plan {
	const struct ovm_pack_request *request;
	uint32_t max_pages;
	/* Room for chunks, or NULL to only count them. */
	struct ovm_packing_chunk *out;
	size_t nr;
	/* The chunk that may still grow; no pages: there is none. */
	struct ovm_packing_chunk open;
	/* Where the next page is. */
	uint64_t page;
	size_t copy;
	uint64_t copy_skip;
};

static void plan_flush(struct plan *plan)
{
	if (!plan->open.nr_pages)
		return;
	if (plan->out)
		plan->out[plan->nr] = plan->open;
	plan->nr++;
	plan->open.nr_pages = 0;
}

/* Go ahead by @nr pages, over copies without pages too. */
static void plan_skip(struct plan *plan, uint64_t nr)
{
	plan->page += nr;
	plan->copy_skip += nr;
	while (plan->copy < plan->request->nr_copies &&
	       plan->copy_skip >= plan->request->copies[plan->copy].nr_pages)
		plan->copy_skip -= plan->request->copies[plan->copy++].nr_pages;
}

/* Put up to @nr pages into a chunk; returns how many. */
static uint32_t plan_take(struct plan *plan, size_t extent, uint64_t skip, uint64_t nr)
{
	struct ovm_packing_chunk *open = &plan->open;
	uint32_t left = plan->max_pages - open->nr_pages;

	/* What goes on in another chunk ends with a whole block here. */
	if (nr > left)
		nr = left - left % plan->request->block_pages;
	if (!nr) {
		plan_flush(plan);
		return 0;
	}
	if (!open->nr_pages) {
		open->page = plan->page;
		open->copy = plan->copy;
		open->copy_skip = plan->copy_skip;
		open->extent = extent;
		open->extent_skip = skip;
	}
	open->nr_pages += (uint32_t)nr;
	plan_skip(plan, nr);
	if (open->nr_pages == plan->max_pages)
		plan_flush(plan);
	return (uint32_t)nr;
}

/* Divide a request into chunks; returns how many these are. */
static size_t plan_chunks(const struct ovm_packing *packing, struct ovm_packing_chunk *out)
{
	const struct ovm_pack_request *request = packing->request;
	struct plan plan = {.request = request, .max_pages = packing->max_pages, .out = out};

	plan_skip(&plan, 0);
	for (size_t i = 0; i < request->nr_extents; i++) {
		uint64_t nr_pages = request->extents[i].nr_pages;

		for (uint64_t skip = 0; skip < nr_pages;)
			skip += plan_take(&plan, i, skip, nr_pages - skip);
	}
	plan_flush(&plan);
	return plan.nr;
}

/* Whether the pages of any extent have to be compared with the parent's. */
static bool wants_parent(const struct ovm_pack_request *request)
{
	for (size_t i = 0; request->parent && i < request->nr_extents; i++) {
		if (request->extents[i].ops & OVM_PACK_DROP_UNCHANGED &&
		    request->extents[i].parent != OVM_PACK_NO_PARENT)
			return true;
	}
	return false;
}

static struct ovm_error *init_hashes(struct ovm_packing *packing)
{
	const struct ovm_pack_request *request = packing->request;
	struct ovm_error *err = NULL;

	packing->hashes = request->hashes;
	packing->own_hashes = !packing->hashes && request->find_duplicates;
	if (packing->own_hashes)
		err = ovm_page_hashes_create(request->parent, packing->nr_pages, &packing->hashes);
	if (err)
		return err;
	if (packing->hashes)
		packing->key = &packing->hashes->key;
	else if (wants_parent(request))
		packing->key = &request->parent->key;
	if (packing->key) {
		static const uint64_t zeroes[OVM_PAGE_SIZE / 8];

		packing->zero_hash = ovm_hash_page(packing->key, zeroes);
	}
	return NULL;
}

struct ovm_error *ovm_packing_init(struct ovm_packing *packing,
				   const struct ovm_pack_request *request)
{
	memset(packing, 0, sizeof(*packing));
	packing->request = request;
	packing->offset = request->base;
	packing->max_pages = OVM_PACKING_CHUNK_PAGES > request->block_pages
				     ? OVM_PACKING_CHUNK_PAGES
				     : request->block_pages;
	for (size_t i = 0; i < request->nr_extents; i++)
		packing->nr_pages += request->extents[i].nr_pages;
	packing->result = calloc(1, sizeof(*packing->result));
	packing->nr_chunks = plan_chunks(packing, NULL);
	packing->chunks = calloc(packing->nr_chunks + 1, sizeof(*packing->chunks));
	if (!packing->result || !packing->chunks)
		return ovm_error_no_memory();
	plan_chunks(packing, packing->chunks);
	return init_hashes(packing);
}

void ovm_packing_deinit(struct ovm_packing *packing)
{
	if (packing->own_hashes)
		ovm_page_hashes_free(packing->hashes);
	ovm_pack_result_free(packing->result);
	free(packing->chunks);
	memset(packing, 0, sizeof(*packing));
}

struct ovm_error *ovm_packing_work_init(struct ovm_packing_work *work,
					const struct ovm_packing *packing)
{
	size_t nr = packing->max_pages;

	memset(work, 0, sizeof(*work));
	work->zero = calloc(nr, sizeof(*work->zero));
	work->hashes = calloc(nr, sizeof(*work->hashes));
	work->pieces = calloc(nr, sizeof(*work->pieces));
	work->blocks = calloc(nr, sizeof(*work->blocks));
	work->sizes = calloc(nr, sizeof(*work->sizes));
	work->padding = calloc(nr, sizeof(*work->padding));
	if (!work->zero || !work->hashes || !work->pieces || !work->blocks || !work->sizes ||
	    !work->padding)
		return ovm_error_no_memory();
	return NULL;
}

void ovm_packing_work_deinit(struct ovm_packing_work *work)
{
	free(work->zero);
	free(work->hashes);
	free(work->pieces);
	free(work->blocks);
	free(work->sizes);
	free(work->padding);
	memset(work, 0, sizeof(*work));
}

/* What becomes of page @i of a chunk, which is page @skip of its extent. */
static enum ovm_pack_how page_how(const struct ovm_packing *packing,
				  const struct ovm_packing_work *work,
				  const struct ovm_pack_extent *extent, uint64_t skip, uint32_t i)
{
	if (extent->ops & OVM_PACK_DROP_ZERO && work->zero[i])
		return OVM_PACKED_ZERO;
	if (extent->ops & OVM_PACK_DROP_UNCHANGED && packing->request->parent &&
	    extent->parent != OVM_PACK_NO_PARENT &&
	    ovm_hash_equal(work->hashes[i],
			   packing->request->parent->hashes[extent->parent + skip]))
		return OVM_PACKED_UNCHANGED;
	return extent->ops & OVM_PACK_LZ4 ? OVM_PACKED_LZ4 : OVM_PACKED_RAW;
}

static void cut_blocks(const struct ovm_packing *packing, struct ovm_packing_work *work,
		       struct ovm_pack_piece *piece)
{
	uint32_t end = (uint32_t)(piece->page + piece->nr_pages);

	piece->first_block = work->nr_blocks;
	for (uint32_t page = (uint32_t)piece->page; page < end;) {
		struct ovm_lz4_block *block = &work->blocks[work->nr_blocks];
		bool zero = true;

		block->first = page;
		block->nr_pages = end - page < packing->request->block_pages
					  ? end - page
					  : packing->request->block_pages;
		for (; page < block->first + block->nr_pages; page++)
			zero = zero && work->zero[page];
		work->sizes[work->nr_blocks++] = zero ? 0 : block->nr_pages << OVM_PAGE_SHIFT;
	}
	piece->nr_blocks = work->nr_blocks - piece->first_block;
}

/* Cut pages [first, first + nr) of a chunk, which are pages of one extent from @skip on. */
static void cut_extent(const struct ovm_packing *packing, struct ovm_packing_work *work,
		       size_t index, uint64_t skip, uint32_t first, uint32_t nr)
{
	const struct ovm_pack_extent *extent = &packing->request->extents[index];

	for (uint32_t i = 0, end; i < nr; i = end) {
		struct ovm_pack_piece *piece = &work->pieces[work->nr_pieces++];

		memset(piece, 0, sizeof(*piece));
		piece->page = first + i;
		piece->extent = index;
		piece->how = (uint8_t)page_how(packing, work, extent, skip + i, first + i);
		for (end = i + 1; end < nr; end++) {
			if (page_how(packing, work, extent, skip + end, first + end) != piece->how)
				break;
		}
		piece->nr_pages = end - i;
		if (piece->how == OVM_PACKED_LZ4)
			cut_blocks(packing, work, piece);
	}
}

void ovm_packing_cut(struct ovm_packing *packing, const struct ovm_packing_chunk *chunk,
		     struct ovm_packing_work *work)
{
	const struct ovm_pack_extent *extents = packing->request->extents;
	size_t extent = chunk->extent;
	uint64_t skip = chunk->extent_skip;
	uint64_t nr;

	work->nr_pieces = 0;
	work->nr_blocks = 0;
	for (uint32_t i = 0; i < chunk->nr_pages; i += (uint32_t)nr, extent++, skip = 0) {
		nr = extents[extent].nr_pages - skip;
		if (nr > chunk->nr_pages - i)
			nr = chunk->nr_pages - i;
		cut_extent(packing, work, extent, skip, i, (uint32_t)nr);
	}
	if (packing->hashes)
		memcpy(packing->hashes->hashes + chunk->page, work->hashes,
		       chunk->nr_pages * sizeof(*work->hashes));
}

/* Make room for @more entries behind those used of an array; NULL when there is no memory. */
static void *grow(void *array, size_t entry, size_t used, size_t more, size_t *size)
{
	if (array && used + more <= *size)
		return array;

	size_t bigger = used + more + (used + more) / 2 + 1;

	array = reallocarray(array, bigger, entry);
	if (array)
		*size = bigger;
	return array;
}

static struct ovm_error *grow_result(struct ovm_packing *packing,
				     const struct ovm_packing_work *work)
{
	struct ovm_pack_result *result = packing->result;
	struct ovm_pack_piece *pieces = grow(result->pieces, sizeof(*pieces), result->nr_pieces,
					     work->nr_pieces, &packing->pieces_size);

	if (!pieces)
		return ovm_error_no_memory();
	result->pieces = pieces;

	uint32_t *sizes = grow(result->block_sizes, sizeof(*sizes), result->nr_blocks,
			       work->nr_blocks, &packing->blocks_size);

	if (!sizes)
		return ovm_error_no_memory();
	result->block_sizes = sizes;
	return NULL;
}

/* The piece of the result that a chunk's piece goes on with, or a new one. */
static struct ovm_pack_piece *place_piece(struct ovm_packing *packing,
					  const struct ovm_packing_chunk *chunk,
					  const struct ovm_pack_piece *piece)
{
	struct ovm_pack_result *result = packing->result;
	struct ovm_pack_piece *last =
		result->nr_pieces ? &result->pieces[result->nr_pieces - 1] : NULL;

	if (last && last->extent == piece->extent && last->how == piece->how &&
	    (piece->how != OVM_PACKED_LZ4 || last->nr_pages % packing->request->block_pages == 0)) {
		last->nr_pages += piece->nr_pages;
		last->nr_blocks += piece->nr_blocks;
		return last;
	}
	last = &result->pieces[result->nr_pieces++];
	*last = *piece;
	last->page = chunk->page + piece->page;
	last->first_block = piece->how == OVM_PACKED_LZ4 ? result->nr_blocks : 0;
	return last;
}

/* Bytes of a chunk's piece; *@raw becomes whether the first of them aren't compressed. */
static uint64_t piece_size(const struct ovm_packing_work *work, const struct ovm_pack_piece *piece,
			   bool *raw)
{
	uint64_t size = 0;

	*raw = piece->how == OVM_PACKED_RAW;
	if (*raw)
		return piece->nr_pages << OVM_PAGE_SHIFT;
	for (uint64_t i = piece->first_block; i < piece->first_block + piece->nr_blocks; i++) {
		if (!size)
			*raw = work->sizes[i] == work->blocks[i].nr_pages << OVM_PAGE_SHIFT;
		size += work->sizes[i];
	}
	return size;
}

static uint32_t place_bytes(struct ovm_packing *packing, const struct ovm_packing_work *work,
			    const struct ovm_pack_piece *piece, struct ovm_pack_piece *to)
{
	bool raw;
	uint64_t size = piece_size(work, piece, &raw);
	uint32_t padding = 0;

	if (piece->how == OVM_PACKED_ZERO || piece->how == OVM_PACKED_UNCHANGED)
		return 0;
	if (!to->size) {
		if (packing->request->align && size && raw) {
			padding = (uint32_t)(-packing->offset % OVM_PAGE_SIZE);
			to->aligned = true;
		}
		to->offset = packing->offset + padding;
	}
	to->size += size;
	packing->offset += padding + size;
	return padding;
}

struct ovm_error *ovm_packing_place(struct ovm_packing *packing,
				    const struct ovm_packing_chunk *chunk,
				    struct ovm_packing_work *work)
{
	struct ovm_pack_result *result = packing->result;
	struct ovm_error *err = grow_result(packing, work);

	if (err)
		return err;
	work->offset = packing->offset;
	for (uint32_t i = 0; i < work->nr_pieces; i++) {
		const struct ovm_pack_piece *piece = &work->pieces[i];
		struct ovm_pack_piece *to = place_piece(packing, chunk, piece);

		work->padding[i] = place_bytes(packing, work, piece, to);
		for (uint64_t j = 0; j < piece->nr_blocks; j++)
			result->block_sizes[result->nr_blocks++] =
				work->sizes[piece->first_block + j];
	}
	return NULL;
}

/*
 * A piece none of whose blocks is smaller than its pages is one that isn't compressed. Its blocks
 * go; those of the others move up.
 */
static void finish_piece(struct ovm_packing *packing, struct ovm_pack_piece *piece)
{
	struct ovm_pack_result *result = packing->result;
	uint64_t block_bytes = (uint64_t)packing->request->block_pages << OVM_PAGE_SHIFT;
	uint64_t left = piece->nr_pages << OVM_PAGE_SHIFT;
	uint64_t from = piece->first_block;

	if (piece->how == OVM_PACKED_LZ4 && piece->size == left) {
		piece->how = OVM_PACKED_RAW;
		piece->first_block = 0;
		piece->nr_blocks = 0;
	}
	if (piece->how != OVM_PACKED_LZ4)
		return;
	piece->first_block = result->nr_blocks;
	for (uint64_t i = 0; i < piece->nr_blocks; i++, left -= block_bytes) {
		uint32_t size = result->block_sizes[from + i];

		result->block_sizes[result->nr_blocks++] = size;
		result->zero_blocks += !size;
		result->raw_blocks += size == (left < block_bytes ? left : block_bytes);
	}
}

struct ovm_error *ovm_packing_finish(struct ovm_packing *packing, struct ovm_engine *engine,
				     struct ovm_pack_result **ret)
{
	struct ovm_pack_result *result = packing->result;
	struct ovm_error *err = NULL;

	result->nr_blocks = 0;
	for (size_t i = 0; i < result->nr_pieces; i++) {
		finish_piece(packing, &result->pieces[i]);
		result->pages[result->pieces[i].how] += result->pieces[i].nr_pages;
	}
	result->bytes = packing->offset - packing->request->base;
	if (packing->request->find_duplicates)
		err = ovm_packing_duplicates(packing, engine, result);
	if (!err)
		*ret = ovm_take_pointer(packing->result);
	return err;
}
