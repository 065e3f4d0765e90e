// SPDX-License-Identifier: GPL-2.0-only
#include "copier.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "host/page_store.h"
#include "host/parent.h"
#include "host/sift.h"
#include "kernels-cuda/pack.h"
#include "vmi/cleanup.h"

static const char arranged_name[] = "pages.arranged";

/* A pages-N.img. */
struct target {
	uint32_t id;
	bool created;
	/* Whose it is: identity of the process, or of the inode of shared memory. */
	uint64_t owner;
	bool shared;
	/* Others may write it. */
	bool outsiders;
	struct ovm_page_store store;
	struct ovm_page_changes changes;
	/* Its number in the images, and what the parent's have of it; NULL: nothing. */
	uint64_t number;
	struct ovm_parent_pages *parent;
};

struct ovm_copier {
	struct ovm_copier_options options;
	struct target *targets;
	size_t nr;
	/* Places of the targets, by owner. */
	size_t *by_owner;
	/* Of the copying under way, in bytes. What is looked at before it is copied counts half for
	 * that. */
	uint64_t before, total;
	bool looking;
};

struct ovm_error *ovm_copier_create(const struct ovm_copier_options *options,
				    struct ovm_copier **ret)
{
	struct ovm_copier *copier = calloc(1, sizeof(*copier));

	*ret = copier;
	if (!copier)
		return ovm_error_no_memory();
	copier->options = *options;
	return NULL;
}

void ovm_copier_destroy(struct ovm_copier *copier)
{
	if (!copier)
		return;
	for (size_t i = 0; i < copier->nr; i++) {
		ovm_page_store_deinit(&copier->targets[i].store);
		ovm_parent_pages_close(copier->targets[i].parent);
	}
	free(copier->targets);
	free(copier->by_owner);
	free(copier);
}

/* ---- files ----------------------------------------------------------------------------------- */

static struct ovm_error *open_file(const struct ovm_copier *copier, const char *name, int flags,
				   int *ret)
{
	*ret = openat(copier->options.dir_fd, name, flags | O_CLOEXEC, 0600);
	if (*ret < 0)
		return ovm_error_errno(OVM_ERROR_OUTPUT, errno, name, "can't open %s", name);
	return NULL;
}

/* There may be more of them than files that can be open at once. */
static struct ovm_error *open_target(const struct ovm_copier *copier, struct target *target,
				     char name[OVM_PAGES_NAME], int *ret)
{
	int flags = target->created ? O_RDWR : O_RDWR | O_CREAT | O_EXCL;
	struct ovm_error *err;

	ovm_pages_name(target->id, name);
	err = open_file(copier, name, flags, ret);
	if (!err)
		target->created = true;
	return err;
}

static uint64_t owner_of(const struct ovm_pages_file *file)
{
	return file->shmem ? file->shmem->inode : file->process->task;
}

static bool is_target(const struct target *target, const struct ovm_pages_file *file)
{
	return target->owner == owner_of(file) && target->shared == (file->shmem != NULL);
}

static int compare_owners(const void *left, const void *right, void *arg)
{
	const struct target *targets = arg;
	const struct target *a = &targets[*(const size_t *)left];
	const struct target *b = &targets[*(const size_t *)right];

	if (a->owner != b->owner)
		return a->owner < b->owner ? -1 : 1;
	return a->shared - b->shared;
}

/* The target of @file among those that are in order; nr for none. */
static size_t find_target(const struct ovm_copier *copier, size_t nr,
			  const struct ovm_pages_file *file)
{
	size_t low = 0, high = nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct target *target = &copier->targets[copier->by_owner[middle]];

		if (is_target(target, file))
			return copier->by_owner[middle];
		if (target->owner < owner_of(file) ||
		    (target->owner == owner_of(file) && !target->shared))
			low = middle + 1;
		else
			high = middle;
	}
	return nr;
}

static struct ovm_error *make_room(struct ovm_copier *copier, size_t nr)
{
	struct target *targets = reallocarray(copier->targets, nr + 1, sizeof(*targets));

	if (!targets)
		return ovm_error_no_memory();
	copier->targets = targets;
	size_t *by_owner = reallocarray(copier->by_owner, nr + 1, sizeof(*by_owner));

	if (!by_owner)
		return ovm_error_no_memory();
	copier->by_owner = by_owner;
	return NULL;
}

/* As in the names of pagemaps. */
static uint64_t number_of(const struct ovm_pages_file *file)
{
	if (file->process)
		return (uint64_t)file->process->pid;
	return ovm_pages_object_number(file->shmem);
}

/* A parent alone takes no packing, as content is compared before. */
static bool packs(const struct ovm_copier *copier)
{
	return copier->options.block_pages ||
	       (copier->options.skip_zero && !copier->options.parent);
}

static size_t add_target(struct ovm_copier *copier, const struct ovm_pages_file *file)
{
	const size_t at = copier->nr++;

	copier->targets[at] = (struct target){
		.id = copier->options.first_id + (uint32_t)at,
		.owner = owner_of(file),
		.shared = file->shmem != NULL,
		.number = number_of(file),
		.store.sifted = copier->options.parent != NULL,
		.store.packed = packs(copier),
		.store.block_pages = copier->options.block_pages,
	};
	copier->by_owner[at] = at;
	return at;
}

/* The target of each file of @pages, by index; those that are missing are made. */
static struct ovm_error *find_targets(struct ovm_copier *copier, const struct ovm_pages *pages,
				      size_t **ret)
{
	_cleanup_free_ size_t *targets = calloc(pages->nr_files + 1, sizeof(*targets));
	const size_t nr = copier->nr;
	struct ovm_error *err =
		targets ? make_room(copier, nr + pages->nr_files) : ovm_error_no_memory();

	if (err)
		return err;
	for (size_t i = 0; i < pages->nr_files; i++) {
		const struct ovm_pages_file *file = &pages->files[i];

		/* They come in the same order each time, as a rule. */
		targets[i] = i < nr && is_target(&copier->targets[i], file)
				     ? i
				     : find_target(copier, nr, file);
		if (targets[i] == nr)
			targets[i] = add_target(copier, file);
	}
	if (copier->nr > nr)
		qsort_r(copier->by_owner, copier->nr, sizeof(*copier->by_owner), compare_owners,
			copier->targets);
	*ret = ovm_take_pointer(targets);
	return NULL;
}

/* ---- copying --------------------------------------------------------------------------------- */

static bool copy_cancelled(void *arg)
{
	const struct ovm_copier *copier = arg;

	return copier->options.cancelled && copier->options.cancelled(copier->options.arg);
}

static void copy_progressed(void *arg, uint64_t done, uint64_t total)
{
	const struct ovm_copier *copier = arg;

	(void)total;
	if (copier->looking)
		done /= 2;
	if (copier->options.progress)
		copier->options.progress(copier->options.arg, copier->before + done, copier->total);
}

static struct ovm_error *copy_runs(struct ovm_copier *copier, const struct ovm_copy_run *copies,
				   size_t nr, int fd, const char *name)
{
	struct ovm_copy_request request = {
		.size = sizeof(request),
		.copies = copies,
		.nr_copies = nr,
		.cancelled = copy_cancelled,
		.progress = copy_progressed,
		.arg = copier,
	};
	struct ovm_error *err = ovm_page_sink_create_file(fd, 0, name, &request.sink);

	if (!err)
		err = ovm_engine_copy(copier->options.engine, &request);
	ovm_page_sink_destroy(request.sink);
	return err;
}

/* Find out what the parent's images have of a target, if that isn't known yet. */
static struct ovm_error *open_parent(struct ovm_copier *copier, struct target *target)
{
	if (!copier->options.parent || target->parent || target->number == OVM_PAGES_NO_NUMBER)
		return NULL;
	return ovm_parent_pages_open(copier->options.parent,
				     target->shared ? OVM_IMAGE_PAGEMAP_SHMEM : OVM_IMAGE_PAGEMAP,
				     target->number, copy_cancelled, copier, &target->parent);
}

/* With the parent's files open for as long only, whatever the number of targets. */
static struct ovm_error *sift_with_parent(struct target *target, struct ovm_sift_request *request,
					  uint8_t *answer)
{
	struct ovm_error *err = target->parent ? ovm_parent_pages_begin(target->parent) : NULL;

	request->parent = target->parent;
	if (!err)
		err = ovm_sift(request, answer);
	if (target->parent)
		ovm_parent_pages_end(target->parent);
	return err;
}

/* Look at the pages to be copied, and leave those out that need not be in the file. */
static struct ovm_error *sift(struct ovm_copier *copier, struct target *target)
{
	_cleanup_free_ struct ovm_sift_piece *pieces = NULL;
	struct ovm_sift_request request = {
		.engine = copier->options.engine,
		.zero = copier->options.skip_zero,
		.cancelled = copy_cancelled,
		.progress = copy_progressed,
		.arg = copier,
	};
	uint64_t nr_pages;
	struct ovm_error *err =
		ovm_page_store_unsifted(&target->store, &pieces, &request.nr, &nr_pages);

	if (err || !request.nr)
		return err;
	_cleanup_free_ uint8_t *answer = calloc(nr_pages, sizeof(*answer));

	if (!answer)
		return ovm_error_no_memory();
	err = open_parent(copier, target);
	request.pieces = pieces;
	copier->looking = true;
	if (!err)
		err = sift_with_parent(target, &request, answer);
	copier->looking = false;
	return err ? err : ovm_page_store_sift(&target->store, answer);
}

/* Write what is to be copied, each page in its place. */
static struct ovm_error *write_pages(struct ovm_copier *copier, struct target *target)
{
	_cleanup_free_ struct ovm_copy_run *copies = NULL;
	_cleanup_close_ int fd = -1;
	char name[OVM_PAGES_NAME];
	size_t nr;
	struct ovm_error *err = ovm_page_store_todo(&target->store, &copies, &nr);

	if (!err && (nr || !target->created))
		err = open_target(copier, target, name, &fd);
	if (!err && nr)
		err = copy_runs(copier, copies, nr, fd, name);
	return err;
}

static struct ovm_error *pack_into(struct ovm_copier *copier, struct target *target,
				   const struct ovm_unpacked *unpacked, int fd, const char *name)
{
	struct ovm_pack_request request = {
		.size = sizeof(request),
		.copies = unpacked->copies,
		.nr_copies = unpacked->nr_copies,
		.extents = unpacked->extents,
		.nr_extents = unpacked->nr_extents,
		.base = target->store.end,
		.block_pages = copier->options.block_pages,
		.align = copier->options.block_pages != 0,
		.cancelled = copy_cancelled,
		.progress = copy_progressed,
		.arg = copier,
	};
	struct ovm_pack_result *result = NULL;
	struct ovm_error *err = ovm_page_sink_create_file(fd, 0, name, &request.sink);

	if (!err)
		err = ovm_engine_pack(copier->options.engine, &request, &result);
	if (!err)
		err = ovm_page_store_pack(&target->store, result);
	/* There may be something behind it that was given up. */
	if (!err && ftruncate(fd, (off_t)target->store.end))
		err = ovm_error_errno(OVM_ERROR_OUTPUT, errno, name, "can't cut off %s", name);
	ovm_pack_result_free(result);
	ovm_page_sink_destroy(request.sink);
	return err;
}

/* Write what is to be copied behind what is there, leaving out and compressing what can be. */
static struct ovm_error *pack(struct ovm_copier *copier, struct target *target)
{
	const uint32_t ops = (copier->options.block_pages ? OVM_PACK_LZ4 : 0) |
			     (copier->options.skip_zero ? OVM_PACK_DROP_ZERO : 0);
	_cleanup_close_ int fd = -1;
	char name[OVM_PAGES_NAME];
	struct ovm_unpacked unpacked;
	struct ovm_error *err =
		ovm_page_store_unpacked(&target->store, target->store.sifted, ops, &unpacked);

	if (err)
		return err;
	if (unpacked.nr_copies || !target->created)
		err = open_target(copier, target, name, &fd);
	if (!err && unpacked.nr_copies)
		err = pack_into(copier, target, &unpacked, fd, name);
	ovm_unpacked_deinit(&unpacked);
	return err;
}

static struct ovm_error *copy(struct ovm_copier *copier, struct target *target, bool paused)
{
	struct ovm_error *err = sift(copier, target);

	if (!err)
		err = target->store.packed ? pack(copier, target) : write_pages(copier, target);
	if (!err)
		ovm_page_store_copied(&target->store, paused);
	copier->before += target->changes.todo << OVM_PAGE_SHIFT;
	return err;
}

static void count(struct ovm_copier *copier, struct target *target, struct ovm_copier_stats *stats)
{
	const struct ovm_page_changes *changes = &target->changes;

	stats->copied += changes->todo;
	stats->again += changes->again;
	stats->appeared += changes->appeared;
	stats->vanished += changes->vanished;
	stats->blocked += changes->blocked;
	if (target->shared)
		stats->shmem += changes->todo;
	if (target->outsiders)
		stats->outsiders += changes->todo;
	copier->total += changes->todo << OVM_PAGE_SHIFT;
}

static struct ovm_error *update(struct ovm_copier *copier, const struct ovm_pages_file *file,
				struct target *target, struct ovm_copier_stats *stats)
{
	struct ovm_error *err;

	target->outsiders = file->outsiders;
	if (file->outsiders)
		ovm_page_store_distrust(&target->store);
	err = ovm_page_store_update(&target->store, file->runs, file->nr_runs, &target->changes);
	if (!err)
		count(copier, target, stats);
	return err;
}

static void begin(struct ovm_copier *copier, struct ovm_copier_stats *stats)
{
	*stats = (struct ovm_copier_stats){0};
	copier->before = 0;
	copier->total = 0;
}

struct ovm_error *ovm_copier_round(struct ovm_copier *copier, const struct ovm_pages *pages,
				   struct ovm_copier_stats *ret)
{
	_cleanup_free_ size_t *targets = NULL;
	struct ovm_error *err = find_targets(copier, pages, &targets);

	begin(copier, ret);
	for (size_t i = 0; i < pages->nr_files && !err; i++)
		if (!pages->files[i].outsiders)
			err = update(copier, &pages->files[i], &copier->targets[targets[i]], ret);
	/* What is copied under the pause needs it, too, and then is no time to read it. */
	for (size_t i = 0; i < pages->nr_files && !err; i++)
		err = open_parent(copier, &copier->targets[targets[i]]);
	for (size_t i = 0; i < pages->nr_files && !err; i++)
		if (!pages->files[i].outsiders)
			err = copy(copier, &copier->targets[targets[i]], false);
	return err;
}

/* ---- the end --------------------------------------------------------------------------------- */

static int32_t pid_of(const struct ovm_pages_file *file)
{
	return file->process ? file->process->pid : 0;
}

/* Update all stores, and see that nothing stands in the way. */
static struct ovm_error *update_all(struct ovm_copier *copier, const struct ovm_pages *pages,
				    const size_t *targets, struct ovm_copier_stats *stats)
{
	for (size_t i = 0; i < pages->nr_files; i++) {
		struct target *target = &copier->targets[targets[i]];
		struct ovm_error *err;

		err = update(copier, &pages->files[i], target, stats);
		if (!err && target->changes.first_blocked)
			err = ovm_pages_check_run(pid_of(&pages->files[i]),
						  target->changes.first_blocked);
		if (err)
			return err;
	}
	return NULL;
}

static void count_pages(const struct ovm_page_store *store, struct ovm_page_counts *counts)
{
	struct ovm_page_counts found = ovm_page_store_count(store);

	counts->written += found.written;
	counts->zero += found.zero;
	counts->parent += found.parent;
	counts->bytes += ovm_page_store_size(store);
}

static struct ovm_error *finish_file(struct ovm_copier *copier, struct target *target,
				     struct ovm_pages_file *file)
{
	struct ovm_page_store_map map;
	struct ovm_error *err = copy(copier, target, true);

	if (!err)
		err = ovm_page_store_pagemap(&target->store, &map);
	if (err)
		return err;
	file->id = target->id;
	file->number = target->number;
	file->entries = map.entries;
	file->nr_entries = map.nr;
	file->block_sizes = map.block_sizes;
	file->block_pages = copier->options.block_pages;
	return NULL;
}

struct ovm_error *ovm_copier_finish(struct ovm_copier *copier, struct ovm_pages *pages,
				    uint64_t max_left, struct ovm_copier_stats *ret, bool *done)
{
	_cleanup_free_ size_t *targets = NULL;
	struct ovm_error *err = find_targets(copier, pages, &targets);

	*done = false;
	begin(copier, ret);
	if (!err)
		err = update_all(copier, pages, targets, ret);
	if (err || ret->copied - ret->outsiders > max_left)
		return err;
	/* What is copied is what is counted, not what was found at first. */
	pages->private = pages->shmem = (struct ovm_page_counts){0};
	for (size_t i = 0; i < pages->nr_files && !err; i++) {
		struct target *target = &copier->targets[targets[i]];

		err = finish_file(copier, target, &pages->files[i]);
		count_pages(&target->store, target->shared ? &pages->shmem : &pages->private);
	}
	*done = !err;
	return err;
}

static struct ovm_error *arrange(struct ovm_copier *copier, struct target *target)
{
	int dir_fd = copier->options.dir_fd;
	_cleanup_close_ int from = -1, to = -1;
	char name[OVM_PAGES_NAME];
	struct ovm_error *err = open_target(copier, target, name, &from);

	if (!err)
		err = open_file(copier, arranged_name, O_WRONLY | O_CREAT | O_EXCL, &to);
	if (!err)
		err = ovm_page_store_arrange(&target->store, from, to, name);
	if (!err && renameat(dir_fd, arranged_name, dir_fd, name))
		err = ovm_error_errno(OVM_ERROR_OUTPUT, errno, name, "can't replace %s", name);
	return err;
}

struct ovm_error *ovm_copier_arrange(struct ovm_copier *copier)
{
	struct ovm_error *err = NULL;

	for (size_t i = 0; i < copier->nr && !err; i++)
		if (!ovm_page_store_arranged(&copier->targets[i].store))
			err = arrange(copier, &copier->targets[i]);
	return err;
}
