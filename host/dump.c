// SPDX-License-Identifier: GPL-2.0-only
#include <string.h>

#include "dump_private.h"
#include "image/external.h"
#include "kernels-cuda/pack.h"

enum {
	DEFAULT_TIMEOUT_MS = 5000,
	FIRST_PAGES_ID = 1,
};

/* ---- progress and cancellation --------------------------------------------------------------- */

void ovm_dump_progress(struct ovm_dump *dump, enum ovm_phase phase, uint64_t done, uint64_t total)
{
	const struct ovm_progress progress = {.phase = phase, .done = done, .total = total};

	if (dump->options.progress && dump->options.progress(dump->options.progress_arg, &progress))
		dump->stopped_by_caller = true;
}

bool ovm_dump_cancelled(void *arg)
{
	struct ovm_dump *dump = arg;

	return dump->stopped_by_caller || ovm_cancelled(dump->ovm);
}

struct ovm_error *ovm_dump_check_stop(struct ovm_dump *dump)
{
	if (ovm_dump_cancelled(dump))
		return ovm_error_format(OVM_ERROR_CANCELLED, "interrupted; the guest runs on");
	return NULL;
}

unsigned int ovm_dump_timeout_ms(const struct ovm_dump *dump)
{
	return dump->options.timeout_ms ? dump->options.timeout_ms : DEFAULT_TIMEOUT_MS;
}

static void pages_progressed(void *arg, uint64_t done, uint64_t total)
{
	ovm_dump_progress(arg, OVM_PHASE_PAGES, done, total);
}

/* ---- preparation ----------------------------------------------------------------------------- */

static struct ovm_error *check_options(const struct ovm_dump_options *options)
{
	if (options->pid <= 0)
		return ovm_error_format(OVM_ERROR_USAGE, "no process was given");
	if (!options->directory || !*options->directory)
		return ovm_error_format(OVM_ERROR_USAGE, "no image directory was given");
	if ((unsigned int)options->leave > OVM_LEAVE_STOPPED)
		return ovm_error_format(OVM_ERROR_USAGE, "there is no such way to leave a process");
	if (options->read_only && options->leave != OVM_LEAVE_RUNNING)
		return ovm_error_format(OVM_ERROR_USAGE,
					"a dump that writes nothing into the guest can't %s the "
					"process: use -R (--leave-running) with --read-only",
					options->leave == OVM_LEAVE_STOPPED ? "stop" : "kill");
	if (options->block_size % OVM_PAGE_SIZE ||
	    options->block_size >> OVM_PAGE_SHIFT > OVM_PACK_MAX_BLOCK_PAGES)
		return ovm_error_format(OVM_ERROR_USAGE,
					"what is compressed at a time is a multiple of 4 KiB, up "
					"to 4 MiB");
	for (size_t i = 0; i < options->nr_externals; i++)
		if (!ovm_image_is_external_name(options->externals[i]))
			return ovm_error_format(OVM_ERROR_USAGE,
						"what leads out is named unix[INODE] or "
						"pipe[INODE], not '%s'",
						options->externals[i]);
	return NULL;
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
	/* What the last dump has found out, and mapped into a device, is as good for this one. */
	if (ovm->engine && ovm_engine_is_like(ovm->engine, &engine_options))
		return NULL;
	ovm_engine_destroy(ovm->engine);
	ovm->engine = NULL;
	struct ovm_error *err = ovm_engine_create(&engine_options, &ovm->engine);

	if (!err)
		err = ovm_engine_attach(ovm->engine, ovm_vm_memory(ovm->vm));
	if (err) {
		ovm_engine_destroy(ovm->engine);
		ovm->engine = NULL;
	}
	if (!err && ovm_engine_reason(ovm->engine))
		ovm_log(ovm, OVM_LOG_INFO, "pages are copied by the CPU: %s",
			ovm_engine_reason(ovm->engine));
	return err;
}

static struct ovm_error *make_copier(struct ovm_dump *dump)
{
	dump->copier_options = (struct ovm_copier_options){
		.engine = dump->ovm->engine,
		.dir_fd = ovm_output_fd(dump->output),
		.first_id = FIRST_PAGES_ID,
		.skip_zero = dump->options.skip_zero,
		.block_pages = dump->options.block_size >> OVM_PAGE_SHIFT,
		.parent = dump->parent,
		.cancelled = ovm_dump_cancelled,
		.progress = pages_progressed,
		.arg = dump,
	};

	return ovm_copier_create(&dump->copier_options, &dump->copier);
}

static struct ovm_error *open_parent(struct ovm_dump *dump)
{
	const char *directory = dump->options.parent_directory;
	struct ovm_error *err = directory ? ovm_parent_open(directory, &dump->parent) : NULL;

	if (!err && directory && ovm_parent_is_compressed(dump->parent) &&
	    !dump->options.block_size)
		err = ovm_error_format(OVM_ERROR_USAGE,
				       "the images in %s are compressed: those that leave pages to "
				       "them have to be, too (--compress), as a CRIU that reads "
				       "neither would take the one for the other",
				       directory);
	if (!err && directory)
		err = ovm_output_link(dump->output, "parent", directory);
	return err;
}

static struct ovm_error *prepare(struct ovm_dump *dump)
{
	struct ovm_error *err = make_engine(dump->ovm, &dump->options);

	if (!err)
		err = ovm_output_begin(dump->options.directory, &dump->output);
	if (!err)
		err = open_parent(dump);
	if (!err)
		err = make_copier(dump);
	return err ? err : ovm_dump_prepare(dump);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void fill_result(struct ovm_dump *dump, uint64_t start, struct ovm_dump_result *result)
{
	const struct ovm_page_counts *private = &dump->pages.private, *shmem = &dump->pages.shmem;
	struct ovm_dump_result *whole = &dump->result;
	size_t size = result->size;

	whole->size = size;
	whole->nr_processes = dump->state.tree->nr_processes;
	whole->nr_threads = dump->state.tree->nr_threads;
	whole->pages_scanned = dump->pages.scanned;
	whole->pages_written = private->written;
	whole->shmem_pages_written = shmem->written;
	whole->bytes_written = private->bytes + shmem->bytes;
	whole->zero_pages = private->zero + shmem->zero;
	whole->parent_pages = private->parent + shmem->parent;
	whole->backend = ovm_engine_backend_name(dump->ovm->engine);
	whole->method = dump->freezer ? "frozen" : "paused";
	whole->total_us = ovm_now_us() - start;
	memcpy(result, whole, size < sizeof(*whole) ? size : sizeof(*whole));
}

/* A process that is to run on does so as soon as all is taken; others wait for the images. */
static struct ovm_error *run(struct ovm_dump *dump)
{
	struct ovm_error *err = ovm_dump_take(dump);

	if (!err && dump->options.leave == OVM_LEAVE_RUNNING)
		err = ovm_dump_thaw(dump);
	if (!err)
		err = ovm_dump_write(dump);
	return err ? err : ovm_dump_leave(dump);
}

/* A GPU that failed half-way is no reason for a dump to fail, but for somebody to look at it. */
static void warn_of_device(struct ovm_dump *dump)
{
	const struct ovm_engine *engine = dump->ovm->engine;

	if (engine && ovm_engine_gave_up(engine))
		ovm_log(dump->ovm, OVM_LOG_WARNING,
			"the GPU failed, and the CPU did what it was asked: %s",
			ovm_engine_reason(engine));
}

struct ovm_error *ovm_dump(struct ovm *ovm, const struct ovm_dump_options *options,
			   struct ovm_dump_result *result)
{
	struct ovm_dump dump = {.ovm = ovm};
	uint64_t start = ovm_now_us();
	struct ovm_error *err = ovm_options_copy(&dump.options, sizeof(dump.options), options);

	if (!err)
		err = check_options(&dump.options);
	if (!err) {
		ovm->ghost_limit = dump.options.ghost_limit ? dump.options.ghost_limit
							    : OVM_DEFAULT_GHOST_LIMIT;
		err = prepare(&dump);
	}
	if (!err)
		err = run(&dump);
	warn_of_device(&dump);
	if (!err && result)
		fill_result(&dump, start, result);
	ovm_dump_release(&dump);
	ovm_dump_forget(&dump);
	ovm_copier_destroy(dump.copier);
	ovm_parent_close(dump.parent);
	ovm_output_end(dump.output);
	return err;
}
