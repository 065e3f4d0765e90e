// SPDX-License-Identifier: GPL-2.0-only
/* From what was taken to images. */
#include <stdlib.h>
#include <string.h>

#include "dump_private.h"
#include "state_images.h"
#include "vmi/cleanup.h"

enum { USER_CS = 0x33 };

static void warn(void *arg, const char *message)
{
	const struct ovm_dump *dump = arg;

	ovm_log(dump->ovm, OVM_LOG_WARNING, "%s", message);
}

static struct ovm_image_stats make_stats(const struct ovm_dump *dump)
{
	const struct ovm_dump_result *result = &dump->result;
	const struct ovm_page_counts *private = &dump->pages.private, *shmem = &dump->pages.shmem;
	const uint64_t shpages = shmem->written + shmem->zero + shmem->parent;
	uint64_t frozen_us = dump->frozen_at ? ovm_now_us() - dump->frozen_at : result->frozen_us;

	return (struct ovm_image_stats){
		.freezing_us = (uint32_t)(dump->freezer ? result->freeze_us : result->wait_us),
		.frozen_us = (uint32_t)(dump->freezer ? frozen_us : result->paused_us),
		.memdump_us = (uint32_t)(result->walk_us + result->copy_us),
		.memwrite_us = (uint32_t)result->copy_us,
		.pages_scanned = dump->pages.scanned - shpages,
		.pages_skipped_parent = private->parent,
		.pages_written = private->written,
		.shpages_scanned = shpages,
		.shpages_skipped_parent = shmem->parent,
		.shpages_written = shmem->written,
	};
}

/* Call @use on the image set that state and pages make. */
static struct ovm_error *with_image_set(struct ovm_dump *dump,
					struct ovm_error *(*use)(struct ovm_dump *dump,
								 const struct ovm_image_set *set))
{
	struct ovm_state_images images;
	struct ovm_error *err = ovm_state_images_init(&dump->state, &dump->pages, &images);

	if (err)
		return err;
	images.set.stats = make_stats(dump);
	images.set.tcp_established = dump->options.tcp_established;
	images.set.block_size = dump->options.block_size;
	images.set.nr_cpus = ovm_vm_info(dump->ovm->vm)->nr_vcpus;
	images.set.shell_job = dump->options.shell_job;
	images.set.externals = dump->options.externals;
	images.set.nr_externals = dump->options.nr_externals;
	images.set.warn = dump->warned ? NULL : warn;
	images.set.warn_arg = dump;
	err = use(dump, &images.set);
	ovm_state_images_deinit(&images);
	return err;
}

static struct ovm_error *check_images(struct ovm_dump *dump, const struct ovm_image_set *set)
{
	return ovm_image_check(set);
}

struct ovm_error *ovm_dump_check_images(struct ovm_dump *dump)
{
	struct ovm_error *err = with_image_set(dump, check_images);

	if (!err)
		dump->warned = true;
	return err;
}

/* Threads as they are in the guest, with registers and an extended state of no interest. */
static void fill_threads(const struct ovm_rec_process *process, const uint8_t *xsave,
			 struct ovm_image_thread *threads)
{
	for (const struct ovm_rec_thread *t = process->threads; t; t = t->next)
		*threads++ = (struct ovm_image_thread){
			.rec = t,
			.regs = {.cs = USER_CS},
			.xsave = xsave,
			.xsave_size = OVM_XSAVE_TILECFG,
		};
}

struct ovm_error *ovm_dump_check_tree(const struct ovm_dump *dump, const struct ovm_rec_tree *tree)
{
	static const uint8_t xsave[OVM_XSAVE_TILECFG];
	_cleanup_free_ struct ovm_image_process *processes =
		calloc(tree->nr_processes, sizeof(*processes));
	_cleanup_free_ struct ovm_image_thread *threads =
		calloc(tree->nr_threads, sizeof(*threads));
	struct ovm_image_set set = {
		.tree = tree,
		.processes = processes,
		.tcp_established = dump->options.tcp_established,
		.externals = dump->options.externals,
		.nr_externals = dump->options.nr_externals,
	};
	size_t nr_threads = 0;

	if (!processes || !threads)
		return ovm_error_no_memory();
	for (const struct ovm_rec_process *rec = tree->processes; rec; rec = rec->next) {
		fill_threads(rec, xsave, threads + nr_threads);
		processes[set.nr_processes++] = (struct ovm_image_process){
			.rec = rec,
			.threads = threads + nr_threads,
			.nr_threads = rec->nr_threads,
		};
		nr_threads += rec->nr_threads;
	}
	return ovm_image_check(&set);
}

static struct ovm_error *write_images(struct ovm_dump *dump, const struct ovm_image_set *set)
{
	return ovm_image_write(set, ovm_output_fd(dump->output));
}

static struct ovm_error *write_saved(void *arg, const struct ovm_rec_process *process,
				     uint64_t address, const void *bytes, size_t len, bool *done)
{
	const struct ovm_dump *dump = arg;

	return ovm_pages_patch(&dump->pages, ovm_output_fd(dump->output), process, address, bytes,
			       len, done);
}

static struct ovm_error *write_stats(struct ovm_dump *dump)
{
	const struct ovm_image_stats stats = make_stats(dump);

	return ovm_image_write_stats(&stats, ovm_output_fd(dump->output));
}

struct ovm_error *ovm_dump_write(struct ovm_dump *dump)
{
	uint64_t start = ovm_now_us();
	struct ovm_error *err;

	ovm_dump_progress(dump, OVM_PHASE_WRITE, 0, 0);
	err = ovm_copier_arrange(dump->copier);
	if (!err)
		err = ovm_state_apply_patches(dump->ovm, &dump->state, write_saved, dump);
	if (!err)
		err = with_image_set(dump, write_images);
	if (!err)
		err = write_stats(dump);
	if (!err)
		err = ovm_dump_check_stop(dump);
	if (!err)
		err = ovm_output_commit(dump->output);
	dump->result.write_us = ovm_now_us() - start;
	return err;
}
