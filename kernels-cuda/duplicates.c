// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages of a request that equal earlier ones.
 *
 * Hashes tell which may be equal; then both are read once more and compared, since what is said
 * to be equal may become one and the same elsewhere.
 */
#include <stdlib.h>
#include <string.h>

#include "../vmi/cleanup.h"
#include "backend.h"
#include "packing.h"

enum {
	/* Pairs that are compared at a time. */
	SLICE = 256,
};

/* Pages by hash: an open table of page numbers, 0 meaning none and the others counted from 1. */
struct table {
	uint64_t *pages;
	uint64_t mask;
};

struct compare {
	const struct ovm_packing *packing;
	struct ovm_engine *engine;
	struct ovm_pack_duplicate *pairs;
	size_t nr;
};

/* Find the first page with the hash of @page; that page itself when there is none before it. */
static uint64_t table_find(const struct table *table, const struct ovm_page_hash *hashes,
			   uint64_t page)
{
	for (uint64_t i = hashes[page].word[0];; i++) {
		uint64_t *slot = &table->pages[i & table->mask];

		if (!*slot)
			*slot = page + 1;
		if (ovm_hash_equal(hashes[*slot - 1], hashes[page]))
			return *slot - 1;
	}
}

/* Pairs of pages with the same hash; with @out NULL, count them. */
static size_t find_pairs(const struct ovm_packing *packing, const struct ovm_pack_result *result,
			 const struct table *table, struct ovm_pack_duplicate *out)
{
	size_t nr = 0;

	for (size_t i = 0; i < result->nr_pieces; i++) {
		const struct ovm_pack_piece *piece = &result->pieces[i];

		if (piece->how != OVM_PACKED_RAW && piece->how != OVM_PACKED_LZ4)
			continue;
		for (uint64_t page = piece->page; page < piece->page + piece->nr_pages; page++) {
			uint64_t of = table_find(table, packing->hashes->hashes, page);

			if (of == page)
				continue;
			if (out) {
				out[nr].page = page;
				out[nr].of = of;
			}
			nr++;
		}
	}
	return nr;
}

static struct ovm_error *compare_pair(const struct compare *compare,
				      struct ovm_pack_duplicate *pair)
{
	const struct ovm_pack_request *request = compare->packing->request;
	uint8_t pages[2][OVM_PAGE_SIZE];
	const struct ovm_memory_read reads[] = {
		{ovm_packing_gpa(request, pair->page), pages[0], OVM_PAGE_SIZE},
		{ovm_packing_gpa(request, pair->of), pages[1], OVM_PAGE_SIZE},
	};
	struct ovm_error *err = ovm_memory_read_batch(compare->engine->memory, reads, 2);

	if (!err && memcmp(pages[0], pages[1], OVM_PAGE_SIZE))
		pair->of = pair->page;
	return err;
}

static struct ovm_error *compare_slice(void *arg, unsigned int worker, size_t slice)
{
	struct compare *compare = arg;
	struct ovm_error *err = NULL;

	(void)worker;
	for (size_t i = slice * SLICE; i < compare->nr && i < (slice + 1) * SLICE && !err; i++)
		err = compare_pair(compare, &compare->pairs[i]);
	return err;
}

static bool compare_poll(void *arg)
{
	const struct ovm_pack_request *request = arg;

	return request->cancelled && request->cancelled(request->arg);
}

static struct ovm_error *compare_pairs(struct compare *compare)
{
	const struct ovm_pool_job job = {
		.nr = (compare->nr + SLICE - 1) / SLICE,
		.run = compare_slice,
		.arg = compare,
		.poll = compare_poll,
		.poll_arg = (void *)(uintptr_t)compare->packing->request,
	};

	return ovm_pool_run(compare->engine->pool, &job);
}

struct ovm_error *ovm_packing_duplicates(const struct ovm_packing *packing,
					 struct ovm_engine *engine, struct ovm_pack_result *result)
{
	uint64_t written = result->pages[OVM_PACKED_RAW] + result->pages[OVM_PACKED_LZ4];
	struct table table = {.mask = 1};

	/* At least half of it stays empty. */
	while (table.mask < 2 * written)
		table.mask = 2 * table.mask + 1;

	_cleanup_free_ uint64_t *pages = table.pages = calloc(table.mask + 1, sizeof(*pages));

	if (!pages)
		return ovm_error_no_memory();

	struct compare compare = {.packing = packing, .engine = engine};

	compare.nr = find_pairs(packing, result, &table, NULL);
	compare.pairs = calloc(compare.nr + 1, sizeof(*compare.pairs));
	result->duplicates = compare.pairs;
	if (!compare.pairs)
		return ovm_error_no_memory();
	find_pairs(packing, result, &table, compare.pairs);

	struct ovm_error *err = compare_pairs(&compare);

	for (size_t i = 0; !err && i < compare.nr; i++) {
		if (compare.pairs[i].of != compare.pairs[i].page)
			result->duplicates[result->nr_duplicates++] = compare.pairs[i];
	}
	return err;
}
