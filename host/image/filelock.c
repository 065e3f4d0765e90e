// SPDX-License-Identifier: GPL-2.0-only
/*
 * Locks on open files: filelocks.img, which is only read by criu restore --file-locks.
 */
#include <stdlib.h>

#include "file.h"
#include "files.h"
#include "proto/file-lock.pb-c.h"
#include "vmi/cleanup.h"
#include "write.h"

enum {
	/* Kinds, as CRIU 3.17.1 numbers them (criu/include/file-lock.h). */
	FLAG_POSIX = 1,
	FLAG_FLOCK = 2,
	FLAG_OFD = 4,
	FLAG_LEASE = 8,
	/* The kernel's values (asm-generic/fcntl.h). */
	K_F_RDLCK = 0,
	K_F_WRLCK = 1,
};

static const uint32_t flags[] = {
	[OVM_REC_FILE_LOCK_POSIX] = FLAG_POSIX,
	[OVM_REC_FILE_LOCK_FLOCK] = FLAG_FLOCK,
	[OVM_REC_FILE_LOCK_OFD] = FLAG_OFD,
	[OVM_REC_FILE_LOCK_LEASE] = FLAG_LEASE,
};

static bool has_range(const struct ovm_rec_file_lock *lock)
{
	return lock->kind == OVM_REC_FILE_LOCK_POSIX || lock->kind == OVM_REC_FILE_LOCK_OFD;
}

const char *ovm_image_file_lock_problem(const struct ovm_rec_file_lock *lock)
{
	if (lock->kind < 1 || lock->kind >= sizeof(flags) / sizeof(flags[0]))
		return "has a lease that is being broken, or a lock of an unknown kind: let it be "
		       "given up";
	if (has_range(lock) && (lock->end > INT64_MAX || lock->start > lock->end))
		return "has a lock on an impossible range";
	return NULL;
}

bool ovm_image_holds_lock(const struct ovm_rec_process *process,
			  const struct ovm_rec_file_lock *lock)
{
	return lock->kind != OVM_REC_FILE_LOCK_POSIX || lock->owner == process->files_identity;
}

static struct ovm_error *put(struct ovm_image_file *image, const struct ovm_rec_file_lock *lock,
			     int32_t pid, int32_t fd)
{
	FileLockEntry entry = FILE_LOCK_ENTRY__INIT;

	entry.flag = flags[lock->kind];
	entry.type = lock->exclusive ? K_F_WRLCK : K_F_RDLCK;
	entry.pid = pid;
	entry.fd = fd;
	if (has_range(lock)) {
		entry.start = (int64_t)lock->start;
		/* A lock that ends where files can end has no end. */
		if (lock->end != INT64_MAX)
			entry.len = (int64_t)(lock->end - lock->start + 1);
	}
	return ovm_image_file_put(image, &entry.base);
}

/* Which files were met, by their ids. */
struct seen {
	/* By any process. */
	bool *any;
	/* By which process last: its place in the tree, and one. */
	size_t *last;
};

/*
 * The first descriptor of a file has its locks; those that belong to the file itself are of the
 * first process, whoever took them.
 */
static struct ovm_error *put_file(struct ovm_image_file *image, const struct ovm_rec_file *file,
				  const struct ovm_rec_process *process, int32_t fd, bool first)
{
	struct ovm_error *err = NULL;

	for (const struct ovm_rec_file_lock *lock = file->locks; lock && !err; lock = lock->next)
		if (ovm_image_holds_lock(process, lock) &&
		    (first || lock->kind == OVM_REC_FILE_LOCK_POSIX))
			err = put(image, lock, process->pid, fd);
	return err;
}

static struct ovm_error *put_process(struct ovm_image_file **image,
				     const struct ovm_rec_process *process,
				     const struct ovm_image_file_table *files, struct seen *seen,
				     int dir_fd)
{
	struct ovm_error *err = NULL;

	for (const struct ovm_rec_fd *fd = process->fds; fd && !err; fd = fd->next) {
		uint32_t id = ovm_image_file_id(files, fd->file, OVM_IMAGE_FILE_DESCRIPTOR);

		if (!fd->file->locks || seen->last[id] == process->index + (size_t)1)
			continue;
		if (!*image)
			err = ovm_image_file_create(dir_fd, OVM_IMAGE_FILE_LOCKS, 0, image);
		if (!err)
			err = put_file(*image, fd->file, process, fd->fd, !seen->any[id]);
		seen->last[id] = process->index + (size_t)1;
		seen->any[id] = true;
	}
	return err;
}

struct ovm_error *ovm_image_write_file_locks(const struct ovm_image_set *set,
					     const struct ovm_image_file_table *files, int dir_fd)
{
	_cleanup_image_file_ struct ovm_image_file *image = NULL;
	_cleanup_free_ bool *any = calloc(files->nr + 1, sizeof(*any));
	_cleanup_free_ size_t *last = calloc(files->nr + 1, sizeof(*last));
	struct seen seen = {any, last};
	struct ovm_error *err = any && last ? NULL : ovm_error_no_memory();

	for (size_t i = 0; i < set->nr_processes && !err; i++)
		if (ovm_image_owns_files(set->processes[i].rec))
			err = put_process(&image, set->processes[i].rec, files, &seen, dir_fd);
	if (err || !image)
		return err;
	return ovm_image_file_finish(ovm_take_pointer(image));
}
