// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "host/image/image.h"
#include "output.h"
#include "pages.h"
#include "state.h"
#include "vmi/pause.h"

enum {
	DEFAULT_TIMEOUT_MS = 5000,
	FIRST_PAGES_ID = 1,
};

/*
 * How long the guest runs on between two attempts, ms, by turns. They share no factor with the
 * periods of timer ticks, so that attempts don't meet the same point of a cycle each time; the long
 * ones are for a guest that has to catch up with its ticks before its processes run again.
 */
static const int backoffs_ms[] = {1, 2, 3, 7, 13, 29, 5, 11, 23, 47, 97};

enum { NR_BACKOFFS = sizeof(backoffs_ms) / sizeof(*backoffs_ms) };

struct dump {
	struct ovm *ovm;
	struct ovm_dump_options options;
	struct ovm_dump_result result;
	struct ovm_output *output;
	struct ovm_state state;
	struct ovm_pages pages;
	/* The caller's progress function asked to stop. */
	bool stopped_by_caller;
	struct ovm_pause *pause;
};

/* ---- progress and cancellation --------------------------------------------------------------- */

static void report_progress(struct dump *dump, enum ovm_phase phase, uint64_t done, uint64_t total)
{
	const struct ovm_progress progress = {.phase = phase, .done = done, .total = total};

	if (dump->options.progress && dump->options.progress(dump->options.progress_arg, &progress))
		dump->stopped_by_caller = true;
}

static bool dump_cancelled(void *arg)
{
	struct dump *dump = arg;

	return dump->stopped_by_caller || ovm_cancelled(dump->ovm);
}

static void pages_progressed(void *arg, uint64_t done, uint64_t total)
{
	report_progress(arg, OVM_PHASE_PAGES, done, total);
}

static struct ovm_error *check_stop(struct dump *dump)
{
	if (dump_cancelled(dump))
		return ovm_error_format(OVM_ERROR_CANCELLED, "interrupted; the guest runs on");
	return NULL;
}

/* ---- one attempt ----------------------------------------------------------------------------- */

static struct ovm_error *copy_pages(struct dump *dump)
{
	struct ovm_pages_copy_options options = {
		.dir_fd = ovm_output_fd(dump->output),
		.cancelled = dump_cancelled,
		.progress = pages_progressed,
		.arg = dump,
	};
	uint64_t start = ovm_now_us();
	struct ovm_error *err = ovm_pages_copy(dump->ovm->engine, &dump->pages, &options);

	dump->result.copy_us = ovm_now_us() - start;
	return err;
}

static struct ovm_image_shmem *make_shmem_images(const struct ovm_pages *pages)
{
	struct ovm_image_shmem *shmem = calloc(pages->nr_files, sizeof(*shmem));

	for (size_t i = 1; shmem && i < pages->nr_files; i++)
		shmem[i - 1] = (struct ovm_image_shmem){
			.rec = pages->files[i].shmem,
			.pagemap = {pages->files[i].entries, pages->files[i].list->nr_extents,
				    pages->files[i].id},
		};
	return shmem;
}

static void warn(void *arg, const char *message)
{
	const struct dump *dump = arg;

	ovm_log(dump->ovm, OVM_LOG_WARNING, "%s", message);
}

static struct ovm_image_stats make_stats(const struct dump *dump)
{
	const struct ovm_dump_result *result = &dump->result;

	return (struct ovm_image_stats){
		.freezing_us = (uint32_t)result->wait_us,
		.frozen_us = (uint32_t)result->paused_us,
		.memdump_us = (uint32_t)(result->walk_us + result->copy_us),
		.memwrite_us = (uint32_t)result->copy_us,
		.pages_scanned = dump->pages.scanned - dump->pages.shmem_pages,
		.pages_written = dump->pages.private_pages,
		.shpages_scanned = dump->pages.shmem_pages,
		.shpages_written = dump->pages.shmem_pages,
	};
}

/* Call @use on the image set that state and pages make; pagemaps are empty before the walk. */
static struct ovm_error *with_image_set(struct dump *dump,
					struct ovm_error *(*use)(struct dump *dump,
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
		.stats = make_stats(dump),
		.nr_cpus = ovm_vm_info(dump->ovm->vm)->nr_vcpus,
		.warn = warn,
		.warn_arg = dump,
	};
	struct ovm_image_shmem *shmem = NULL;

	if (dump->pages.nr_files) {
		const struct ovm_pages_file *file = &dump->pages.files[0];

		shmem = make_shmem_images(&dump->pages);
		if (!shmem)
			return ovm_error_no_memory();
		process.pagemap =
			(struct ovm_image_pagemap){file->entries, file->list->nr_extents, file->id};
		process.shmem = shmem;
		process.nr_shmem = dump->pages.nr_files - 1;
	}
	struct ovm_error *err = use(dump, &set);

	free(shmem);
	return err;
}

static struct ovm_error *check_images(struct dump *dump, const struct ovm_image_set *set)
{
	return ovm_image_check(set);
}

static struct ovm_error *write_images(struct dump *dump, const struct ovm_image_set *set)
{
	return ovm_image_write(set, ovm_output_fd(dump->output));
}

/* Everything that needs the guest to stand still. */
static struct ovm_error *take(struct dump *dump)
{
	struct ovm *ovm = dump->ovm;
	uint64_t start = ovm_now_us();
	struct ovm_error *err;

	report_progress(dump, OVM_PHASE_EXTRACT, 0, 0);
	err = ovm_state_take(ovm, dump->options.pid, &dump->state);
	if (!err)
		err = with_image_set(dump, check_images);
	dump->result.extract_us = ovm_now_us() - start;
	if (!err)
		err = check_stop(dump);
	if (err)
		return err;
	start = ovm_now_us();
	err = ovm_pages_plan(ovm->engine, ovm->kernel, dump->state.process, FIRST_PAGES_ID,
			     dump_cancelled, dump, &dump->pages);
	dump->result.walk_us = ovm_now_us() - start;
	return err ? err : copy_pages(dump);
}

static void forget_attempt(struct dump *dump)
{
	ovm_pages_deinit(&dump->pages);
	ovm_state_deinit(&dump->state);
}

/* Pause the VM, take the state, let it run on. */
static struct ovm_error *attempt(struct dump *dump)
{
	uint64_t start = ovm_now_us();
	struct ovm_error *err = ovm_pause_begin(dump->pause);

	if (err)
		return err;
	dump->result.attempts++;
	err = take(dump);

	struct ovm_error *resume_err = ovm_pause_end(dump->pause);

	dump->result.paused_us = ovm_now_us() - start;
	dump->result.paused_total_us += dump->result.paused_us;
	if (err)
		ovm_error_free(resume_err);
	else
		err = resume_err;
	if (err)
		forget_attempt(dump);
	return err;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static unsigned int timeout_ms(const struct dump *dump)
{
	return dump->options.timeout_ms ? dump->options.timeout_ms : DEFAULT_TIMEOUT_MS;
}

/* Attempt until the state is consistent. */
static struct ovm_error *attempt_until_consistent(struct dump *dump)
{
	uint64_t start = ovm_now_us();
	uint64_t deadline = start + (uint64_t)timeout_ms(dump) * 1000;
	int next = 0;

	for (;;) {
		uint64_t now = ovm_now_us();
		struct ovm_error *err = check_stop(dump);

		if (err)
			return err;
		report_progress(dump, OVM_PHASE_WAIT, 0, 0);
		err = attempt(dump);
		if (!err) {
			dump->result.wait_us = now - start;
			return NULL;
		}
		if (err->code != OVM_ERROR_INCONSISTENT)
			return err;
		ovm_log(dump->ovm, OVM_LOG_DEBUG, "not now: %s", err->message);
		int backoff = backoffs_ms[next];

		next = (next + 1) % NR_BACKOFFS;
		if (ovm_now_us() + (uint64_t)backoff * 1000 > deadline)
			return ovm_error_prepend(
				err,
				"no consistent state in %.1f s (%u attempts; try a "
				"longer --timeout)",
				timeout_ms(dump) / 1000.0, dump->result.attempts);
		ovm_error_free(err);
		err = ovm_qmp_sleep(ovm_vm_qmp(dump->ovm->vm), backoff);
		if (err)
			return err;
	}
}

static struct ovm_error *write_saved(void *arg, uint64_t address, const void *bytes, size_t len,
				     bool *done)
{
	const struct dump *dump = arg;

	return ovm_pages_patch(&dump->pages, ovm_output_fd(dump->output), address, bytes, len,
			       done);
}

static struct ovm_error *write_all(struct dump *dump)
{
	uint64_t start = ovm_now_us();
	struct ovm_error *err =
		ovm_state_apply_patches(dump->ovm, &dump->state, write_saved, dump);

	report_progress(dump, OVM_PHASE_WRITE, 0, 0);
	if (!err)
		err = with_image_set(dump, write_images);
	if (!err) {
		const struct ovm_image_stats stats = make_stats(dump);

		err = ovm_image_write_stats(&stats, ovm_output_fd(dump->output));
	}
	if (!err)
		err = check_stop(dump);
	if (!err)
		err = ovm_output_commit(dump->output);
	dump->result.write_us = ovm_now_us() - start;
	return err;
}

static struct ovm_error *check_options(const struct ovm_dump_options *options)
{
	if (options->pid <= 0)
		return ovm_error_format(OVM_ERROR_USAGE, "no process was given");
	if (!options->directory || !*options->directory)
		return ovm_error_format(OVM_ERROR_USAGE, "no image directory was given");
	if (options->leave == OVM_LEAVE_RUNNING)
		return NULL;
	return ovm_error_format(OVM_ERROR_USAGE,
				"this version can't %s the process after the dump: "
				"use -R (--leave-running)",
				options->leave == OVM_LEAVE_STOPPED ? "stop" : "kill");
}

static struct ovm_error *make_engine(struct ovm *ovm, const struct ovm_dump_options *options)
{
	static const enum ovm_backend backends[] = {
		[OVM_DUMP_BACKEND_AUTO] = OVM_BACKEND_AUTO,
		[OVM_DUMP_BACKEND_CPU] = OVM_BACKEND_CPU,
		[OVM_DUMP_BACKEND_CUDA] = OVM_BACKEND_CUDA,
	};
	struct ovm_engine_options engine_options = {
		.size = sizeof(engine_options),
		.nr_threads = options->nr_threads,
	};

	if ((size_t)options->backend >= sizeof(backends) / sizeof(*backends))
		return ovm_error_format(OVM_ERROR_USAGE, "there is no such page engine");
	engine_options.backend = backends[options->backend];
	ovm_engine_destroy(ovm->engine);
	ovm->engine = NULL;
	struct ovm_error *err = ovm_engine_create(&engine_options, &ovm->engine);

	return err ? err : ovm_engine_attach(ovm->engine, ovm_vm_memory(ovm->vm));
}

static void fill_result(const struct dump *dump, struct ovm_dump_result *result)
{
	size_t size = result->size;
	struct ovm_dump_result whole = dump->result;

	whole.size = size;
	memcpy(result, &whole, size < sizeof(whole) ? size : sizeof(whole));
}

struct ovm_error *ovm_dump(struct ovm *ovm, const struct ovm_dump_options *options,
			   struct ovm_dump_result *result)
{
	struct dump dump = {.ovm = ovm};
	uint64_t start = ovm_now_us();
	struct ovm_error *err = ovm_options_copy(&dump.options, sizeof(dump.options), options);

	if (!err)
		err = check_options(&dump.options);
	if (!err)
		err = make_engine(ovm, &dump.options);
	if (!err)
		err = ovm_output_begin(dump.options.directory, &dump.output);
	if (!err)
		err = ovm_pause_create(ovm->vm, &dump.pause);
	if (!err)
		err = attempt_until_consistent(&dump);
	ovm_pause_destroy(dump.pause);
	if (!err)
		err = write_all(&dump);
	if (!err && result) {
		dump.result.nr_processes = 1;
		dump.result.nr_threads = (uint32_t)dump.state.nr_threads;
		dump.result.pages_scanned = dump.pages.scanned;
		dump.result.pages_written = dump.pages.private_pages;
		dump.result.shmem_pages_written = dump.pages.shmem_pages;
		dump.result.bytes_written = (dump.pages.private_pages + dump.pages.shmem_pages)
					    << OVM_PAGE_SHIFT;
		dump.result.backend = ovm_engine_backend_name(ovm->engine);
		dump.result.total_us = ovm_now_us() - start;
		fill_result(&dump, result);
	}
	forget_attempt(&dump);
	ovm_output_end(dump.output);
	return err;
}
