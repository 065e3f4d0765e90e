// SPDX-License-Identifier: GPL-2.0-only
/*
 * core-TID.img, one per thread; the leader's has the process too.
 */
#include "core.h"

#include "file.h"
#include "write.h"

static struct ovm_error *write_core(const struct ovm_image_job *job, size_t i, bool common_seccomp)
{
	_cleanup_pool_ struct ovm_image_pool pool = {NULL};
	const struct ovm_image_thread *thread = &job->process->threads[i];
	CoreEntry entry = CORE_ENTRY__INIT;
	bool leader = i == 0;

	entry.mtype = CORE_ENTRY__MARCH__X86_64;
	entry.thread_info = ovm_image_thread_info(&pool, thread);
	entry.thread_core = ovm_image_thread_core(&pool, thread, leader);
	/* A part of the process in another thread's image is an error on restore. */
	if (leader)
		entry.tc = ovm_image_task_core(&pool, job->process);
	if (!entry.thread_info || !entry.thread_core || (leader && !entry.tc))
		return ovm_error_no_memory();
	ovm_image_fill_seccomp(entry.thread_core, job->seccomp, thread->rec, common_seccomp,
			       leader);
	return ovm_image_file_write(job->dir_fd, OVM_IMAGE_CORE, (uint64_t)thread->rec->tid,
				    &entry.base);
}

struct ovm_error *ovm_image_write_zombie(const struct ovm_image_job *job)
{
	_cleanup_pool_ struct ovm_image_pool pool = {NULL};
	CoreEntry entry = CORE_ENTRY__INIT;

	entry.mtype = CORE_ENTRY__MARCH__X86_64;
	entry.tc = ovm_image_zombie_core(&pool, job->process);
	if (!entry.tc)
		return ovm_error_no_memory();
	return ovm_image_file_write(job->dir_fd, OVM_IMAGE_CORE, (uint64_t)job->process->rec->pid,
				    &entry.base);
}

struct ovm_error *ovm_image_write_cores(const struct ovm_image_job *job)
{
	bool common_seccomp = ovm_image_seccomp_is_common(job->process);
	struct ovm_error *err = NULL;

	for (size_t i = 0; i < job->process->nr_threads && !err; i++)
		err = write_core(job, i, common_seccomp);
	return err;
}
