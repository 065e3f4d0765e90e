// SPDX-License-Identifier: GPL-2.0-only
/*
 * Open files: the descriptor table, what each file is, where it is.
 */
#include <linux/dcache.h>
#include <linux/hugetlb.h>
#include <linux/kdev_t.h>
#include <linux/magic.h>
#include <linux/stat.h>

#include "extract.h"

/*
 * 1934b212615d ("file: reclaim 24 bytes from f_owner", v6.12) made f_owner a pointer, and gave
 * struct fown_struct a pointer back.
 */
struct file___owner_pointer {
	struct fown_struct *f_owner;
};

struct fown_struct___file {
	struct file *file;
};

enum {
	MAJOR_MEM = 1,
	/* Bits of dev_t for the minor number inside the kernel (linux/kdev_t.h). */
	MAX_FDS = 1 << 26,
	MQUEUE_SUPER_MAGIC = 0x19800202, /* ipc/mqueue.c */
	ANON_PIDFS_MAGIC = 0x50494446,	 /* PID_FS_MAGIC, since v6.9 */
	MAX_NAMES = 1 << 20,
	/* Pages of 1 GiB, the largest of x86-64. */
	MAX_HUGE_ORDER = 18,
};

/* Where a path is. */
struct ovm_place {
	__u64 mnt_ns;
};

/* Super blocks that the kernel mounts for itself have SB_KERNMOUNT. */
static bool is_kernel_mount(const struct super_block *sb)
{
	return sb->s_flags & SB_KERNMOUNT;
}

LLV_SHARED bool ovm_inode_is_hugetlb(const struct inode *inode)
{
	return inode->i_sb->s_magic == HUGETLBFS_MAGIC;
}

LLV_SHARED bool ovm_inode_is_internal_memory(const struct inode *inode)
{
	return (inode->i_sb->s_magic == TMPFS_MAGIC || ovm_inode_is_hugetlb(inode)) &&
	       is_kernel_mount(inode->i_sb) && (inode->i_mode & S_IFMT) == S_IFREG;
}

/* All files of one hugetlbfs have pages of one size. */
LLV_SHARED unsigned int ovm_huge_order(const struct inode *inode)
{
	const struct hugetlbfs_sb_info *sbi = inode->i_sb->s_fs_info;
	unsigned int order = sbi->hstate->order;

	if (order > MAX_HUGE_ORDER)
		llv_fail(LLV_CORRUPT, inode, "size of huge pages is out of range");
	return order;
}

/* Names that mm/memfd.c, mm/shmem.c and ipc/shm.c give to their files. */
static enum ovm_rec_file_kind internal_shmem_kind(const struct dentry *dentry)
{
	const void *name = dentry->d_name.name;

	if (llv_starts_with(name, "memfd:"))
		return OVM_REC_FILE_MEMFD;
	if (llv_starts_with(name, "SYSV"))
		return OVM_REC_FILE_SYSV_SHM;
	if (llv_streq(name, "dev/zero"))
		return OVM_REC_FILE_SHMEM_ANON;
	return OVM_REC_FILE_OTHER;
}

static enum ovm_rec_file_kind internal_hugetlb_kind(const struct dentry *dentry)
{
	const void *name = dentry->d_name.name;

	if (llv_starts_with(name, "memfd:"))
		return OVM_REC_FILE_MEMFD_HUGETLB;
	if (llv_starts_with(name, "SYSV"))
		return OVM_REC_FILE_SYSV_SHM;
	return OVM_REC_FILE_HUGETLB_ANON;
}

static enum ovm_rec_file_kind chrdev_kind(const struct file *file, const struct inode *inode)
{
	if (MAJOR(inode->i_rdev) == MAJOR_MEM)
		return OVM_REC_FILE_CHRDEV_MEM;
	if (ovm_file_is_tty(file))
		return OVM_REC_FILE_TTY;
	return OVM_REC_FILE_CHRDEV;
}

static enum ovm_rec_file_kind regular_kind(const struct file *file, const struct inode *inode)
{
	const struct super_block *sb = inode->i_sb;

	if (sb->s_magic == TMPFS_MAGIC && is_kernel_mount(sb))
		return internal_shmem_kind(file->f_path.dentry);
	if (sb->s_magic == HUGETLBFS_MAGIC && is_kernel_mount(sb))
		return internal_hugetlb_kind(file->f_path.dentry);
	if (sb->s_magic == SECRETMEM_MAGIC || sb->s_magic == MQUEUE_SUPER_MAGIC)
		return OVM_REC_FILE_OTHER;
	return OVM_REC_FILE_REGULAR;
}

static enum ovm_rec_file_kind anonymous_kind(const struct file *file)
{
	if (ovm_file_is_eventfd(file))
		return OVM_REC_FILE_EVENTFD;
	if (ovm_file_is_timerfd(file))
		return OVM_REC_FILE_TIMERFD;
	if (ovm_file_is_epoll(file))
		return OVM_REC_FILE_EPOLL;
	if (ovm_file_is_signalfd(file))
		return OVM_REC_FILE_SIGNALFD;
	if (ovm_file_is_inotify(file))
		return OVM_REC_FILE_INOTIFY;
	if (ovm_file_is_fanotify(file))
		return OVM_REC_FILE_FANOTIFY;
	return OVM_REC_FILE_ANON_INODE;
}

static enum ovm_rec_file_kind kind_of(const struct file *file, const struct inode *inode)
{
	if (ovm_inode_is_aio_ring(inode))
		return OVM_REC_FILE_AIO_RING;
	switch (inode->i_sb->s_magic) {
	case ANON_INODE_FS_MAGIC:
	case ANON_PIDFS_MAGIC:
		return anonymous_kind(file);
	case NSFS_MAGIC:
		return OVM_REC_FILE_NAMESPACE;
	case DMA_BUF_MAGIC:
		return OVM_REC_FILE_OTHER;
	}
	switch (inode->i_mode & S_IFMT) {
	case S_IFREG:
		return regular_kind(file, inode);
	case S_IFLNK: /* O_PATH | O_NOFOLLOW: opened again by its path, like a file */
		return OVM_REC_FILE_REGULAR;
	case S_IFDIR:
		return OVM_REC_FILE_DIRECTORY;
	case S_IFCHR:
		return chrdev_kind(file, inode);
	case S_IFBLK:
		return OVM_REC_FILE_BLKDEV;
	case S_IFIFO:
		return inode->i_sb->s_magic == PIPEFS_MAGIC ? OVM_REC_FILE_PIPE : OVM_REC_FILE_FIFO;
	case S_IFSOCK:
		return OVM_REC_FILE_SOCKET;
	}
	return OVM_REC_FILE_OTHER;
}

static bool has_path(enum ovm_rec_file_kind kind)
{
	switch (kind) {
	case OVM_REC_FILE_REGULAR:
	case OVM_REC_FILE_DIRECTORY:
	case OVM_REC_FILE_CHRDEV_MEM:
	case OVM_REC_FILE_FIFO:
	case OVM_REC_FILE_TTY:
	case OVM_REC_FILE_CHRDEV:
	case OVM_REC_FILE_BLKDEV:
		return true;
	default:
		return false;
	}
}

/* d_unlinked(): out of the hash of names, though not the root of a tree. */
static bool is_unlinked(const struct dentry *dentry)
{
	return !dentry->d_hash.pprev && dentry != dentry->d_parent;
}

LLV_SHARED bool ovm_file_lost_its_name(const struct file *file)
{
	return is_unlinked(file->f_path.dentry) && file->f_inode->i_nlink;
}

/* Any name of an inode that is in use, as far as the kernel remembers; else NULL. */
static struct dentry *hashed_name(const struct inode *inode)
{
	const struct hlist_node *node = inode->i_dentry.first;

	for (unsigned int nr = 0; node; node = node->next) {
		struct dentry *dentry = hlist_entry(node, struct dentry, d_u.d_alias);

		if (++nr > MAX_NAMES)
			llv_fail(LLV_CORRUPT, inode, "list of an inode's names does not end");
		if (!is_unlinked(dentry))
			return dentry;
	}
	return NULL;
}

/* A file of several names, whose name was removed, or whose path is below a removed one. */
static void locate_by_other_name(struct ovm_files __host *files, const struct path *path,
				 struct ovm_rec_file __host *rec)
{
	struct dentry *other = hashed_name(path->dentry->d_inode);
	struct ovm_rec_bytes __host *found = llv_new(struct ovm_rec_bytes);
	struct ovm_place __host *place = llv_new(struct ovm_place);

	if (!other)
		return;
	ovm_path(other, path->mnt, found, &place->mnt_ns);
	if (!place->mnt_ns || place->mnt_ns != files->mnt_ns)
		return;
	rec->path = *found;
	rec->mnt_ns = place->mnt_ns;
	rec->reachable = 1;
	rec->unlinked = 0;
	rec->other_name = 1;
}

static void locate_by_path(struct ovm_files __host *files, const struct path *path,
			   struct ovm_rec_file __host *rec)
{
	rec->mnt_id = ovm_mnt_id(path->mnt);
	ovm_path(path->dentry, path->mnt, &rec->path, &rec->mnt_ns);
	rec->reachable = rec->mnt_ns && rec->mnt_ns == files->mnt_ns;
	rec->unlinked = is_unlinked(path->dentry) || rec->nlink == 0;
	if (rec->unlinked && rec->nlink && (rec->mode & S_IFMT) != S_IFDIR &&
	    llv_field_exists(struct dentry, d_u.d_alias))
		locate_by_other_name(files, path, rec);
}

static void locate(struct ovm_files __host *files, const struct path *path,
		   struct ovm_rec_file __host *rec)
{
	if (has_path(rec->kind)) {
		locate_by_path(files, path, rec);
		return;
	}
	rec->mnt_id = ovm_mnt_id(path->mnt);
	llv_string(&rec->path, path->dentry->d_name.name, OVM_EXTRACT_NAME_MAX);
}

static void inode_facts(const struct inode *inode, struct ovm_rec_file __host *rec)
{
	const struct super_block *sb = inode->i_sb;

	rec->inode = OVM_IDENTITY(inode);
	rec->mode = inode->i_mode;
	rec->size = inode->i_size;
	rec->ino = inode->i_ino;
	rec->dev_major = MAJOR(sb->s_dev);
	rec->dev_minor = MINOR(sb->s_dev);
	rec->rdev_major = MAJOR(inode->i_rdev);
	rec->rdev_minor = MINOR(inode->i_rdev);
	rec->nlink = inode->i_nlink;
	rec->uid = inode->i_uid.val;
	rec->gid = inode->i_gid.val;
	rec->sb_magic = sb->s_magic;
	llv_strcpy(rec->fstype, sb->s_type->name);
}

static void owner(const struct file *file, struct ovm_rec_file __host *rec)
{
	const struct fown_struct *fown;

	if (llv_field_exists(struct fown_struct___file, file))
		fown = ((const struct file___owner_pointer *)file)->f_owner;
	else
		fown = &file->f_owner;
	if (!fown)
		return;
	rec->owner_pid = ovm_pid_nr(fown->pid);
	rec->owner_pid_type = fown->pid_type;
	rec->owner_uid = fown->uid.val;
	rec->owner_euid = fown->euid.val;
	rec->owner_signum = fown->signum;
}

static struct ovm_rec_socket __host *socket_of(struct ovm_files __host *files,
					       const struct inode *inode)
{
	const struct sock *sk = ovm_inode_sock(inode);

	return sk ? ovm_socket(files, sk) : NULL;
}

/* What only files of some kinds have. */
static void special_facts(struct ovm_files __host *files, const struct file *file,
			  struct ovm_rec_file __host *rec)
{
	switch (rec->kind) {
	case OVM_REC_FILE_REGULAR:
	case OVM_REC_FILE_DIRECTORY:
		rec->ghost = ovm_ghost(files, file->f_inode);
		break;
	case OVM_REC_FILE_FIFO:
		rec->ghost = ovm_ghost(files, file->f_inode);
		rec->pipe = ovm_pipe(files, file);
		break;
	case OVM_REC_FILE_PIPE:
		rec->pipe = ovm_pipe(files, file);
		break;
	case OVM_REC_FILE_EVENTFD:
		rec->eventfd = ovm_eventfd(file);
		break;
	case OVM_REC_FILE_TIMERFD:
		rec->timerfd = ovm_timerfd(file);
		break;
	case OVM_REC_FILE_EPOLL:
		rec->epoll = ovm_epoll(file);
		break;
	case OVM_REC_FILE_SIGNALFD:
		rec->signalfd = ovm_signalfd(file);
		break;
	case OVM_REC_FILE_INOTIFY:
	case OVM_REC_FILE_FANOTIFY:
		rec->fsnotify = ovm_fsnotify(files, file);
		break;
	case OVM_REC_FILE_SOCKET:
		rec->socket = socket_of(files, file->f_inode);
		break;
	case OVM_REC_FILE_ANON_INODE:
		rec->pidfd = ovm_pidfd(file);
		break;
	case OVM_REC_FILE_TTY:
		rec->tty = ovm_file_tty(files, file);
		rec->hung_up = ovm_file_is_hung_up(file);
		break;
	default:
		break;
	}
}

LLV_SHARED struct ovm_rec_file __host *ovm_file_record(struct ovm_files __host *files,
						       struct file *file)
{
	struct ovm_rec_file __host *rec = llv_new(struct ovm_rec_file);
	const struct inode *inode = file->f_inode;

	rec->file = OVM_IDENTITY(file);
	rec->flags = file->f_flags;
	rec->fmode = file->f_mode;
	rec->pos = file->f_pos;
	rec->f_op = OVM_IDENTITY(file->f_op);
	inode_facts(inode, rec);
	rec->kind = kind_of(file, inode);
	locate(files, &file->f_path, rec);
	owner(file, rec);
	if (ovm_inode_is_internal_memory(inode))
		rec->seals = ovm_memory_seals(inode);
	if (ovm_inode_is_hugetlb(inode))
		rec->huge_shift = ovm_huge_order(inode) + PAGE_SHIFT;
	rec->locks = ovm_file_locks(file);
	special_facts(files, file, rec);
	return rec;
}

LLV_SHARED struct ovm_rec_file __host *ovm_file_find(struct ovm_files __host *files, __u64 identity)
{
	struct ovm_file_node __host *node = files->bucket[OVM_FILE_BUCKET(identity)];

	while (node && node->file->file != identity)
		node = node->next;
	return node ? node->file : NULL;
}

LLV_SHARED struct ovm_rec_file __host *ovm_file(struct ovm_files __host *files, struct file *file)
{
	unsigned int bucket = OVM_FILE_BUCKET(OVM_IDENTITY(file));
	struct ovm_rec_file __host *known = ovm_file_find(files, OVM_IDENTITY(file));
	struct ovm_file_node __host *node;

	if (known)
		return known;
	node = llv_new(struct ovm_file_node);
	node->file = ovm_file_record(files, file);
	node->next = files->bucket[bucket];
	files->bucket[bucket] = node;
	*files->tail = node->file;
	files->tail = &node->file->next;
	return node->file;
}

static void one_fd(struct ovm_files __host *files, struct fdtable *fdt, unsigned int fd,
		   struct ovm_rec_fd __host *rec)
{
	rec->fd = fd;
	rec->cloexec = fdt->close_on_exec[fd / BITS_PER_LONG] >> (fd % BITS_PER_LONG) & 1;
	rec->file = ovm_file(files, fdt->fd[fd]);
	rec->file->nr_fds++;
}

LLV_SHARED void ovm_fds(struct ovm_files __host *files, struct files_struct *table,
			struct ovm_rec_process __host *rec)
{
	struct ovm_rec_fd __host *__host *link = &rec->fds;
	struct fdtable *fdt = table->fdt;
	unsigned int max = fdt->max_fds;

	if (max > MAX_FDS)
		llv_fail(LLV_CORRUPT, fdt, "size of the descriptor table is out of range");
	for (unsigned int base = 0; base < max; base += BITS_PER_LONG) {
		unsigned long open = fdt->open_fds[base / BITS_PER_LONG];

		for (unsigned int bit = 0; open; bit++, open >>= 1) {
			/* A descriptor that is being opened is reserved and has no file yet. */
			if (!(open & 1) || !fdt->fd[base + bit])
				continue;
			struct ovm_rec_fd __host *fd = llv_new(struct ovm_rec_fd);

			one_fd(files, fdt, base + bit, fd);
			*link = fd;
			link = &fd->next;
			rec->nr_fds++;
		}
	}
}

LLV_SHARED struct ovm_rec_file __host *ovm_path_record(struct ovm_files __host *files,
						       const struct path *path,
						       enum ovm_rec_file_kind kind)
{
	struct ovm_rec_file __host *rec = llv_new(struct ovm_rec_file);

	rec->file = OVM_IDENTITY(path->dentry);
	inode_facts(path->dentry->d_inode, rec);
	rec->kind = kind;
	locate_by_path(files, path, rec);
	if (kind == OVM_REC_FILE_DIRECTORY)
		rec->ghost = ovm_ghost(files, path->dentry->d_inode);
	return rec;
}

LLV_SHARED void ovm_fs(struct ovm_files __host *files, struct fs_struct *fs,
		       struct ovm_rec_fs __host *rec)
{
	rec->identity = OVM_IDENTITY(fs);
	rec->umask = fs->umask;
	rec->root = ovm_path_record(files, &fs->root, OVM_REC_FILE_DIRECTORY);
	rec->cwd = ovm_path_record(files, &fs->pwd, OVM_REC_FILE_DIRECTORY);
}
