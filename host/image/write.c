// SPDX-License-Identifier: GPL-2.0-only
#include "write.h"

#include "check.h"

enum {
	/* Numbers up to this one are those of the (imagined) process that made the images. */
	MAKER_ID = 1,
};

uint32_t ovm_image_own_id(const struct ovm_rec_process *rec)
{
	return rec->index + MAKER_ID + 1;
}

static struct ovm_error *write_living(const struct ovm_image_job *job)
{
	static struct ovm_error *(*const writers[])(const struct ovm_image_job *job) = {
		ovm_image_write_ids, ovm_image_write_cores,  ovm_image_write_mm,
		ovm_image_write_fs,  ovm_image_write_fdinfo, ovm_image_write_pagemap,
	};
	struct ovm_error *err = NULL;

	for (size_t i = 0; i < sizeof(writers) / sizeof(writers[0]) && !err; i++)
		err = writers[i](job);
	return err;
}

static struct ovm_error *write_process(const struct ovm_image_job *job)
{
	return job->process->rec->zombie ? ovm_image_write_zombie(job) : write_living(job);
}

static struct ovm_error *write_files(const struct ovm_image_set *set,
				     const struct ovm_image_file_table *files, int dir_fd)
{
	struct ovm_image_socket_table *sockets;
	struct ovm_error *err = ovm_image_socket_table_create(set, &sockets);

	if (!err)
		err = ovm_image_write_files(set, files, sockets, dir_fd);
	if (!err)
		err = ovm_image_write_sk_queues(files, sockets, dir_fd);
	if (!err)
		err = ovm_image_write_tcp_streams(set, files, dir_fd);
	ovm_image_socket_table_destroy(sockets);
	return err;
}

static struct ovm_error *write_shared(const struct ovm_image_set *set,
				      const struct ovm_image_file_table *files,
				      const struct ovm_image_seccomp_table *seccomp, int dir_fd)
{
	struct ovm_error *err = write_files(set, files, dir_fd);

	if (!err)
		err = ovm_image_write_pipes(files, dir_fd);
	if (!err)
		err = ovm_image_write_file_locks(set, files, dir_fd);
	if (!err)
		err = ovm_image_write_ghosts(files, dir_fd);
	if (!err)
		err = ovm_image_write_ttys(set, dir_fd);
	if (!err)
		err = ovm_image_write_memfd(files, dir_fd);
	if (!err)
		err = ovm_image_write_shmem(set, files, dir_fd);
	if (!err)
		err = ovm_image_write_ipc(set, dir_fd);
	if (!err)
		err = ovm_image_write_pstree(set, dir_fd);
	if (!err)
		err = ovm_image_write_seccomp(seccomp, dir_fd);
	if (!err)
		err = ovm_image_write_timens(set, dir_fd);
	return err;
}

struct ovm_error *ovm_image_write(const struct ovm_image_set *set, int dir_fd)
{
	struct ovm_image_file_table *files = NULL;
	struct ovm_image_seccomp_table *seccomp = NULL;
	struct ovm_error *err = ovm_image_refuse(set);

	if (!err)
		err = ovm_image_file_table_create(set, &files);
	if (!err)
		err = ovm_image_seccomp_table_create(set, &seccomp);
	for (size_t i = 0; i < set->nr_processes && !err; i++)
		err = write_process(&(struct ovm_image_job){
			.process = &set->processes[i],
			.files = files,
			.seccomp = seccomp,
			.dir_fd = dir_fd,
		});
	if (!err)
		err = write_shared(set, files, seccomp, dir_fd);
	/* Last: without it, CRIU takes nothing in the directory for images. */
	if (!err)
		err = ovm_image_write_inventory(set, dir_fd);
	ovm_image_seccomp_table_destroy(seccomp);
	ovm_image_file_table_destroy(files);
	return err;
}
