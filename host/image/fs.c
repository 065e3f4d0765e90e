// SPDX-License-Identifier: GPL-2.0-only
#include "file.h"
#include "proto/fs.pb-c.h"
#include "write.h"

struct ovm_error *ovm_image_write_fs(const struct ovm_image_job *job)
{
	const struct ovm_rec_fs *fs = &job->process->rec->fs;
	FsEntry entry = FS_ENTRY__INIT;

	entry.cwd_id = ovm_image_file_id(job->files, fs->cwd, OVM_IMAGE_FILE_PATH);
	entry.root_id = ovm_image_file_id(job->files, fs->root, OVM_IMAGE_FILE_PATH);
	entry.has_umask = true;
	entry.umask = fs->umask;
	return ovm_image_file_write(job->dir_fd, OVM_IMAGE_FS, (uint64_t)job->process->rec->pid,
				    &entry.base);
}
