/* SPDX-License-Identifier: GPL-2.0-only */
/* The writers, one per group of images. What they write has passed ovm_image_check(). */
#ifndef OVM_HOST_IMAGE_WRITE_H
#define OVM_HOST_IMAGE_WRITE_H

#include "file_table.h"
#include "image.h"
#include "seccomp.h"
#include "socket_table.h"

/** One process of a set, and where its images go. */
struct ovm_image_job {
	const struct ovm_image_process *process;
	const struct ovm_image_file_table *files;
	const struct ovm_image_seccomp_table *seccomp;
	int dir_fd;
};

/** The number of what a process of a set has for its own: address space, descriptors, ... */
uint32_t ovm_image_own_id(const struct ovm_rec_process *rec);

struct ovm_error *ovm_image_write_inventory(const struct ovm_image_set *set, int dir_fd);
struct ovm_error *ovm_image_write_seccomp(const struct ovm_image_seccomp_table *table, int dir_fd);
struct ovm_error *ovm_image_write_timens(const struct ovm_image_set *set, int dir_fd);
struct ovm_error *ovm_image_write_pstree(const struct ovm_image_set *set, int dir_fd);
struct ovm_error *ovm_image_write_files(const struct ovm_image_set *set,
					const struct ovm_image_file_table *files,
					const struct ovm_image_socket_table *sockets, int dir_fd);
/** sk-queues.img; nothing if all queues are empty. */
struct ovm_error *ovm_image_write_sk_queues(const struct ovm_image_file_table *files,
					    const struct ovm_image_socket_table *sockets,
					    int dir_fd);
/** tcp-stream-INO.img, one a connection. */
struct ovm_error *ovm_image_write_tcp_streams(const struct ovm_image_set *set,
					      const struct ovm_image_file_table *files, int dir_fd);
/** memfd.img; nothing if there is no such memory. */
struct ovm_error *ovm_image_write_memfd(const struct ovm_image_file_table *files, int dir_fd);
/** pipes-data.img and fifo-data.img, as far as there is something for them. */
struct ovm_error *ovm_image_write_pipes(const struct ovm_image_file_table *files, int dir_fd);
/** filelocks.img; nothing if there are no locks. */
struct ovm_error *ovm_image_write_file_locks(const struct ovm_image_set *set,
					     const struct ovm_image_file_table *files, int dir_fd);
/** ghost-file-ID.img and remap-fpath.img; nothing if all files have names. */
struct ovm_error *ovm_image_write_ghosts(const struct ovm_image_file_table *files, int dir_fd);
/** The images of an IPC namespace; nothing if it is the initial one. */
struct ovm_error *ovm_image_write_ipc(const struct ovm_image_set *set, int dir_fd);
/** tty-info.img and tty-data.img, as far as there is something for them. */
struct ovm_error *ovm_image_write_ttys(const struct ovm_image_set *set, int dir_fd);
/** The pagemaps of shared memory, of System V too. */
struct ovm_error *ovm_image_write_shmem(const struct ovm_image_set *set,
					const struct ovm_image_file_table *files, int dir_fd);

struct ovm_error *ovm_image_write_ids(const struct ovm_image_job *job);
struct ovm_error *ovm_image_write_cores(const struct ovm_image_job *job);
/** All that there is of a zombie. */
struct ovm_error *ovm_image_write_zombie(const struct ovm_image_job *job);
struct ovm_error *ovm_image_write_mm(const struct ovm_image_job *job);
struct ovm_error *ovm_image_write_fs(const struct ovm_image_job *job);
struct ovm_error *ovm_image_write_fdinfo(const struct ovm_image_job *job);
struct ovm_error *ovm_image_write_pagemap(const struct ovm_image_job *job);

#endif /* OVM_HOST_IMAGE_WRITE_H */
