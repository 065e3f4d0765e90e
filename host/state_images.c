// SPDX-License-Identifier: GPL-2.0-only
#include "state_images.h"

#include <stdlib.h>
#include <string.h>

static struct ovm_image_pagemap pagemap_of(const struct ovm_pages_file *file)
{
	return (struct ovm_image_pagemap){file->entries, file->nr_entries, file->id,
					  file->block_pages, file->number};
}

static void fill_processes(const struct ovm_state *state, const struct ovm_pages *pages,
			   struct ovm_image_process *processes)
{
	size_t next = 0;

	for (size_t i = 0; i < state->nr_processes; i++) {
		const struct ovm_state_process *process = &state->processes[i];

		processes[i] = (struct ovm_image_process){
			.rec = process->rec,
			.threads = process->threads,
			.nr_threads = process->nr_threads,
			.real = process->real,
			.virt = process->virt,
			.prof = process->prof,
			.posix_timers = process->posix_timers,
			.nr_posix_timers = process->nr_posix_timers,
		};
		if (next < pages->nr_private && !process->rec->zombie)
			processes[i].pagemap = pagemap_of(&pages->files[next++]);
	}
}

static void fill_shmem(const struct ovm_pages *pages, struct ovm_image_shmem *shmem)
{
	for (size_t i = pages->nr_private; i < pages->nr_files; i++)
		shmem[i - pages->nr_private] = (struct ovm_image_shmem){
			pages->files[i].shmem, pagemap_of(&pages->files[i])};
}

struct ovm_error *ovm_state_images_init(const struct ovm_state *state,
					const struct ovm_pages *pages, struct ovm_state_images *ret)
{
	size_t nr_shmem = pages->nr_files - pages->nr_private;

	ret->processes = calloc(state->nr_processes + 1, sizeof(*ret->processes));
	ret->shmem = calloc(nr_shmem + 1, sizeof(*ret->shmem));
	if (!ret->processes || !ret->shmem) {
		ovm_state_images_deinit(ret);
		return ovm_error_no_memory();
	}
	fill_processes(state, pages, ret->processes);
	fill_shmem(pages, ret->shmem);
	ret->set = (struct ovm_image_set){
		.tree = state->tree,
		.processes = ret->processes,
		.nr_processes = state->nr_processes,
		.shmem = ret->shmem,
		.nr_shmem = nr_shmem,
		.clock_monotonic = state->clock.monotonic,
		.clock_boottime = state->clock.boottime,
		.clock_realtime = state->clock.realtime,
	};
	return NULL;
}

void ovm_state_images_deinit(struct ovm_state_images *images)
{
	free(images->processes);
	free(images->shmem);
	memset(images, 0, sizeof(*images));
}
