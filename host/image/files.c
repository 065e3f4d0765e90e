// SPDX-License-Identifier: GPL-2.0-only
/*
 * files.img, one entry per file, and fdinfo-ID.img, one per descriptor.
 */
#include <sys/stat.h>

#include "external.h"
#include "files.h"
#include "inet_socket.h"
#include "pool.h"
#include "socket_table.h"
#include "vmi/cleanup.h"
#include "write.h"

enum {
	/* The kernel's values (asm-generic/fcntl.h); libc has 0 for some. */
	K_O_ACCMODE = 03,
	K_O_WRONLY = 01,
	K_O_APPEND = 02000,
	/* O_CREAT, O_EXCL, O_NOCTTY and O_TRUNC act on open(2) only; O_CLOEXEC is the descriptor's.
	 */
	K_O_NOT_KEPT = 0100 | 0200 | 0400 | 01000 | 02000000,
	/* Up to O_TMPFILE, which CRIU takes out when it opens a file; beyond are the kernel's own.
	 */
	K_O_USER = 037777777,
	MEM_MAJOR = 1,
	KMSG_MINOR = 11,
	FD_CLOSE_ON_EXEC = 1,
};

static uint32_t open_flags(const struct ovm_rec_file *file)
{
	return file->flags & K_O_USER & ~(uint32_t)K_O_NOT_KEPT;
}

static FdTypes socket_type(const struct ovm_rec_socket *socket)
{
	if (socket->inet)
		return FD_TYPES__INETSK;
	if (socket->netlink)
		return FD_TYPES__NETLINKSK;
	return socket->packet_socket ? FD_TYPES__PACKETSK : FD_TYPES__UNIXSK;
}

static FdTypes fd_type(const struct ovm_rec_file *file)
{
	switch (file->kind) {
	case OVM_REC_FILE_PIPE:
		return FD_TYPES__PIPE;
	case OVM_REC_FILE_FIFO:
		return FD_TYPES__FIFO;
	case OVM_REC_FILE_EVENTFD:
		return FD_TYPES__EVENTFD;
	case OVM_REC_FILE_TIMERFD:
		return FD_TYPES__TIMERFD;
	case OVM_REC_FILE_EPOLL:
		return FD_TYPES__EVENTPOLL;
	case OVM_REC_FILE_SIGNALFD:
		return FD_TYPES__SIGNALFD;
	case OVM_REC_FILE_TTY:
		return FD_TYPES__TTY;
	case OVM_REC_FILE_INOTIFY:
		return FD_TYPES__INOTIFY;
	case OVM_REC_FILE_FANOTIFY:
		return FD_TYPES__FANOTIFY;
	case OVM_REC_FILE_SOCKET:
		return socket_type(file->socket);
	default:
		return ovm_image_file_is_memory(file) ? FD_TYPES__MEMFD : FD_TYPES__REG;
	}
}

static void fill_owner(FownEntry *fown, const struct ovm_rec_file *file)
{
	fown->signum = (uint32_t)file->owner_signum;
	if (!file->owner_pid)
		return;
	fown->pid = (uint32_t)file->owner_pid;
	fown->pid_type = file->owner_pid_type;
	fown->uid = file->owner_uid;
	fown->euid = file->owner_euid;
}

/* A size that differs on restore is an error; that of a log file may. */
static bool has_fixed_size(uint32_t mode, uint32_t flags)
{
	return S_ISREG(mode) && !((flags & K_O_ACCMODE) == K_O_WRONLY && (flags & K_O_APPEND));
}

/* /dev/kmsg has no position, and refuses to have one set when opened for writing only. */
static uint64_t position(const struct ovm_rec_file *file, uint32_t flags)
{
	bool kmsg = file->kind == OVM_REC_FILE_CHRDEV_MEM && file->rdev_major == MEM_MAJOR &&
		    file->rdev_minor == KMSG_MINOR;

	return kmsg && (flags & K_O_ACCMODE) == K_O_WRONLY && !file->pos ? UINT64_MAX : file->pos;
}

static struct ovm_error *put_regular(struct ovm_image_file *image,
				     struct ovm_image_file_parts *parts,
				     const struct ovm_rec_file *file)
{
	_cleanup_pool_ struct ovm_image_pool pool = {NULL};
	FileEntry entry = FILE_ENTRY__INIT;
	RegFileEntry reg = REG_FILE_ENTRY__INIT;

	reg.id = parts->id;
	reg.flags = parts->flags;
	reg.pos = parts->pos;
	reg.fown = &parts->fown;
	reg.name = ovm_image_string(&pool, file->path.data, file->path.len);
	if (!reg.name)
		return ovm_error_no_memory();
	reg.has_size = has_fixed_size(file->mode, parts->flags);
	reg.size = file->size;
	reg.has_mode = true;
	reg.mode = file->mode;
	entry.type = FD_TYPES__REG;
	entry.id = parts->id;
	entry.reg = &reg;
	return ovm_image_file_put(image, &entry.base);
}

static struct ovm_error *put_memfd(struct ovm_image_file *image, struct ovm_image_file_parts *parts,
				   const struct ovm_image_object *object)
{
	FileEntry entry = FILE_ENTRY__INIT;
	MemfdFileEntry memfd = MEMFD_FILE_ENTRY__INIT;

	memfd.id = parts->id;
	memfd.flags = parts->flags;
	memfd.pos = parts->pos;
	memfd.fown = &parts->fown;
	memfd.inode_id = object->inode_id;
	entry.type = FD_TYPES__MEMFD;
	entry.id = parts->id;
	entry.memfd = &memfd;
	return ovm_image_file_put(image, &entry.base);
}

static struct ovm_error *put_fifo(struct ovm_image_file *image, struct ovm_image_file_parts *parts,
				  const struct ovm_rec_file *file,
				  const struct ovm_image_file_table *files)
{
	struct ovm_error *err = put_regular(image, parts, file);

	return err ? err : ovm_image_put_fifo(image, parts, ovm_image_pipe_find(files, file->pipe));
}

static struct ovm_error *put_tty(struct ovm_image_file *image, struct ovm_image_file_parts *parts,
				 const struct ovm_rec_file *file)
{
	struct ovm_error *err = put_regular(image, parts, file);

	return err ? err : ovm_image_put_tty(image, parts, file);
}

/* A file that is opened by its path only has neither flags nor position nor owner. */
static struct ovm_error *put_path(struct ovm_image_file *image,
				  const struct ovm_image_file_table *files,
				  const struct ovm_image_file_ref *ref)
{
	struct ovm_image_file_parts parts = {.id = (uint32_t)ref->order + 1,
					     .fown = FOWN_ENTRY__INIT};

	if (!ovm_image_file_is_memory(ref->file))
		return put_regular(image, &parts, ref->file);
	return put_memfd(image, &parts, ovm_image_object_find(files, ref->file->inode));
}

static struct ovm_error *put_descriptor(struct ovm_image_file *image,
					const struct ovm_image_set *set,
					const struct ovm_image_file_table *files,
					struct ovm_image_epoll_table *epolls,
					const struct ovm_image_file_ref *ref)
{
	const struct ovm_rec_file *file = ref->file;
	struct ovm_image_file_parts parts = {.id = (uint32_t)ref->order + 1,
					     .flags = open_flags(file),
					     .fown = FOWN_ENTRY__INIT};

	parts.pos = position(file, parts.flags);
	fill_owner(&parts.fown, file);
	switch (fd_type(file)) {
	case FD_TYPES__PIPE:
		return ovm_image_put_pipe(image, &parts, ovm_image_pipe_find(files, file->pipe));
	case FD_TYPES__FIFO:
		return put_fifo(image, &parts, file, files);
	case FD_TYPES__EVENTFD:
		return ovm_image_put_eventfd(image, &parts, file->eventfd);
	case FD_TYPES__TIMERFD:
		return ovm_image_put_timerfd(image, &parts, file->timerfd, set);
	case FD_TYPES__EVENTPOLL:
		return ovm_image_put_epoll(image, &parts, file, epolls);
	case FD_TYPES__SIGNALFD:
		return ovm_image_put_signalfd(image, &parts, file->signalfd);
	case FD_TYPES__INETSK:
		return ovm_image_put_inet_socket(image, &parts, file);
	case FD_TYPES__TTY:
		return put_tty(image, &parts, file);
	case FD_TYPES__INOTIFY:
		return ovm_image_put_inotify(image, &parts, file);
	case FD_TYPES__FANOTIFY:
		return ovm_image_put_fanotify(image, &parts, file);
	case FD_TYPES__NETLINKSK:
		return ovm_image_put_netlink(image, &parts, file);
	case FD_TYPES__PACKETSK:
		return ovm_image_put_packet_socket(image, &parts, file);
	case FD_TYPES__MEMFD:
		return put_memfd(image, &parts, ovm_image_object_find(files, file->inode));
	default:
		return put_regular(image, &parts, file);
	}
}

/* Behind all others, in an order of their own. */
static struct ovm_error *put_sockets(struct ovm_image_file *image,
				     const struct ovm_image_file_table *files,
				     const struct ovm_image_socket_table *sockets)
{
	struct ovm_error *err = NULL;

	for (size_t i = 0; i < sockets->nr && !err; i++) {
		const struct ovm_rec_file *file = sockets->order[i]->file;
		struct ovm_image_file_parts parts = {
			.id = ovm_image_file_id(files, file, OVM_IMAGE_FILE_DESCRIPTOR),
			.flags = open_flags(file),
			.fown = FOWN_ENTRY__INIT,
		};

		fill_owner(&parts.fown, file);
		err = ovm_image_put_unix_socket(image, &parts, sockets->order[i]);
	}
	return err;
}

static struct ovm_error *put_files(struct ovm_image_file *image, const struct ovm_image_set *set,
				   const struct ovm_image_file_table *files)
{
	_cleanup_epoll_table_ struct ovm_image_epoll_table *epolls = NULL;
	struct ovm_error *err = ovm_image_epoll_table_create(set, &epolls);

	for (size_t i = 0; i < files->nr && !err; i++)
		if (files->by_id[i]->use == OVM_IMAGE_FILE_PATH)
			err = put_path(image, files, files->by_id[i]);
		else if (!ovm_image_file_is_unix_socket(files->by_id[i]->file))
			err = put_descriptor(image, set, files, epolls, files->by_id[i]);
	return err;
}

struct ovm_error *ovm_image_write_files(const struct ovm_image_set *set,
					const struct ovm_image_file_table *files,
					const struct ovm_image_socket_table *sockets, int dir_fd)
{
	_cleanup_image_file_ struct ovm_image_file *image = NULL;
	struct ovm_error *err = ovm_image_file_create(dir_fd, OVM_IMAGE_FILES, 0, &image);

	if (!err)
		err = put_files(image, set, files);
	/* Those that are connected to them look among what comes before. */
	if (!err)
		err = ovm_image_put_external_sockets(image, files, sockets);
	if (!err)
		err = put_sockets(image, files, sockets);
	if (err)
		return err;
	return ovm_image_file_finish(ovm_take_pointer(image));
}

struct ovm_error *ovm_image_write_fdinfo(const struct ovm_image_job *job)
{
	_cleanup_image_file_ struct ovm_image_file *image = NULL;
	const struct ovm_rec_process *rec = job->process->rec;

	/* A shared table is its owner's. */
	if (!ovm_image_owns_files(rec))
		return NULL;
	struct ovm_error *err =
		ovm_image_file_create(job->dir_fd, OVM_IMAGE_FDINFO, ovm_image_own_id(rec), &image);

	for (const struct ovm_rec_fd *fd = rec->fds; fd && !err; fd = fd->next) {
		FdinfoEntry entry = FDINFO_ENTRY__INIT;

		entry.id = ovm_image_file_id(job->files, fd->file, OVM_IMAGE_FILE_DESCRIPTOR);
		entry.flags = fd->cloexec ? FD_CLOSE_ON_EXEC : 0;
		entry.type = fd_type(fd->file);
		entry.fd = (uint32_t)fd->fd;
		err = ovm_image_file_put(image, &entry.base);
	}
	if (err)
		return err;
	return ovm_image_file_finish(ovm_take_pointer(image));
}
