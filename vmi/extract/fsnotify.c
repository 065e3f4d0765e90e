// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files that are watched: inotify(7), fanotify(7).
 *
 * Each instance is a group (linux/fsnotify_backend.h) with a list of marks. A mark hangs on the
 * connector of what it watches: an inode, a mount, a whole file system.
 */
#include <linux/fsnotify_backend.h>

#include "extract.h"

/* Private to fs/notify/inotify/inotify.h. */
struct inotify_inode_mark___ovm {
	struct fsnotify_mark fsn_mark;
	int wd;
};

/*
 * Leads to the pointer that inodes and mounts have to their connector; since b3d1cd9edc9c
 * ("fsnotify: create helpers to get sb and connp from object", v6.10) to the inode or vfsmount.
 */
struct fsnotify_mark_connector___ovm {
	void *obj;
	unsigned int type;
};

struct mount___marks {
	struct vfsmount mnt;
	struct fsnotify_mark_connector *mnt_fsnotify_marks;
};

/* "fsnotify: introduce mark type iterator" (v6.0) renamed it. */
struct fsnotify_mark___ignored {
	unsigned int ignored_mask;
};

struct fsnotify_mark___ignore {
	unsigned int ignore_mask;
};

struct fanotify_group_private_data___ovm {
	struct list_head access_list;
	unsigned int flags;
	unsigned int f_flags;
};

struct fsnotify_group___ovm {
	struct fanotify_group_private_data___ovm fanotify_data;
};

enum { MAX_MARKS = 1 << 20 };

static bool has_operations(const struct file *file, u64 f_op)
{
	return f_op && OVM_IDENTITY(file->f_op) == f_op;
}

LLV_SHARED bool ovm_file_is_inotify(const struct file *file)
{
	return has_operations(file, llv_symbol("inotify_fops"));
}

LLV_SHARED bool ovm_file_is_fanotify(const struct file *file)
{
	return has_operations(file, llv_symbol("fanotify_fops"));
}

static struct fsnotify_group *group_of(const struct file *file)
{
	return file->private_data;
}

LLV_SHARED struct mutex *ovm_fsnotify_mutex(const struct file *file)
{
	return &group_of(file)->mark_mutex;
}

LLV_SHARED spinlock_t *ovm_fsnotify_lock(const struct file *file)
{
	return &group_of(file)->notification_lock;
}

#define CONNECTOR_IS(connector, name) \
	((connector)->type == (unsigned int)llv_enum_value(enum fsnotify_obj_type, name))

static const struct inode *watched_inode(const struct fsnotify_mark_connector___ovm *connector)
{
	u64 object = OVM_IDENTITY(connector->obj);
	const struct inode *inode =
		(const struct inode *)(object - llv_offsetof(struct inode, i_fsnotify_marks));

	if (*(u64 *)object != OVM_IDENTITY(connector))
		inode = (const struct inode *)object;
	if (OVM_IDENTITY(inode->i_fsnotify_marks) != OVM_IDENTITY(connector))
		llv_fail(LLV_CORRUPT, connector, "watched inode does not know its watches");
	return inode;
}

static struct vfsmount *watched_mount(const struct fsnotify_mark_connector___ovm *connector)
{
	u64 object = OVM_IDENTITY(connector->obj);
	struct mount___marks *mount =
		(struct mount___marks *)(object -
					 llv_offsetof(struct mount___marks, mnt_fsnotify_marks));

	if (*(u64 *)object != OVM_IDENTITY(connector))
		mount = (struct mount___marks *)(object - llv_offsetof(struct mount___marks, mnt));
	if (OVM_IDENTITY(mount->mnt_fsnotify_marks) != OVM_IDENTITY(connector))
		llv_fail(LLV_CORRUPT, connector, "watched mount does not know its watches");
	return &mount->mnt;
}

static void inode_mark(struct ovm_files __host *files, const struct inode *inode,
		       struct ovm_rec_watch __host *rec)
{
	rec->kind = OVM_REC_WATCH_INODE;
	rec->ino = inode->i_ino;
	rec->generation = inode->i_generation;
	rec->dev = inode->i_sb->s_dev;
	rec->sb_magic = inode->i_sb->s_magic;
	ovm_inode_path(files, inode, &rec->path);
}

static void mount_mark(struct ovm_files __host *files, struct vfsmount *mnt,
		       struct ovm_rec_watch __host *rec)
{
	__u64 __host *ns = llv_new(__u64);

	rec->kind = OVM_REC_WATCH_MOUNT;
	rec->mnt_id = ovm_mnt_id(mnt);
	rec->dev = mnt->mnt_sb->s_dev;
	ovm_path(mnt->mnt_root, mnt, &rec->path, ns);
	if (!*ns || *ns != files->mnt_ns)
		rec->path.len = 0;
}

static unsigned int ignore_mask(const struct fsnotify_mark *mark)
{
	if (llv_field_exists(struct fsnotify_mark___ignore, ignore_mask))
		return ((const struct fsnotify_mark___ignore *)mark)->ignore_mask;
	return ((const struct fsnotify_mark___ignored *)mark)->ignored_mask;
}

/* NULL: of what is gone. */
static struct ovm_rec_watch __host *mark_record(struct ovm_files __host *files,
						const struct fsnotify_mark *mark)
{
	const struct fsnotify_mark_connector___ovm *connector =
		(const struct fsnotify_mark_connector___ovm *)mark->connector;

	if (!connector || CONNECTOR_IS(connector, FSNOTIFY_OBJ_TYPE_DETACHED))
		return NULL;
	struct ovm_rec_watch __host *rec = llv_new(struct ovm_rec_watch);

	rec->mask = mark->mask;
	rec->ignored_mask = ignore_mask(mark);
	rec->flags = mark->flags;
	if (CONNECTOR_IS(connector, FSNOTIFY_OBJ_TYPE_INODE))
		inode_mark(files, watched_inode(connector), rec);
	else if (CONNECTOR_IS(connector, FSNOTIFY_OBJ_TYPE_VFSMOUNT))
		mount_mark(files, watched_mount(connector), rec);
	else
		rec->kind = OVM_REC_WATCH_OTHER;
	return rec;
}

LLV_SHARED struct ovm_rec_fsnotify __host *ovm_fsnotify(struct ovm_files __host *files,
							const struct file *file)
{
	struct ovm_rec_fsnotify __host *rec = llv_new(struct ovm_rec_fsnotify);
	struct ovm_rec_watch __host *__host *link = &rec->watches;
	struct fsnotify_group *group = group_of(file);
	bool is_inotify = ovm_file_is_inotify(file);
	struct fsnotify_mark *mark;

	rec->nr_waiting = group->q_len;
	if (!is_inotify) {
		const struct fanotify_group_private_data___ovm *data =
			&((const struct fsnotify_group___ovm *)group)->fanotify_data;

		rec->init_flags = data->flags;
		rec->event_flags = data->f_flags;
		rec->has_asked = data->access_list.next != &data->access_list;
	}
	list_for_each_entry(mark, &group->marks_list, g_list) {
		struct ovm_rec_watch __host *watch;

		if (rec->nr_watches >= MAX_MARKS)
			llv_fail(LLV_CORRUPT, group, "list of watches does not end");
		watch = mark_record(files, mark);
		if (!watch)
			continue;
		if (is_inotify)
			watch->wd = ((const struct inotify_inode_mark___ovm *)mark)->wd;
		*link = watch;
		link = &watch->next;
		rec->nr_watches++;
	}
	return rec;
}
