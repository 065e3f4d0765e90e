// SPDX-License-Identifier: GPL-2.0-only
#include "chunks.h"

#include <limits.h>

/* The state of cutting pieces into chunks. */
struct plan {
	/* Room for chunks, or NULL to only count them. */
	struct ovm_chunk *out;
	size_t nr;
	/* The chunk that may still grow; no pages: there is none. */
	struct ovm_chunk open;
	size_t pieces;
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

/* Make sure that a chunk is open which page @skip of piece @copy can continue. */
static void plan_open(struct plan *plan, uint64_t max_pages, size_t copy, uint64_t skip,
		      uint64_t offset)
{
	struct ovm_chunk *open = &plan->open;

	if (open->nr_pages == max_pages || plan->pieces == IOV_MAX ||
	    open->offset + (open->nr_pages << OVM_PAGE_SHIFT) != offset)
		plan_flush(plan);
	if (open->nr_pages)
		return;
	open->copy = copy;
	open->skip = skip;
	open->offset = offset;
	plan->pieces = 0;
}

size_t ovm_plan_chunks(const struct ovm_copy_request *request, struct ovm_chunk *out)
{
	uint64_t max_pages = request->chunk >> OVM_PAGE_SHIFT;
	struct plan plan = {.out = out};

	for (size_t i = 0; i < request->nr_copies; i++) {
		const struct ovm_copy_run *copy = &request->copies[i];
		uint64_t nr;

		for (uint64_t skip = 0; skip < copy->nr_pages; skip += nr) {
			plan_open(&plan, max_pages, i, skip,
				  copy->offset + (skip << OVM_PAGE_SHIFT));
			nr = copy->nr_pages - skip;
			if (nr > max_pages - plan.open.nr_pages)
				nr = max_pages - plan.open.nr_pages;
			plan.open.nr_pages += nr;
			plan.pieces++;
		}
	}
	plan_flush(&plan);
	return plan.nr;
}
