// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files that have no name any more, and are open or mapped: their content is nowhere but in the
 * file, and part of what is saved. Directories are empty, what is in FIFOs is known as that of
 * pipes.
 *
 * It is taken from the page cache. That of tmpfs and ramfs is all there is; of a file on a disk,
 * pages that are not in the cache are out of reach.
 */
#include <linux/magic.h>
#include <linux/stat.h>

#include "extract.h"

/* By v6.11, times are two members each; by v6.7, their names began with underscores. */
struct inode___split_times {
	s64 i_atime_sec;
	u32 i_atime_nsec;
	s64 i_mtime_sec;
	u32 i_mtime_nsec;
};

struct inode___underscores {
	struct timespec64 __i_atime;
	struct timespec64 __i_mtime;
};

enum {
	MAX_PFN_BITS = 40,
	K_RAMFS_MAGIC = 0x858458f6,
	K_FS_REQUIRES_DEV = 1,
};

static bool is_memory_only(const struct super_block *sb)
{
	return sb->s_magic == TMPFS_MAGIC || sb->s_magic == (u32)K_RAMFS_MAGIC;
}

/* Nameless, on a file system where it can be made again. */
static bool is_nameless(const struct inode *inode)
{
	const struct super_block *sb = inode->i_sb;

	return !inode->i_nlink && !ovm_inode_is_internal_memory(inode) &&
	       !ovm_inode_is_hugetlb(inode) &&
	       (is_memory_only(sb) || sb->s_type->fs_flags & K_FS_REQUIRES_DEV);
}

LLV_SHARED bool ovm_inode_is_ghost(const struct inode *inode)
{
	return (inode->i_mode & S_IFMT) == S_IFREG && is_nameless(inode);
}

static bool can_be_made(const struct inode *inode)
{
	u32 type = inode->i_mode & S_IFMT;

	return (type == S_IFREG || type == S_IFDIR || type == S_IFIFO) && is_nameless(inode);
}

static void times(const struct inode *inode, struct ovm_rec_ghost __host *rec)
{
	const struct inode___split_times *split = (const void *)inode;
	const struct inode___underscores *underscores = (const void *)inode;

	if (llv_field_exists(struct inode___split_times, i_atime_sec)) {
		rec->atime_sec = split->i_atime_sec;
		rec->atime_nsec = split->i_atime_nsec;
		rec->mtime_sec = split->i_mtime_sec;
		rec->mtime_nsec = split->i_mtime_nsec;
		return;
	}
	if (llv_field_exists(struct inode___underscores, __i_atime)) {
		rec->atime_sec = underscores->__i_atime.tv_sec;
		rec->atime_nsec = (u32)underscores->__i_atime.tv_nsec;
		rec->mtime_sec = underscores->__i_mtime.tv_sec;
		rec->mtime_nsec = (u32)underscores->__i_mtime.tv_nsec;
		return;
	}
	rec->atime_sec = inode->i_atime.tv_sec;
	rec->atime_nsec = (u32)inode->i_atime.tv_nsec;
	rec->mtime_sec = inode->i_mtime.tv_sec;
	rec->mtime_nsec = (u32)inode->i_mtime.tv_nsec;
}

/* As much of a run of pages as is in the file; how many pages that is. */
static u64 piece(const struct ovm_rec_run __host *run, u64 size,
		 struct ovm_rec_ghost_data __host *rec)
{
	u64 pages = (size + PAGE_SIZE - 1) >> PAGE_SHIFT, nr = run->nr;

	if (run->index >= pages)
		return 0;
	if (nr > pages - run->index)
		nr = pages - run->index;
	if ((run->pfn + nr) >> MAX_PFN_BITS)
		llv_fail(LLV_CORRUPT, 0, "page cache leads to memory that can't be");
	rec->offset = run->index << PAGE_SHIFT;
	llv_bytes(&rec->bytes, page_offset_base + (run->pfn << PAGE_SHIFT),
		  nr << PAGE_SHIFT < size - rec->offset ? nr << PAGE_SHIFT : size - rec->offset);
	return nr;
}

static void content(struct ovm_rec_ghost __host *rec, const struct ovm_rec_shmem __host *cache)
{
	struct ovm_rec_ghost_data __host *__host *link = &rec->data;
	u64 pages = (rec->size + PAGE_SIZE - 1) >> PAGE_SHIFT, nr = 0, end = 0;

	for (struct ovm_rec_runs __host *runs = cache->runs; runs; runs = runs->next)
		for (u32 i = 0; i < runs->nr; i++) {
			struct ovm_rec_ghost_data __host *data = llv_new(struct ovm_rec_ghost_data);
			u64 found;

			if (runs->run[i].index < end)
				llv_fail(LLV_CORRUPT, 0, "pages of a file overlap");
			found = piece(&runs->run[i], rec->size, data);
			if (!found)
				break;
			end = runs->run[i].index + found;
			nr += found;
			*link = data;
			link = &data->next;
		}
	rec->nr_missing = pages - nr;
}

static struct ovm_rec_ghost __host *one(const struct inode *inode, u64 limit)
{
	struct ovm_rec_ghost __host *rec = llv_new(struct ovm_rec_ghost);
	const struct ovm_rec_shmem __host *cache;

	rec->inode = OVM_IDENTITY(inode);
	times(inode, rec);
	if (!ovm_inode_is_ghost(inode))
		return rec;
	rec->size = inode->i_size;
	rec->too_large = rec->size > limit;
	if (rec->too_large)
		return rec;
	cache = ovm_page_cache(inode);
	content(rec, cache);
	/* What is not there is a hole, unless it was swapped out. */
	if (is_memory_only(inode->i_sb))
		rec->nr_missing = cache->nr_swapped;
	return rec;
}

LLV_SHARED struct ovm_rec_ghost __host *ovm_ghost(struct ovm_files __host *files,
						  const struct inode *inode)
{
	struct ovm_rec_ghost __host *__host *bucket =
		&files->ghosts[OVM_FILE_BUCKET(OVM_IDENTITY(inode))];
	struct ovm_rec_ghost __host *rec = *bucket;

	if (!can_be_made(inode))
		return NULL;
	while (rec && rec->inode != OVM_IDENTITY(inode))
		rec = rec->next;
	if (!rec) {
		rec = one(inode, files->ghost_limit);
		rec->next = *bucket;
		*bucket = rec;
	}
	return rec;
}
