// SPDX-License-Identifier: GPL-2.0-only
#include "pages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "vmi/cleanup.h"

enum {
	PAGE_SIZE = OVM_PAGE_SIZE,
	PAGE_SHIFT = OVM_PAGE_SHIFT,
	/* How many times a process may map a page of RAM, on average (same-page merging). */
	MAX_SHARING = 8,
};

/* Kinds that are saved, and those that stand in the way of it. */
static const uint32_t saved_kinds =
	OVM_PAGE_BIT(OVM_PAGE_ANON) | OVM_PAGE_BIT(OVM_PAGE_FILE) | OVM_PAGE_BIT(OVM_PAGE_MAPPED);
static const uint32_t bad_kinds = OVM_PAGE_BIT(OVM_PAGE_DEVICE) | OVM_PAGE_BIT(OVM_PAGE_SWAP) |
				  OVM_PAGE_BIT(OVM_PAGE_MIGRATION) | OVM_PAGE_BIT(OVM_PAGE_OTHER) |
				  OVM_PAGE_BIT(OVM_PAGE_BAD);

static bool vma_is_walked(const struct ovm_rec_vma *vma)
{
	return !vma->vdso && !vma->vvar && !vma->vsyscall && !vma->may_share && !vma->shared &&
	       !vma->pfnmap && !vma->io && vma->start < vma->end;
}

static struct ovm_error *make_ranges(const struct ovm_rec_mm *mm, struct ovm_walk_range **ret,
				     size_t *ret_nr)
{
	size_t nr = 0;

	for (const struct ovm_rec_vma *vma = mm->vmas; vma; vma = vma->next)
		nr += vma_is_walked(vma);
	struct ovm_walk_range *ranges = calloc(nr ? nr : 1, sizeof(*ranges));

	if (!ranges)
		return ovm_error_no_memory();
	nr = 0;
	for (const struct ovm_rec_vma *vma = mm->vmas; vma; vma = vma->next) {
		if (!vma_is_walked(vma))
			continue;
		struct ovm_walk_range *range = &ranges[nr++];

		range->start = vma->start;
		range->end = vma->end;
		range->kinds = OVM_PAGE_BIT(OVM_PAGE_ANON) | bad_kinds;
		if (!vma->file)
			range->flags = OVM_RANGE_ANON;
	}
	*ret = ranges;
	*ret_nr = nr;
	return NULL;
}

/* A variable of the kernel's; 0 when there is none of that name. */
static uint64_t kernel_variable(struct ovm_kernel *kernel, const char *name, size_t size)
{
	uint64_t address, value = 0;

	if (!ovm_kernel_symbol(kernel, name, &address))
		return 0;
	ovm_error_free(ovm_kernel_read(kernel, address, &value, size));
	return value;
}

static size_t find_zero_pages(struct ovm_kernel *kernel, struct ovm_gpa_range ranges[2])
{
	size_t nr = 0;
	uint64_t address, gpa;

	if (ovm_kernel_symbol(kernel, "empty_zero_page", &address)) {
		struct ovm_error *err = ovm_kernel_translate(kernel, address, &gpa);

		if (!err)
			ranges[nr++] = (struct ovm_gpa_range){gpa, PAGE_SIZE};
		ovm_error_free(err);
	}
	uint64_t huge_pfn = kernel_variable(kernel, "huge_zero_pfn", sizeof(huge_pfn));

	if (huge_pfn && huge_pfn < UINT64_C(1) << 40)
		ranges[nr++] = (struct ovm_gpa_range){huge_pfn << PAGE_SHIFT, 2 << 20};
	return nr;
}

static struct ovm_error *find_page_layout(struct ovm_kernel *kernel, struct ovm_page_layout *ret)
{
	const struct ovm_kernel_info *info = ovm_kernel_info(kernel);
	struct ovm_btf *btf = ovm_kernel_btf(kernel);
	struct ovm_btf_member mapping, compound_head;
	uint64_t size;
	struct ovm_error *err = ovm_btf_sizeof(btf, "struct page", &size);

	if (!err)
		err = ovm_btf_find_member(btf, "struct page", "mapping", &mapping);
	if (!err)
		err = ovm_btf_find_member(btf, "struct page", "compound_head", &compound_head);
	if (err)
		return err;
	*ret = (struct ovm_page_layout){
		.kernel_pgd = info->pgd_gpa,
		.vmemmap_base = info->vmemmap_base,
		.page_size = (uint32_t)size,
		.mapping_offset = (uint32_t)(mapping.bit_offset / 8),
		.compound_head_offset = (uint32_t)(compound_head.bit_offset / 8),
	};
	return NULL;
}

static struct ovm_error *walk(struct ovm_engine *engine, struct ovm_kernel *kernel,
			      const struct ovm_rec_process *process, bool (*cancelled)(void *arg),
			      void *arg, struct ovm_walk_result **ret)
{
	const struct ovm_kernel_info *info = ovm_kernel_info(kernel);
	_cleanup_free_ struct ovm_walk_range *ranges = NULL;
	struct ovm_gpa_range zero_pages[2];
	struct ovm_page_layout layout;
	struct ovm_walk_request request = {
		.size = sizeof(request),
		.levels = info->pgtable_levels,
		.sme_mask = info->sme_mask,
		.page = &layout,
		.zero_pages = zero_pages,
		.nr_zero_pages = find_zero_pages(kernel, zero_pages),
		.nr_swap_types =
			(unsigned int)kernel_variable(kernel, "nr_swapfiles", sizeof(uint32_t)),
		.cancelled = cancelled,
		.arg = arg,
	};
	struct ovm_error *err = find_page_layout(kernel, &layout);

	if (!err)
		err = ovm_kernel_translate(kernel, process->mm.pgd, &request.pgd);
	if (!err)
		err = make_ranges(&process->mm, &ranges, &request.nr_ranges);
	if (err)
		return err;
	request.ranges = ranges;
	return ovm_engine_walk(engine, &request, ret);
}

/* What pages that can't be saved mean. */
static struct ovm_error *check_run(const struct ovm_rec_process *process, const struct ovm_run *run)
{
	struct ovm_error *err = NULL;

	switch (run->kind) {
	case OVM_PAGE_SWAP:
		err = ovm_error_format(
			OVM_ERROR_NOT_DUMPABLE,
			"pid %d: %llu pages from 0x%llx are swapped out: run 'swapoff -a' in the "
			"guest, or give it more memory, and dump again",
			process->pid, (unsigned long long)run->nr_pages,
			(unsigned long long)run->va);
		break;
	case OVM_PAGE_DEVICE:
		err = ovm_error_format(OVM_ERROR_NOT_DUMPABLE,
				       "pid %d: 0x%llx maps device memory, which can't be saved",
				       process->pid, (unsigned long long)run->va);
		break;
	case OVM_PAGE_MIGRATION:
	case OVM_PAGE_OTHER:
		err = ovm_error_format(OVM_ERROR_INCONSISTENT,
				       "pid %d: the page at 0x%llx is being moved or is poisoned",
				       process->pid, (unsigned long long)run->va);
		break;
	case OVM_PAGE_BAD:
		err = ovm_error_format(OVM_ERROR_CORRUPT,
				       "pid %d: the page tables for 0x%llx contradict themselves",
				       process->pid, (unsigned long long)run->va);
		break;
	}
	if (err)
		err->pid = process->pid;
	return err;
}

static const struct ovm_rec_vma *find_vdso(const struct ovm_rec_mm *mm)
{
	for (const struct ovm_rec_vma *vma = mm->vmas; vma; vma = vma->next)
		if (vma->vdso)
			return vma;
	return NULL;
}

/*
 * Add a run for each page of the vDSO, from where the kernel keeps it: the process' page tables
 * have only the pages that it has touched. Keeps the order by address.
 */
static struct ovm_error *add_vdso(struct ovm_kernel *kernel, const struct ovm_rec_mm *mm,
				  const struct ovm_walk_result *walked, struct ovm_run **ret,
				  size_t *ret_nr)
{
	const struct ovm_rec_vma *vdso = find_vdso(mm);
	size_t nr_vdso = 0, before = 0;

	if (vdso && mm->vdso_size && mm->vdso_size <= 1 << 20)
		nr_vdso = (vdso->end - vdso->start) >> PAGE_SHIFT;
	if (nr_vdso > mm->vdso_size >> PAGE_SHIFT)
		nr_vdso = mm->vdso_size >> PAGE_SHIFT;

	struct ovm_run *runs = calloc(walked->nr_runs + nr_vdso + 1, sizeof(*runs));

	if (!runs)
		return ovm_error_no_memory();
	while (vdso && before < walked->nr_runs && walked->runs[before].va < vdso->start)
		before++;
	if (before)
		memcpy(runs, walked->runs, before * sizeof(*runs));
	for (size_t i = 0; i < nr_vdso; i++) {
		struct ovm_run *run = &runs[before + i];
		struct ovm_error *err =
			ovm_kernel_translate(kernel, mm->vdso_data + (i << PAGE_SHIFT), &run->gpa);

		if (err) {
			free(runs);
			return ovm_error_prepend(err, "can't find the vDSO");
		}
		run->va = vdso->start + (i << PAGE_SHIFT);
		run->nr_pages = 1;
		run->kind = OVM_PAGE_FILE;
	}
	if (walked->nr_runs > before)
		memcpy(runs + before + nr_vdso, walked->runs + before,
		       (walked->nr_runs - before) * sizeof(*runs));
	*ret = runs;
	*ret_nr = walked->nr_runs + nr_vdso;
	return NULL;
}

/* Make the page list of a file and the pagemap that goes with it. */
static struct ovm_error *fill_file(struct ovm_pages_file *file, const struct ovm_run *runs,
				   size_t nr)
{
	struct ovm_error *err = ovm_page_list_create(runs, nr, saved_kinds, &file->list);

	if (err)
		return err;
	file->entries = calloc(file->list->nr_extents + 1, sizeof(*file->entries));
	if (!file->entries)
		return ovm_error_no_memory();
	for (size_t i = 0; i < file->list->nr_extents; i++)
		file->entries[i] = (struct ovm_image_pagemap_entry){
			.address = file->list->extents[i].va,
			.nr_pages = file->list->extents[i].nr_pages,
		};
	return NULL;
}

static struct ovm_error *plan_private(struct ovm_engine *engine, struct ovm_kernel *kernel,
				      const struct ovm_rec_process *process,
				      bool (*cancelled)(void *arg), void *arg,
				      struct ovm_pages *pages)
{
	_cleanup_free_ struct ovm_run *runs = NULL;
	struct ovm_walk_result *walked = NULL;
	size_t nr_runs = 0;
	struct ovm_error *err = walk(engine, kernel, process, cancelled, arg, &walked);

	for (size_t i = 0; !err && i < walked->nr_runs; i++)
		err = check_run(process, &walked->runs[i]);
	if (!err)
		err = add_vdso(kernel, &process->mm, walked, &runs, &nr_runs);
	if (!err)
		err = fill_file(&pages->files[0], runs, nr_runs);
	if (!err) {
		pages->private_pages = pages->files[0].list->nr_pages;
		for (int kind = 0; kind < OVM_PAGE_NR_KINDS; kind++)
			pages->scanned += walked->pages[kind];
	}
	ovm_walk_result_free(walked);
	return err;
}

/* Runs of a shared memory object, addressed by their offset in it, cut off at its size. */
static struct ovm_error *shmem_runs(const struct ovm_rec_shmem *shmem, struct ovm_run **ret,
				    size_t *ret_nr)
{
	uint64_t end = (shmem->size + PAGE_SIZE - 1) >> PAGE_SHIFT;
	size_t max = 0, nr = 0;

	for (const struct ovm_rec_runs *node = shmem->runs; node; node = node->next)
		max += node->nr;
	struct ovm_run *runs = calloc(max + 1, sizeof(*runs));

	if (!runs)
		return ovm_error_no_memory();
	for (const struct ovm_rec_runs *node = shmem->runs; node; node = node->next) {
		for (uint32_t i = 0; i < node->nr; i++) {
			const struct ovm_rec_run *run = &node->run[i];

			if (run->index >= end)
				continue;
			runs[nr++] = (struct ovm_run){
				.va = run->index << PAGE_SHIFT,
				.gpa = run->pfn << PAGE_SHIFT,
				.nr_pages = run->nr < end - run->index ? run->nr : end - run->index,
				.kind = OVM_PAGE_FILE,
			};
		}
	}
	*ret = runs;
	*ret_nr = nr;
	return NULL;
}

static struct ovm_error *plan_shmem(const struct ovm_rec_process *process,
				    const struct ovm_rec_shmem *shmem, struct ovm_pages_file *file,
				    struct ovm_pages *pages)
{
	_cleanup_free_ struct ovm_run *runs = NULL;
	size_t nr = 0;

	if (shmem->nr_swapped)
		return ovm_error_format(
			OVM_ERROR_NOT_DUMPABLE,
			"pid %d: %llu pages of shared memory (inode %llu) are swapped out: run "
			"'swapoff -a' in the guest, or give it more memory, and dump again",
			process->pid, (unsigned long long)shmem->nr_swapped,
			(unsigned long long)shmem->ino);
	struct ovm_error *err = shmem_runs(shmem, &runs, &nr);

	if (!err)
		err = fill_file(file, runs, nr);
	if (err)
		return ovm_error_prepend(err, "shared memory (inode %llu)",
					 (unsigned long long)shmem->ino);
	file->shmem = shmem;
	pages->shmem_pages += file->list->nr_pages;
	pages->scanned += file->list->nr_pages;
	return NULL;
}

/*
 * Tables that lead to the same pages over and over make any amount of memory out of a little. The
 * page cache has a page once only.
 */
static struct ovm_error *check_amount(const struct ovm_engine *engine,
				      const struct ovm_rec_process *process,
				      const struct ovm_pages *pages)
{
	uint64_t ram_pages = ovm_engine_ram_size(engine) >> PAGE_SHIFT;

	if (pages->private_pages / MAX_SHARING <= ram_pages && pages->shmem_pages <= ram_pages)
		return NULL;

	struct ovm_error *err = ovm_error_format(
		OVM_ERROR_BUDGET,
		"pid %d: %llu pages of its own and %llu of shared memory are more than %llu pages "
		"of RAM account for: its page tables are damaged",
		process->pid, (unsigned long long)pages->private_pages,
		(unsigned long long)pages->shmem_pages, (unsigned long long)ram_pages);

	err->pid = process->pid;
	return err;
}

struct ovm_error *ovm_pages_plan(struct ovm_engine *engine, struct ovm_kernel *kernel,
				 const struct ovm_rec_process *process, uint32_t first_id,
				 bool (*cancelled)(void *arg), void *arg, struct ovm_pages *ret)
{
	struct ovm_error *err;
	size_t nr = 1;

	memset(ret, 0, sizeof(*ret));
	for (const struct ovm_rec_shmem *shmem = process->shmem; shmem; shmem = shmem->next)
		nr++;
	ret->files = calloc(nr, sizeof(*ret->files));
	if (!ret->files)
		return ovm_error_no_memory();
	ret->nr_files = nr;
	for (size_t i = 0; i < nr; i++)
		ret->files[i].id = first_id + (uint32_t)i;
	err = plan_private(engine, kernel, process, cancelled, arg, ret);
	nr = 1;
	for (const struct ovm_rec_shmem *s = process->shmem; s && !err; s = s->next)
		err = plan_shmem(process, s, &ret->files[nr++], ret);
	if (!err)
		err = check_amount(engine, process, ret);
	if (err)
		ovm_pages_deinit(ret);
	return err;
}

void ovm_pages_deinit(struct ovm_pages *pages)
{
	for (size_t i = 0; i < pages->nr_files; i++) {
		ovm_page_list_free(pages->files[i].list);
		free(pages->files[i].entries);
	}
	free(pages->files);
	memset(pages, 0, sizeof(*pages));
}

/* Progress of one file as part of that of all. */
struct copy_progress {
	const struct ovm_pages_copy_options *options;
	uint64_t before, total;
};

static bool copy_cancelled(void *arg)
{
	const struct copy_progress *progress = arg;

	return progress->options->cancelled && progress->options->cancelled(progress->options->arg);
}

static void copy_progressed(void *arg, uint64_t done, uint64_t total)
{
	const struct copy_progress *progress = arg;

	if (progress->options->progress)
		progress->options->progress(progress->options->arg, progress->before + done,
					    progress->total);
}

static void pages_name(uint32_t id, char name[32])
{
	snprintf(name, 32, "pages-%u.img", id);
}

static struct ovm_error *copy_file(struct ovm_engine *engine, const struct ovm_pages_file *file,
				   struct copy_progress *progress)
{
	struct ovm_page_sink *sink;
	char name[32];

	pages_name(file->id, name);
	_cleanup_close_ int fd = openat(progress->options->dir_fd, name,
					O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return ovm_error_errno(OVM_ERROR_OUTPUT, errno, name, "can't create %s", name);
	struct ovm_error *err = ovm_page_sink_create_file(fd, 0, name, &sink);

	if (err)
		return err;
	err = ovm_engine_copy(engine, &(struct ovm_copy_request){
					      .size = sizeof(struct ovm_copy_request),
					      .copies = file->list->copies,
					      .nr_copies = file->list->nr_copies,
					      .sink = sink,
					      .cancelled = copy_cancelled,
					      .progress = copy_progressed,
					      .arg = progress,
				      });
	ovm_page_sink_destroy(sink);
	progress->before += file->list->nr_pages << PAGE_SHIFT;
	return err;
}

struct ovm_error *ovm_pages_copy(struct ovm_engine *engine, const struct ovm_pages *pages,
				 const struct ovm_pages_copy_options *options)
{
	struct copy_progress progress = {
		.options = options,
		.total = (pages->private_pages + pages->shmem_pages) << PAGE_SHIFT,
	};
	struct ovm_error *err = NULL;

	for (size_t i = 0; i < pages->nr_files && !err; i++)
		err = copy_file(engine, &pages->files[i], &progress);
	return err;
}

/* The extent that holds @address; they are in the order of addresses. */
static const struct ovm_page_extent *find_extent(const struct ovm_page_list *list, uint64_t address)
{
	size_t low = 0, high = list->nr_extents;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct ovm_page_extent *extent = &list->extents[middle];

		if (address - extent->va < extent->nr_pages << PAGE_SHIFT)
			return extent;
		if (address < extent->va)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

struct ovm_error *ovm_pages_patch(const struct ovm_pages *pages, int dir_fd, uint64_t address,
				  const void *bytes, size_t len, bool *done)
{
	const struct ovm_page_extent *extent = find_extent(pages->files[0].list, address);
	char name[32];

	*done = false;
	if (!extent || len > (extent->nr_pages << PAGE_SHIFT) - (address - extent->va))
		return NULL;
	pages_name(pages->files[0].id, name);
	_cleanup_close_ int fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC);
	off_t offset = (off_t)(extent->offset + (address - extent->va));

	if (fd < 0 || pwrite(fd, bytes, len, offset) != (ssize_t)len)
		return ovm_error_errno(OVM_ERROR_OUTPUT, errno, name, "can't write %s", name);
	*done = true;
	return NULL;
}
