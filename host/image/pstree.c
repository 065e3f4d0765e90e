// SPDX-License-Identifier: GPL-2.0-only
#include "file.h"
#include "pool.h"
#include "proto/pstree.pb-c.h"
#include "vmi/cleanup.h"
#include "write.h"

static struct ovm_error *put_process(struct ovm_image_file *file,
				     const struct ovm_image_process *process, bool root)
{
	_cleanup_pool_ struct ovm_image_pool pool = {NULL};
	PstreeEntry entry = PSTREE_ENTRY__INIT;

	entry.pid = (uint32_t)process->rec->pid;
	entry.ppid = root ? 0 : (uint32_t)process->rec->ppid;
	entry.pgid = (uint32_t)process->rec->pgid;
	entry.sid = (uint32_t)process->rec->sid;
	entry.threads = ovm_image_alloc(&pool, process->nr_threads, sizeof(*entry.threads));
	if (!entry.threads)
		return ovm_error_no_memory();
	for (size_t i = 0; i < process->nr_threads; i++)
		entry.threads[entry.n_threads++] = (uint32_t)process->threads[i].rec->tid;
	return ovm_image_file_put(file, &entry.base);
}

struct ovm_error *ovm_image_write_pstree(const struct ovm_image_set *set, int dir_fd)
{
	_cleanup_image_file_ struct ovm_image_file *file = NULL;
	struct ovm_error *err = ovm_image_file_create(dir_fd, OVM_IMAGE_PSTREE, 0, &file);

	for (size_t i = 0; i < set->nr_processes && !err; i++)
		err = put_process(file, &set->processes[i], i == 0);
	if (err)
		return err;
	return ovm_image_file_finish(ovm_take_pointer(file));
}
