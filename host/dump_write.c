// SPDX-License-Identifier: GPL-2.0-only
/* From what was taken to images. */
#include <stdlib.h>
#include <string.h>

#include "dump_private.h"

enum { USER_CS = 0x33 };

static struct ovm_image_shmem *make_shmem_images(const struct ovm_pages *pages)
{
	struct ovm_image_shmem *shmem = calloc(pages->nr_files, sizeof(*shmem));

	for (size_t i = 1; shmem && i < pages->nr_files; i++)
		shmem[i - 1] = (struct ovm_image_shmem){
			.rec = pages->files[i].shmem,
			.pagemap = {pages->files[i].entries, pages->files[i].nr_entries,
				    pages->files[i].id},
		};
	return shmem;
}

static void warn(void *arg, const char *message)
{
	const struct ovm_dump *dump = arg;

	ovm_log(dump->ovm, OVM_LOG_WARNING, "%s", message);
}

static struct ovm_image_stats make_stats(const struct ovm_dump *dump)
{
	const struct ovm_dump_result *result = &dump->result;
	uint64_t frozen_us = dump->frozen_at ? ovm_now_us() - dump->frozen_at : result->frozen_us;

	return (struct ovm_image_stats){
		.freezing_us = (uint32_t)(dump->freezer ? result->freeze_us : result->wait_us),
		.frozen_us = (uint32_t)(dump->freezer ? frozen_us : result->paused_us),
		.memdump_us = (uint32_t)(result->walk_us + result->copy_us),
		.memwrite_us = (uint32_t)result->copy_us,
		.pages_scanned = dump->pages.scanned - dump->pages.shmem_pages,
		.pages_written = dump->pages.private_pages,
		.shpages_scanned = dump->pages.shmem_pages,
		.shpages_written = dump->pages.shmem_pages,
	};
}

/* Call @use on the image set that state and pages make; pagemaps are empty before the walk. */
static struct ovm_error *with_image_set(struct ovm_dump *dump,
					struct ovm_error *(*use)(struct ovm_dump *dump,
								 const struct ovm_image_set *set))
{
	const struct ovm_state *state = &dump->state;
	struct ovm_image_process process = {
		.rec = state->process,
		.threads = state->threads,
		.nr_threads = state->nr_threads,
		.real = state->real,
		.virt = state->virt,
		.prof = state->prof,
		.posix_timers = state->posix_timers,
		.nr_posix_timers = state->nr_posix_timers,
	};
	struct ovm_image_set set = {
		.processes = &process,
		.nr_processes = 1,
		.clock_monotonic = state->clock.monotonic,
		.clock_boottime = state->clock.boottime,
		.clock_realtime = state->clock.realtime,
		.stats = make_stats(dump),
		.nr_cpus = ovm_vm_info(dump->ovm->vm)->nr_vcpus,
		.warn = dump->warned ? NULL : warn,
		.warn_arg = dump,
	};
	struct ovm_image_shmem *shmem = NULL;

	if (dump->pages.nr_files) {
		const struct ovm_pages_file *file = &dump->pages.files[0];

		shmem = make_shmem_images(&dump->pages);
		if (!shmem)
			return ovm_error_no_memory();
		process.pagemap =
			(struct ovm_image_pagemap){file->entries, file->nr_entries, file->id};
		process.shmem = shmem;
		process.nr_shmem = dump->pages.nr_files - 1;
	}
	struct ovm_error *err = use(dump, &set);

	free(shmem);
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
static struct ovm_image_thread *make_threads(const struct ovm_rec_process *process,
					     const uint8_t *xsave, size_t *ret_nr)
{
	struct ovm_image_thread *threads;
	size_t nr = 0;

	for (const struct ovm_rec_thread *t = process->threads; t; t = t->next)
		nr++;
	threads = calloc(nr + 1, sizeof(*threads));
	if (!threads)
		return NULL;
	nr = 0;
	for (const struct ovm_rec_thread *t = process->threads; t; t = t->next)
		threads[nr++] = (struct ovm_image_thread){
			.rec = t,
			.regs = {.cs = USER_CS},
			.xsave = xsave,
			.xsave_size = OVM_XSAVE_TILECFG,
		};
	*ret_nr = nr;
	return threads;
}

struct ovm_error *ovm_dump_check_process(const struct ovm_rec_process *process)
{
	static const uint8_t xsave[OVM_XSAVE_TILECFG];
	struct ovm_image_process image = {.rec = process};
	const struct ovm_image_set set = {.processes = &image, .nr_processes = 1};
	struct ovm_image_thread *threads = make_threads(process, xsave, &image.nr_threads);

	if (!threads)
		return ovm_error_no_memory();
	image.threads = threads;
	struct ovm_error *err = ovm_image_check(&set);

	free(threads);
	return err;
}

static struct ovm_error *write_images(struct ovm_dump *dump, const struct ovm_image_set *set)
{
	return ovm_image_write(set, ovm_output_fd(dump->output));
}

static struct ovm_error *write_saved(void *arg, uint64_t address, const void *bytes, size_t len,
				     bool *done)
{
	const struct ovm_dump *dump = arg;

	return ovm_pages_patch(&dump->pages, ovm_output_fd(dump->output), address, bytes, len,
			       done);
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
