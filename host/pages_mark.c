// SPDX-License-Identifier: GPL-2.0-only
#include "pages_mark.h"

#include <stdlib.h>

#include "host/image/mm.h"
#include "host/sift.h"

enum { MAX_HUGE_SHIFT = 40 };

/* Runs that are being cut. */
struct marking {
	struct ovm_run *runs;
	size_t nr, allocated;
	/* Of the process, those that are left. */
	const struct ovm_pages_spot *spots;
	size_t nr_spots;
};

/* The rules for an area or object. */
struct rules {
	uint8_t flags;
	/* log2 of the size of huge pages, whose heads are kept; 0: none. */
	uint8_t huge_shift;
};

static struct ovm_error *put(struct marking *marking, const struct ovm_run *run, uint64_t va,
			     uint64_t end, uint8_t flags)
{
	if (marking->nr == marking->allocated) {
		size_t allocated = marking->allocated * 2 + 64;
		struct ovm_run *runs = reallocarray(marking->runs, allocated, sizeof(*runs));

		if (!runs)
			return ovm_error_no_memory();
		marking->runs = runs;
		marking->allocated = allocated;
	}
	struct ovm_run *part = &marking->runs[marking->nr++];

	*part = *run;
	part->va = va;
	part->nr_pages = (end - va) >> OVM_PAGE_SHIFT;
	part->flags |= flags;
	/* What is not in RAM stays in one piece: its place has other units. */
	part->gpa += va - run->va;
	return NULL;
}

/* The next page from @va on, up to @end, that is kept. */
static uint64_t next_kept(struct marking *marking, const struct rules *rules, uint64_t va,
			  uint64_t end)
{
	const uint64_t huge = rules->huge_shift ? UINT64_C(1) << rules->huge_shift : 0;

	if (huge && -va % huge < end - va)
		end = va + -va % huge;
	while (marking->nr_spots && marking->spots->va < va) {
		marking->spots++;
		marking->nr_spots--;
	}
	if (marking->nr_spots && marking->spots->va < end)
		end = marking->spots->va;
	return end;
}

static struct ovm_error *mark_run(struct marking *marking, const struct ovm_run *run,
				  const struct rules *rules)
{
	const uint64_t end = run->va + (run->nr_pages << OVM_PAGE_SHIFT);
	struct ovm_error *err = NULL;

	if (!(OVM_PAGE_BIT(run->kind) & OVM_PAGE_KINDS_RAM))
		return put(marking, run, run->va, end, rules->flags);
	for (uint64_t va = run->va; va < end && !err;) {
		uint64_t kept = next_kept(marking, rules, va, end);

		if (kept > va)
			err = put(marking, run, va, kept, rules->flags);
		if (!err && kept < end)
			err = put(marking, run, kept, kept + OVM_PAGE_SIZE,
				  rules->flags | OVM_PAGES_WHOLE);
		va = kept < end ? kept + OVM_PAGE_SIZE : end;
	}
	return err;
}

static void replace_runs(struct ovm_pages_file *file, const struct marking *marking)
{
	free(file->runs);
	file->runs = marking->runs;
	file->nr_runs = marking->nr;
}

/* ---- private memory -------------------------------------------------------------------------- */

static struct rules area_rules(const struct ovm_rec_vma *vma)
{
	uint8_t flags = OVM_PAGES_COMPRESSIBLE;

	if (vma->aio_ring)
		return (struct rules){OVM_PAGES_WHOLE, 0};
	if (vma->vdso || vma->vvar || vma->special[0] || vma->may_share)
		return (struct rules){0};
	if (ovm_image_vma_is_private_huge(vma) && vma->huge_shift > OVM_PAGE_SHIFT &&
	    vma->huge_shift <= MAX_HUGE_SHIFT)
		return (struct rules){OVM_PAGES_ZERO_BACKED | OVM_PAGES_OWN, vma->huge_shift};
	/* CRIU does not look for these in the parent either, if they are private. */
	if (vma->hugetlb)
		return (struct rules){.flags = OVM_PAGES_OWN};
	if (ovm_image_vma_may_be_lazy(vma))
		flags |= OVM_PAGES_LAZY;
	if (!vma->file)
		flags |= OVM_PAGES_ZERO_BACKED;
	return (struct rules){.flags = flags};
}

static struct ovm_error *mark_private(struct ovm_pages_file *file, struct marking *marking)
{
	const struct ovm_rec_vma *vma = file->process->mm.vmas;
	struct ovm_error *err = NULL;

	for (size_t i = 0; i < file->nr_runs && !err; i++) {
		struct rules rules = {0};

		while (vma && vma->end <= file->runs[i].va)
			vma = vma->next;
		if (vma && vma->start <= file->runs[i].va)
			rules = area_rules(vma);
		err = mark_run(marking, &file->runs[i], &rules);
	}
	return err;
}

/* ---- shared memory --------------------------------------------------------------------------- */

/* An object of huge pages. */
struct huge {
	uint64_t inode;
	uint8_t shift;
};

static int compare_huge(const void *left, const void *right)
{
	const struct huge *a = left, *b = right;

	return (a->inode > b->inode) - (a->inode < b->inode);
}

static struct ovm_error *list_huge(const struct ovm_rec_tree *tree, struct huge **ret,
				   size_t *ret_nr)
{
	size_t nr = 0;

	for (const struct ovm_rec_file *file = tree->files; file; file = file->next)
		nr += file->huge_shift != 0;
	struct huge *huge = calloc(nr + 1, sizeof(*huge));

	if (!huge)
		return ovm_error_no_memory();
	nr = 0;
	for (const struct ovm_rec_file *file = tree->files; file; file = file->next)
		if (file->huge_shift)
			huge[nr++] = (struct huge){file->inode, file->huge_shift};
	qsort(huge, nr, sizeof(*huge), compare_huge);
	*ret = huge;
	*ret_nr = nr;
	return NULL;
}

static struct rules object_rules(const struct ovm_rec_shmem *shmem, const struct huge *huge,
				 size_t nr_huge)
{
	const struct huge key = {.inode = shmem->inode};
	const struct huge *found = bsearch(&key, huge, nr_huge, sizeof(*huge), compare_huge);
	uint8_t shift = shmem->segment ? shmem->segment->huge_shift : found ? found->shift : 0;

	if (shift && (shift <= OVM_PAGE_SHIFT || shift > MAX_HUGE_SHIFT))
		return (struct rules){0};
	return (struct rules){OVM_PAGES_ZERO_BACKED | (shift ? 0 : OVM_PAGES_COMPRESSIBLE), shift};
}

/* ---- all ------------------------------------------------------------------------------------- */

static int compare_spots(const void *left, const void *right)
{
	const struct ovm_pages_spot *a = left, *b = right;

	if (a->process != b->process)
		return a->process < b->process ? -1 : 1;
	return (a->va > b->va) - (a->va < b->va);
}

static struct ovm_error *mark_file(struct ovm_pages_file *file, const struct rules *rules,
				   struct marking *marking)
{
	struct ovm_error *err = NULL;

	if (file->process)
		return mark_private(file, marking);
	for (size_t i = 0; i < file->nr_runs && !err; i++)
		err = mark_run(marking, &file->runs[i], rules);
	return err;
}

struct ovm_error *ovm_pages_mark(struct ovm_pages *pages, const struct ovm_rec_tree *tree,
				 struct ovm_pages_spot *spots, size_t nr_spots)
{
	struct huge *huge = NULL;
	size_t nr_huge = 0, next = 0;
	struct ovm_error *err = list_huge(tree, &huge, &nr_huge);

	if (err)
		return err;
	if (nr_spots)
		qsort(spots, nr_spots, sizeof(*spots), compare_spots);
	for (size_t i = 0; i < pages->nr_files && !err; i++) {
		struct ovm_pages_file *file = &pages->files[i];
		struct marking marking = {0};
		struct rules rules = {0};

		if (file->shmem)
			rules = object_rules(file->shmem, huge, nr_huge);
		/* Processes come by index. */
		for (; file->process && next < nr_spots; next++)
			if (spots[next].process >= file->process->index)
				break;
		if (next < nr_spots)
			marking.spots = &spots[next];
		for (; file->process && next < nr_spots; next++, marking.nr_spots++)
			if (spots[next].process != file->process->index)
				break;
		err = mark_file(file, &rules, &marking);
		if (err)
			free(marking.runs);
		else
			replace_runs(file, &marking);
	}
	free(huge);
	return err;
}
