// SPDX-License-Identifier: GPL-2.0-only
/* From runs to what is to be copied, and where it goes. */
#include <stdlib.h>

#include "../vmi/cleanup.h"
#include "engine.h"

static uint64_t bytes(uint64_t nr_pages)
{
	return nr_pages << OVM_PAGE_SHIFT;
}

static void add_copy(struct ovm_page_list *list, const struct ovm_run *run, uint64_t offset)
{
	struct ovm_copy_run *last = list->nr_copies ? &list->copies[list->nr_copies - 1] : NULL;

	if (last && last->gpa + bytes(last->nr_pages) == run->gpa) {
		last->nr_pages += run->nr_pages;
		return;
	}
	list->copies[list->nr_copies].gpa = run->gpa;
	list->copies[list->nr_copies].nr_pages = run->nr_pages;
	list->copies[list->nr_copies].offset = offset;
	list->nr_copies++;
}

/* Zero pages are the same page over and over: one piece each. */
static void add_copies(struct ovm_page_list *list, const struct ovm_run *run, uint64_t offset)
{
	if (run->kind != OVM_PAGE_ZERO) {
		add_copy(list, run, offset);
		return;
	}

	struct ovm_run page = *run;

	page.nr_pages = 1;
	for (uint64_t i = 0; i < run->nr_pages; i++)
		add_copy(list, &page, offset + bytes(i));
}

static void add_extent(struct ovm_page_list *list, const struct ovm_run *run, uint64_t offset)
{
	struct ovm_page_extent *last =
		list->nr_extents ? &list->extents[list->nr_extents - 1] : NULL;

	if (last && last->va + bytes(last->nr_pages) == run->va) {
		last->nr_pages += run->nr_pages;
		return;
	}
	list->extents[list->nr_extents].va = run->va;
	list->extents[list->nr_extents].nr_pages = run->nr_pages;
	list->extents[list->nr_extents].offset = offset;
	list->nr_extents++;
}

/* Room for the list at its longest. */
static struct ovm_error *list_reserve(struct ovm_page_list *list, const struct ovm_run *runs,
				      size_t nr, uint32_t kinds)
{
	size_t nr_copies = 1, nr_extents = 1;

	for (size_t i = 0; i < nr; i++) {
		if (!(kinds & OVM_PAGE_BIT(runs[i].kind)))
			continue;
		nr_extents++;
		nr_copies += runs[i].kind == OVM_PAGE_ZERO ? runs[i].nr_pages : 1;
	}
	list->copies = calloc(nr_copies, sizeof(*list->copies));
	list->extents = calloc(nr_extents, sizeof(*list->extents));
	return list->copies && list->extents ? NULL : ovm_error_no_memory();
}

struct ovm_error *ovm_page_list_create(const struct ovm_run *runs, size_t nr, uint32_t kinds,
				       struct ovm_page_list **ret)
{
	*ret = NULL;
	if (kinds & ~OVM_PAGE_KINDS_RAM)
		return ovm_error_format(OVM_ERROR_USAGE,
					"page engine: only pages in RAM can be copied");

	struct ovm_page_list *list = calloc(1, sizeof(*list));

	if (!list)
		return ovm_error_no_memory();

	struct ovm_error *err = list_reserve(list, runs, nr, kinds);

	if (err) {
		ovm_page_list_free(list);
		return err;
	}
	for (size_t i = 0; i < nr; i++) {
		if (!(kinds & OVM_PAGE_BIT(runs[i].kind)))
			continue;
		add_copies(list, &runs[i], bytes(list->nr_pages));
		add_extent(list, &runs[i], bytes(list->nr_pages));
		list->nr_pages += runs[i].nr_pages;
	}
	*ret = list;
	return NULL;
}

void ovm_page_list_free(struct ovm_page_list *list)
{
	if (!list)
		return;
	free(list->copies);
	free(list->extents);
	free(list);
}
