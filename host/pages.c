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
	/* How many times a process may map a page of RAM, on average (same-page merging), and how
	 * many times all processes may (after fork). */
	MAX_SHARING = 8,
	MAX_SHARING_ALL = 64,
	/* Processes that are walked at once on a GPU. */
	MAX_GROUP = 256,
	/* Of rings of asynchronous I/O, which have some pages each, unless a guest lies. */
	MAX_RING_RUNS = 1 << 20,
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

/* What looking for the pages of all processes needs. */
struct look {
	struct ovm_engine *engine;
	struct ovm_kernel *kernel;
	struct ovm_page_layout layout;
	struct ovm_gpa_range zero_pages[2];
	/* Of each walk, but for page table and ranges. */
	struct ovm_walk_request request;
	struct ovm_pages *pages;
};

static struct ovm_error *prepare(struct look *look, bool (*cancelled)(void *arg), void *arg)
{
	const struct ovm_kernel_info *info = ovm_kernel_info(look->kernel);

	look->request = (struct ovm_walk_request){
		.size = sizeof(look->request),
		.levels = info->pgtable_levels,
		.sme_mask = info->sme_mask,
		.page = &look->layout,
		.zero_pages = look->zero_pages,
		.nr_zero_pages = find_zero_pages(look->kernel, look->zero_pages),
		.nr_swap_types = (unsigned int)kernel_variable(look->kernel, "nr_swapfiles",
							       sizeof(uint32_t)),
		.cancelled = cancelled,
		.arg = arg,
	};
	return find_page_layout(look->kernel, &look->layout);
}

/* The request for one process; the caller frees its ranges, also after an error. */
static struct ovm_error *make_request(const struct look *look,
				      const struct ovm_rec_process *process,
				      struct ovm_walk_request *request)
{
	struct ovm_walk_range *ranges = NULL;
	struct ovm_error *err;

	*request = look->request;
	err = ovm_kernel_translate(look->kernel, process->mm.pgd, &request->pgd);
	if (!err)
		err = make_ranges(&process->mm, &ranges, &request->nr_ranges);
	request->ranges = ranges;
	return err;
}

struct ovm_error *ovm_pages_check_run(int32_t pid, const struct ovm_run *run)
{
	struct ovm_error *err = NULL;

	switch (run->kind) {
	case OVM_PAGE_SWAP:
		err = ovm_error_format(
			OVM_ERROR_NOT_DUMPABLE,
			"pid %d: %llu pages from 0x%llx are swapped out: run 'swapoff -a' in the "
			"guest, or give it more memory, and dump again",
			pid, (unsigned long long)run->nr_pages, (unsigned long long)run->va);
		break;
	case OVM_PAGE_DEVICE:
		err = ovm_error_format(OVM_ERROR_NOT_DUMPABLE,
				       "pid %d: 0x%llx maps device memory, which can't be saved",
				       pid, (unsigned long long)run->va);
		break;
	case OVM_PAGE_MIGRATION:
	case OVM_PAGE_OTHER:
		err = ovm_error_format(OVM_ERROR_INCONSISTENT,
				       "pid %d: the page at 0x%llx is being moved or is poisoned",
				       pid, (unsigned long long)run->va);
		break;
	case OVM_PAGE_BAD:
		err = ovm_error_format(OVM_ERROR_CORRUPT,
				       "pid %d: the page tables for 0x%llx contradict themselves",
				       pid, (unsigned long long)run->va);
		break;
	}
	if (err)
		err->pid = pid;
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
 * Runs for each page of the vDSO, from where the kernel keeps it: the process' page tables have
 * only the pages that it has touched.
 */
static struct ovm_error *vdso_runs(struct ovm_kernel *kernel, const struct ovm_rec_mm *mm,
				   struct ovm_run **ret, size_t *ret_nr)
{
	const struct ovm_rec_vma *vdso = find_vdso(mm);
	size_t nr = 0;

	if (vdso && mm->vdso_size && mm->vdso_size <= 1 << 20)
		nr = (vdso->end - vdso->start) >> PAGE_SHIFT;
	if (nr > mm->vdso_size >> PAGE_SHIFT)
		nr = mm->vdso_size >> PAGE_SHIFT;
	struct ovm_run *runs = calloc(nr + 1, sizeof(*runs));

	if (!runs)
		return ovm_error_no_memory();
	for (size_t i = 0; i < nr; i++) {
		struct ovm_error *err = ovm_kernel_translate(
			kernel, mm->vdso_data + (i << PAGE_SHIFT), &runs[i].gpa);

		if (err) {
			free(runs);
			return ovm_error_prepend(err, "can't find the vDSO");
		}
		runs[i].va = vdso->start + (i << PAGE_SHIFT);
		runs[i].nr_pages = 1;
		runs[i].kind = OVM_PAGE_FILE;
	}
	*ret = runs;
	*ret_nr = nr;
	return NULL;
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

/* Merge @nr runs, in order of address, with those that are there. */
static struct ovm_error *merge_runs(struct ovm_pages_file *file, const struct ovm_run *runs,
				    size_t nr)
{
	struct ovm_run *all;
	size_t at = 0, next = 0;

	if (!nr)
		return NULL;
	all = calloc(file->nr_runs + nr, sizeof(*all));
	if (!all)
		return ovm_error_no_memory();
	for (size_t i = 0; i < file->nr_runs + nr; i++)
		all[i] = at == file->nr_runs || (next < nr && runs[next].va <= file->runs[at].va)
				 ? runs[next++]
				 : file->runs[at++];
	free(file->runs);
	file->runs = all;
	file->nr_runs += nr;
	return NULL;
}

static struct ovm_error *add_vdso(struct ovm_kernel *kernel, const struct ovm_rec_mm *mm,
				  struct ovm_pages_file *file)
{
	_cleanup_free_ struct ovm_run *runs = NULL;
	size_t nr = 0;
	struct ovm_error *err = vdso_runs(kernel, mm, &runs, &nr);

	return err ? err : merge_runs(file, runs, nr);
}

/* The runs of one ring, behind those of the others in @all. */
static struct ovm_error *add_aio_ring(const struct ovm_rec_vma *vma, struct ovm_run **all,
				      size_t *nr_all)
{
	_cleanup_free_ struct ovm_run *runs = NULL;
	size_t nr = 0;
	struct ovm_error *err = shmem_runs(vma->aio_ring->pages, &runs, &nr);

	if (!err && *nr_all + nr > MAX_RING_RUNS)
		err = ovm_error_format(OVM_ERROR_BUDGET, "there are too many AIO rings");
	if (err)
		return err;
	struct ovm_run *grown = reallocarray(*all, *nr_all + nr + 1, sizeof(**all));

	if (!grown)
		return ovm_error_no_memory();
	*all = grown;
	for (size_t i = 0; i < nr; i++) {
		if (runs[i].va + (runs[i].nr_pages << PAGE_SHIFT) > vma->end - vma->start)
			return ovm_error_address(OVM_ERROR_CORRUPT, vma->start,
						 "an AIO ring is longer than its area");
		runs[i].va += vma->start;
		grown[(*nr_all)++] = runs[i];
	}
	return NULL;
}

/* Rings of asynchronous I/O are shared with the kernel, but saved as if they were private. */
static struct ovm_error *add_aio_rings(const struct ovm_rec_mm *mm, struct ovm_pages_file *file)
{
	_cleanup_free_ struct ovm_run *runs = NULL;
	struct ovm_error *err = NULL;
	size_t nr = 0;

	for (const struct ovm_rec_vma *vma = mm->vmas; vma && !err; vma = vma->next)
		if (vma->aio_ring)
			err = add_aio_ring(vma, &runs, &nr);
	return err ? err : merge_runs(file, runs, nr);
}

static uint64_t count_pages(const struct ovm_pages_file *file)
{
	uint64_t nr = 0;

	for (size_t i = 0; i < file->nr_runs; i++)
		if (saved_kinds & OVM_PAGE_BIT(file->runs[i].kind))
			nr += file->runs[i].nr_pages;
	return nr;
}

/*
 * Tables that lead to the same pages over and over make any amount of memory out of a little. The
 * page cache has a page once only.
 */
static struct ovm_error *check_amount(const struct look *look, const struct ovm_pages_file *file,
				      uint64_t nr_pages)
{
	uint64_t ram_pages = ovm_engine_ram_size(look->engine) >> PAGE_SHIFT;

	if (nr_pages / MAX_SHARING <= ram_pages &&
	    look->pages->private.written / MAX_SHARING_ALL <= ram_pages &&
	    look->pages->shmem.written <= ram_pages)
		return NULL;

	struct ovm_error *err = ovm_error_format(
		OVM_ERROR_BUDGET,
		"%llu pages of a process, %llu of all, %llu of shared memory are more than %llu "
		"pages of RAM account for: page tables are damaged",
		(unsigned long long)nr_pages, (unsigned long long)look->pages->private.written,
		(unsigned long long)look->pages->shmem.written, (unsigned long long)ram_pages);

	if (file->process) {
		err->pid = file->process->pid;
		err = ovm_error_prepend(err, "pid %d", file->process->pid);
	}
	return err;
}

/* What was found of one process; its runs change hands. */
static struct ovm_error *take_private(const struct look *look,
				      const struct ovm_rec_process *process,
				      struct ovm_walk_result *walked, struct ovm_pages_file *file)
{
	struct ovm_error *err;
	uint64_t nr;

	file->process = process;
	file->runs = ovm_take_pointer(walked->runs);
	file->nr_runs = walked->nr_runs;
	err = add_vdso(look->kernel, &process->mm, file);
	if (!err)
		err = add_aio_rings(&process->mm, file);
	if (err)
		return err;
	nr = count_pages(file);
	file->outsiders = process->mm.used_by_others;
	look->pages->private.written += nr;
	for (int kind = 0; kind < OVM_PAGE_NR_KINDS; kind++)
		look->pages->scanned += walked->pages[kind];
	return check_amount(look, file, nr);
}

/* A process and those behind it, @nr in all, which get as many files. */
static struct ovm_error *look_group(const struct look *look, const struct ovm_rec_process *process,
				    size_t nr, struct ovm_pages_file *files)
{
	struct ovm_walk_request requests[MAX_GROUP] = {{0}};
	struct ovm_walk_result *results[MAX_GROUP] = {0};
	const struct ovm_rec_process *processes[MAX_GROUP] = {0};
	struct ovm_error *err = NULL;
	size_t made = 0, failed = 0;

	for (; made < nr && !err; process = process->next) {
		if (process->zombie)
			continue;
		processes[made] = process;
		err = make_request(look, process, &requests[made++]);
	}
	if (!err) {
		err = ovm_engine_walk_batch(look->engine, requests, nr, results, &failed);
		if (err)
			err->pid = processes[failed]->pid;
	}
	for (size_t i = 0; i < nr && !err; i++)
		err = take_private(look, processes[i], results[i], &files[i]);
	for (size_t i = 0; i < made; i++)
		free((void *)requests[i].ranges);
	for (size_t i = 0; i < nr; i++)
		ovm_walk_result_free(results[i]);
	return err;
}

/*
 * A GPU has enough to do with many processes only. The CPU takes them one by one, so that page
 * tables which lead to the same pages over and over are found out before more of them are walked.
 */
static struct ovm_error *look_private(const struct look *look, const struct ovm_rec_tree *tree)
{
	const bool cpu = !strcmp(ovm_engine_backend_name(look->engine), "cpu");
	const size_t group = cpu ? 1 : MAX_GROUP;
	const struct ovm_rec_process *process = tree->processes;
	struct ovm_error *err = NULL;
	size_t done = 0, nr;

	for (; process && !err; done += nr) {
		const struct ovm_rec_process *first = process;

		for (nr = 0; process && nr < group; process = process->next)
			nr += !process->zombie;
		if (nr)
			err = look_group(look, first, nr, &look->pages->files[done]);
	}
	return err;
}

static struct ovm_error *look_shmem(const struct look *look, const struct ovm_rec_shmem *shmem,
				    bool outsiders, struct ovm_pages_file *file)
{
	uint64_t nr;

	if (shmem->nr_swapped)
		return ovm_error_format(
			OVM_ERROR_NOT_DUMPABLE,
			"%llu pages of shared memory (inode %llu) are swapped out: run "
			"'swapoff -a' in the guest, or give it more memory, and dump again",
			(unsigned long long)shmem->nr_swapped, (unsigned long long)shmem->ino);
	struct ovm_error *err = shmem_runs(shmem, &file->runs, &file->nr_runs);

	if (err)
		return err;
	file->shmem = shmem;
	file->outsiders = !shmem->exclusive || outsiders;
	nr = count_pages(file);
	look->pages->shmem.written += nr;
	look->pages->scanned += nr;
	return check_amount(look, file, 0);
}

static struct ovm_error *look_at_all(const struct look *look, const struct ovm_rec_tree *tree)
{
	struct ovm_pages_file *file = look->pages->files + look->pages->nr_private;
	struct ovm_error *err = look_private(look, tree);
	bool outsiders = false;

	for (const struct ovm_rec_process *p = tree->processes; p; p = p->next)
		outsiders |= !p->zombie && p->mm.used_by_others;
	for (const struct ovm_rec_shmem *s = tree->shmem; s && !err; s = s->next)
		err = look_shmem(look, s, outsiders, file++);
	return err;
}

struct ovm_error *ovm_pages_look(struct ovm_engine *engine, struct ovm_kernel *kernel,
				 const struct ovm_rec_tree *tree, bool (*cancelled)(void *arg),
				 void *arg, struct ovm_pages *ret)
{
	struct look look = {.engine = engine, .kernel = kernel, .pages = ret};
	struct ovm_error *err;

	memset(ret, 0, sizeof(*ret));
	for (const struct ovm_rec_process *p = tree->processes; p; p = p->next)
		ret->nr_private += !p->zombie;
	ret->nr_files = ret->nr_private;
	for (const struct ovm_rec_shmem *shmem = tree->shmem; shmem; shmem = shmem->next)
		ret->nr_files++;
	ret->files = calloc(ret->nr_files + 1, sizeof(*ret->files));
	if (!ret->files)
		return ovm_error_no_memory();
	err = prepare(&look, cancelled, arg);
	if (!err)
		err = look_at_all(&look, tree);
	if (err)
		ovm_pages_deinit(ret);
	return err;
}

void ovm_pages_deinit(struct ovm_pages *pages)
{
	for (size_t i = 0; i < pages->nr_files; i++) {
		free(pages->files[i].runs);
		free(pages->files[i].entries);
		free(pages->files[i].block_sizes);
	}
	free(pages->files);
	memset(pages, 0, sizeof(*pages));
}

uint64_t ovm_pages_object_number(const struct ovm_rec_shmem *shmem)
{
	if (shmem->segment)
		return (uint32_t)shmem->segment->perm.id;
	return shmem->ino && shmem->ino <= UINT32_MAX ? shmem->ino : OVM_PAGES_NO_NUMBER;
}

void ovm_pages_name(uint32_t id, char name[OVM_PAGES_NAME])
{
	snprintf(name, OVM_PAGES_NAME, "pages-%u.img", id);
}

/* Where @len bytes at @address are in the file; false if it doesn't hold all of them. */
static bool find_offset(const struct ovm_pages_file *file, uint64_t address, size_t len,
			uint64_t *ret)
{
	for (size_t i = 0; i < file->nr_entries; i++) {
		const struct ovm_image_pagemap_entry *entry = &file->entries[i];
		uint64_t size = entry->nr_pages << PAGE_SHIFT;

		if (entry->in_parent || entry->nr_blocks || address - entry->address >= size)
			continue;
		*ret = entry->offset + (address - entry->address);
		return len <= size - (address - entry->address);
	}
	return false;
}

static const struct ovm_pages_file *find_private(const struct ovm_pages *pages,
						 const struct ovm_rec_process *process)
{
	size_t low = 0, high = pages->nr_private;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (pages->files[middle].process->index < process->index)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == pages->nr_private || pages->files[low].process->index != process->index)
		return NULL;
	return &pages->files[low];
}

struct ovm_error *ovm_pages_patch(const struct ovm_pages *pages, int dir_fd,
				  const struct ovm_rec_process *process, uint64_t address,
				  const void *bytes, size_t len, bool *done)
{
	const struct ovm_pages_file *file = find_private(pages, process);
	char name[OVM_PAGES_NAME];
	uint64_t offset;

	*done = file && find_offset(file, address, len, &offset);
	if (!*done)
		return NULL;
	ovm_pages_name(file->id, name);
	_cleanup_close_ int fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || pwrite(fd, bytes, len, (off_t)offset) != (ssize_t)len)
		return ovm_error_errno(OVM_ERROR_OUTPUT, errno, name, "can't write %s", name);
	return NULL;
}
