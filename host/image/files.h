/* SPDX-License-Identifier: GPL-2.0-only */
/* Entries of files.img, by kind. */
#ifndef OVM_HOST_IMAGE_FILES_H
#define OVM_HOST_IMAGE_FILES_H

#include "epoll.h"
#include "file.h"
#include "file_table.h"
#include "image.h"
#include "proto/files.pb-c.h"
#include "socket_table.h"

enum {
	/** The kernel's values (asm-generic/fcntl.h); libc has 0 for some. */
	OVM_IMAGE_O_DIRECT = 040000,
	OVM_IMAGE_O_LARGEFILE = 0100000,
};

/** What a file is called in messages: "pipe", "io_uring instance". */
const char *ovm_image_kind_name(const struct ovm_rec_file *file);

/** What entries have in common; of files that are opened by their path only, the id. */
struct ovm_image_file_parts {
	uint32_t id, flags;
	uint64_t pos;
	FownEntry fown;
};

struct ovm_error *ovm_image_put_pipe(struct ovm_image_file *image,
				     struct ovm_image_file_parts *parts,
				     const struct ovm_image_pipe *pipe);
/** The entry of a FIFO, which has another one of the same id for its path. */
struct ovm_error *ovm_image_put_fifo(struct ovm_image_file *image,
				     const struct ovm_image_file_parts *parts,
				     const struct ovm_image_pipe *pipe);
struct ovm_error *ovm_image_put_eventfd(struct ovm_image_file *image,
					struct ovm_image_file_parts *parts,
					const struct ovm_rec_eventfd *eventfd);
/** @set tells what time it is. */
struct ovm_error *ovm_image_put_timerfd(struct ovm_image_file *image,
					struct ovm_image_file_parts *parts,
					const struct ovm_rec_timerfd *timerfd,
					const struct ovm_image_set *set);

/** @table tells which descriptors lead to what it waits for. */
struct ovm_error *ovm_image_put_epoll(struct ovm_image_file *image,
				      struct ovm_image_file_parts *parts,
				      const struct ovm_rec_file *file,
				      struct ovm_image_epoll_table *table);
struct ovm_error *ovm_image_put_signalfd(struct ovm_image_file *image,
					 struct ovm_image_file_parts *parts,
					 const struct ovm_rec_signalfd *signalfd);

/** The entry of a terminal, which has another one of the same id for its path. */
struct ovm_error *ovm_image_put_tty(struct ovm_image_file *image,
				    struct ovm_image_file_parts *parts,
				    const struct ovm_rec_file *file);

struct ovm_error *ovm_image_put_unix_socket(struct ovm_image_file *image,
					    struct ovm_image_file_parts *parts,
					    const struct ovm_image_socket *socket);

struct ovm_error *ovm_image_put_inet_socket(struct ovm_image_file *image,
					    struct ovm_image_file_parts *parts,
					    const struct ovm_rec_file *file);
struct ovm_error *ovm_image_put_inotify(struct ovm_image_file *image,
					struct ovm_image_file_parts *parts,
					const struct ovm_rec_file *file);
struct ovm_error *ovm_image_put_fanotify(struct ovm_image_file *image,
					 struct ovm_image_file_parts *parts,
					 const struct ovm_rec_file *file);
struct ovm_error *ovm_image_put_netlink(struct ovm_image_file *image,
					struct ovm_image_file_parts *parts,
					const struct ovm_rec_file *file);
struct ovm_error *ovm_image_put_packet_socket(struct ovm_image_file *image,
					      struct ovm_image_file_parts *parts,
					      const struct ovm_rec_file *file);

/*
 * Why a file of each kind can't be represented: a phrase such as "is a semaphore", or NULL.
 */
const char *ovm_image_pipe_problem(const struct ovm_rec_file *file);
const char *ovm_image_eventfd_problem(const struct ovm_rec_file *file);
const char *ovm_image_timerfd_problem(const struct ovm_rec_file *file);
const char *ovm_image_epoll_problem(const struct ovm_rec_file *file);
const char *ovm_image_signalfd_problem(const struct ovm_rec_file *file);
const char *ovm_image_fsnotify_problem(const struct ovm_rec_file *file);
/** What CRIU does not restore of an instance without a problem; or NULL. */
const char *ovm_image_fsnotify_loss(const struct ovm_rec_file *file);
const char *ovm_image_netlink_problem(const struct ovm_rec_socket *socket);
const char *ovm_image_packet_socket_problem(const struct ovm_rec_socket *socket);
/** Of a file that has no name any more, and content that was collected. */
const char *ovm_image_ghost_problem(const struct ovm_rec_file *file);

/** Whether a process that has a file open holds a lock on it, alone or with others. */
bool ovm_image_holds_lock(const struct ovm_rec_process *process,
			  const struct ovm_rec_file_lock *lock);

/** Why a lock on a file can't be represented, but for what it depends on beside the lock. */
const char *ovm_image_file_lock_problem(const struct ovm_rec_file_lock *lock);

#endif /* OVM_HOST_IMAGE_FILES_H */
