// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files that are watched: inotify and fanotify instances.
 *
 * CRIU finds what is watched by its path. A handle (name_to_handle_at(2)) comes along, for those
 * who look: of the kind that the file system makes, where that is the common one.
 */
#include <string.h>

#include "files.h"
#include "pool.h"
#include "vmi/cleanup.h"

enum {
	PATH_LEN_MAX = 4095,
	/* Of a handle, in words of 64 bits. */
	HANDLE_WORDS = 16,
	/* FILEID_INO32_GEN (linux/exportfs.h), which tmpfs has in its own form. */
	HANDLE_INO32_GEN = 1,
	INO32_GEN_BYTES = 8,
	TMPFS_BYTES = 12,
	/* linux/fsnotify_backend.h: bits of marks, since v5.18 and v6.0. */
	MARK_EXCL_UNLINK = 0x10,
	MARK_ONESHOT = 0x20,
	MARK_SURV_MODIFY = 0x100,
	MARK_NO_IREF = 0x200,
	MARK_IGNORE_FLAGS = 0x400,
	/* linux/fanotify.h: bits of fanotify_mark(2). */
	FAN_SURV_MODIFY = 0x40,
	FAN_EVICTABLE = 0x200,
	FAN_IGNORE = 0x400,
};

static const uint32_t in_all_events = 0xfff;
static const uint32_t in_excl_unlink = 1u << 26;
static const uint32_t in_oneshot = 1u << 31;
/* What user space may pass to fanotify_init(2); the others are the kernel's. */
static const uint32_t fan_init_flags = 0x3fff;

static const char *watch_problem(const struct ovm_rec_watch *watch)
{
	if (watch->kind != OVM_REC_WATCH_INODE && watch->kind != OVM_REC_WATCH_MOUNT)
		return "watches a whole file system, which CRIU does not know";
	if (!watch->path.len)
		return "watches what is deleted, hidden, or has no path in memory: have something "
		       "open it by its path in the guest";
	if (watch->path.data[0] != '/' || watch->path.len > PATH_LEN_MAX ||
	    memchr(watch->path.data, '\0', watch->path.len))
		return "watches what has a path that can't be opened";
	return NULL;
}

/* CRIU passes the flags on when it makes the instance. */
static bool has_other_flags(const struct ovm_rec_file *file)
{
	static const uint32_t o_async = 020000, o_append = 02000, o_direct = 040000;

	return file->flags & (o_async | o_append | o_direct);
}

const char *ovm_image_fsnotify_problem(const struct ovm_rec_file *file)
{
	const struct ovm_rec_fsnotify *rec = file->fsnotify;

	if (!rec)
		return "has no known content";
	if (rec->nr_waiting || rec->has_asked)
		return "holds events that were not read, which CRIU would drop: let them be read";
	if (has_other_flags(file))
		return "has flags (O_ASYNC) that CRIU can't restore";
	for (const struct ovm_rec_watch *watch = rec->watches; watch; watch = watch->next) {
		const char *problem = watch_problem(watch);

		if (problem)
			return problem;
	}
	return NULL;
}

const char *ovm_image_fsnotify_loss(const struct ovm_rec_file *file)
{
	const struct ovm_rec_watch *watch = file->fsnotify->watches;

	for (; file->kind == OVM_REC_FILE_INOTIFY && watch; watch = watch->next)
		if (watch->flags & (MARK_EXCL_UNLINK | MARK_ONESHOT) ||
		    watch->mask & (in_excl_unlink | in_oneshot))
			return "has watches with IN_ONESHOT or IN_EXCL_UNLINK, which CRIU does not "
			       "restore";
	return NULL;
}

static struct ovm_error *fill_handle(struct ovm_image_pool *pool, const struct ovm_rec_watch *watch,
				     FhEntry **ret)
{
	static const uint64_t tmpfs_magic = 0x01021994;
	FhEntry *entry = ovm_image_new(pool, FhEntry);
	uint32_t *words;

	if (!entry)
		return ovm_error_no_memory();
	fh_entry__init(entry);
	entry->handle = ovm_image_alloc(pool, HANDLE_WORDS, sizeof(*entry->handle));
	entry->path = ovm_image_string(pool, watch->path.data, watch->path.len);
	if (!entry->handle || !entry->path)
		return ovm_error_no_memory();
	entry->n_handle = HANDLE_WORDS;
	entry->type = HANDLE_INO32_GEN;
	words = (uint32_t *)entry->handle;
	if (watch->sb_magic == tmpfs_magic) {
		entry->bytes = TMPFS_BYTES;
		words[0] = watch->generation;
		words[1] = (uint32_t)watch->ino;
		words[2] = (uint32_t)(watch->ino >> 32);
	} else {
		entry->bytes = INO32_GEN_BYTES;
		words[0] = (uint32_t)watch->ino;
		words[1] = watch->generation;
	}
	*ret = entry;
	return NULL;
}

static uint32_t inotify_mask(const struct ovm_rec_watch *watch)
{
	uint32_t mask = watch->mask & (in_all_events | in_excl_unlink | in_oneshot);

	if (watch->flags & MARK_EXCL_UNLINK)
		mask |= in_excl_unlink;
	if (watch->flags & MARK_ONESHOT)
		mask |= in_oneshot;
	return mask;
}

struct ovm_error *ovm_image_put_inotify(struct ovm_image_file *image,
					struct ovm_image_file_parts *parts,
					const struct ovm_rec_file *file)
{
	_cleanup_pool_ struct ovm_image_pool pool = {NULL};
	const struct ovm_rec_fsnotify *rec = file->fsnotify;
	FileEntry entry = FILE_ENTRY__INIT;
	InotifyFileEntry inotify = INOTIFY_FILE_ENTRY__INIT;
	InotifyWdEntry *wds = ovm_image_alloc(&pool, rec->nr_watches + 1, sizeof(*wds));

	inotify.wd = ovm_image_alloc(&pool, rec->nr_watches + 1, sizeof(InotifyWdEntry *));
	if (!wds || !inotify.wd)
		return ovm_error_no_memory();
	for (const struct ovm_rec_watch *watch = rec->watches; watch; watch = watch->next) {
		InotifyWdEntry *wd = &wds[inotify.n_wd];
		struct ovm_error *err;

		inotify_wd_entry__init(wd);
		wd->id = parts->id;
		wd->i_ino = watch->ino;
		wd->mask = inotify_mask(watch);
		wd->s_dev = watch->dev;
		wd->wd = (uint32_t)watch->wd;
		err = fill_handle(&pool, watch, &wd->f_handle);
		if (err)
			return err;
		inotify.wd[inotify.n_wd++] = wd;
	}
	inotify.id = parts->id;
	inotify.flags = parts->flags;
	inotify.fown = &parts->fown;
	entry.type = FD_TYPES__INOTIFY;
	entry.id = parts->id;
	entry.ify = &inotify;
	return ovm_image_file_put(image, &entry.base);
}

static uint32_t fanotify_flags(const struct ovm_rec_watch *watch)
{
	uint32_t flags = 0;

	if (watch->flags & MARK_SURV_MODIFY)
		flags |= FAN_SURV_MODIFY;
	if (watch->flags & MARK_NO_IREF)
		flags |= FAN_EVICTABLE;
	if (watch->flags & MARK_IGNORE_FLAGS)
		flags |= FAN_IGNORE;
	return flags;
}

static struct ovm_error *fill_mark(struct ovm_image_pool *pool, const struct ovm_rec_watch *watch,
				   FanotifyMarkEntry *mark)
{
	fanotify_mark_entry__init(mark);
	mark->mflags = fanotify_flags(watch);
	mark->mask = watch->mask;
	mark->ignored_mask = watch->ignored_mask;
	mark->s_dev = watch->dev;
	if (watch->kind == OVM_REC_WATCH_INODE) {
		mark->type = MARK_TYPE__INODE;
		mark->ie = ovm_image_new(pool, FanotifyInodeMarkEntry);
		if (!mark->ie)
			return ovm_error_no_memory();
		fanotify_inode_mark_entry__init(mark->ie);
		mark->ie->i_ino = watch->ino;
		return fill_handle(pool, watch, &mark->ie->f_handle);
	}
	mark->type = MARK_TYPE__MOUNT;
	mark->me = ovm_image_new(pool, FanotifyMountMarkEntry);
	if (!mark->me)
		return ovm_error_no_memory();
	fanotify_mount_mark_entry__init(mark->me);
	mark->me->mnt_id = (uint32_t)watch->mnt_id;
	mark->me->path = ovm_image_string(pool, watch->path.data, watch->path.len);
	return mark->me->path ? NULL : ovm_error_no_memory();
}

struct ovm_error *ovm_image_put_fanotify(struct ovm_image_file *image,
					 struct ovm_image_file_parts *parts,
					 const struct ovm_rec_file *file)
{
	_cleanup_pool_ struct ovm_image_pool pool = {NULL};
	const struct ovm_rec_fsnotify *rec = file->fsnotify;
	FileEntry entry = FILE_ENTRY__INIT;
	FanotifyFileEntry fanotify = FANOTIFY_FILE_ENTRY__INIT;
	FanotifyMarkEntry *marks = ovm_image_alloc(&pool, rec->nr_watches + 1, sizeof(*marks));

	fanotify.mark = ovm_image_alloc(&pool, rec->nr_watches + 1, sizeof(FanotifyMarkEntry *));
	if (!marks || !fanotify.mark)
		return ovm_error_no_memory();
	for (const struct ovm_rec_watch *watch = rec->watches; watch; watch = watch->next) {
		FanotifyMarkEntry *mark = &marks[fanotify.n_mark];
		struct ovm_error *err = fill_mark(&pool, watch, mark);

		if (err)
			return err;
		mark->id = parts->id;
		fanotify.mark[fanotify.n_mark++] = mark;
	}
	fanotify.id = parts->id;
	fanotify.flags = parts->flags;
	fanotify.fown = &parts->fown;
	fanotify.faflags = rec->init_flags & fan_init_flags;
	fanotify.evflags = rec->event_flags;
	entry.type = FD_TYPES__FANOTIFY;
	entry.id = parts->id;
	entry.ffy = &fanotify;
	return ovm_image_file_put(image, &entry.base);
}
