// SPDX-License-Identifier: GPL-2.0-only
#include "ram_file.h"

#include <errno.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "run.h"

#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

enum {
	/* The largest unit in which tmpfs allocates. */
	HUGE_PAGE = 2 << 20,
	/* Two ticks of the slowest clock, which file times are taken from. */
	SETTLE_NS = 2 * 10 * 1000 * 1000,
};

/*
 * Punching a hole and truncating set ctime when they are done (mm/shmem.c, shmem_truncate_range()
 * and shmem_setattr(), Linux 2.6.32 to 6.18). It comes from a clock that advances with each tick,
 * so a change within the tick of the last one might not show.
 */
static bool is_settled(const struct timespec *ctime)
{
	struct timespec now;

	if (clock_gettime(CLOCK_REALTIME, &now))
		return false;

	int64_t seconds = (int64_t)now.tv_sec - ctime->tv_sec;

	if (seconds < 0 || seconds > 1)
		return seconds > 1;
	return seconds * 1000000000 + now.tv_nsec - ctime->tv_nsec > SETTLE_NS;
}

struct ovm_error *ovm_ram_file_look(struct ovm_ram_file *file)
{
	struct stat st;

	if (fstat(file->fd, &st))
		return ovm_error_errno(OVM_ERROR_UNREACHABLE, errno, NULL,
				       "can't look at the guest's RAM file");
	file->size = (uint64_t)st.st_size;
	file->allocated = (uint64_t)st.st_blocks * 512;
	file->ctime = st.st_ctim;
	/* hugetlbfs leaves ctime alone when a hole is punched. */
	file->settled = file->kind == OVM_RAM_FILE_TMPFS && is_settled(&st.st_ctim);
	file->data_start = file->data_end = 0;
	/* Only the last page of a file, which may be a huge one, can take memory beyond its end. */
	if (file->kind != OVM_RAM_FILE_OTHER && file->allocated >= file->size &&
	    file->size % HUGE_PAGE == 0)
		file->data_end = file->size;
	return NULL;
}

struct ovm_error *ovm_ram_file_init(struct ovm_ram_file *file, int fd)
{
	struct statfs fs;
	struct stat st;

	*file = (struct ovm_ram_file){.fd = fd};
	if (fstat(fd, &st) || fstatfs(fd, &fs))
		return ovm_error_errno(OVM_ERROR_UNREACHABLE, errno, NULL,
				       "can't look at the guest's RAM file");
	file->device = st.st_dev;
	file->inode = st.st_ino;
	file->page_size = OVM_PAGE_SIZE;
	if (fs.f_type == TMPFS_MAGIC)
		file->kind = OVM_RAM_FILE_TMPFS;
	if (fs.f_type == HUGETLBFS_MAGIC) {
		file->kind = OVM_RAM_FILE_HUGE;
		file->page_size = (uint64_t)fs.f_bsize;
	}
	return ovm_ram_file_look(file);
}

bool ovm_ram_file_unchanged(const struct ovm_ram_file *file)
{
	struct stat st;

	return file->settled && !fstat(file->fd, &st) && (uint64_t)st.st_size == file->size &&
	       (uint64_t)st.st_blocks * 512 == file->allocated &&
	       st.st_ctim.tv_sec == file->ctime.tv_sec && st.st_ctim.tv_nsec == file->ctime.tv_nsec;
}

/* The offset of a descriptor that others use too moves; nobody depends on it. */
static bool seek(const struct ovm_ram_file *file, uint64_t from, int whence, uint64_t *ret)
{
	off_t found = lseek(file->fd, (off_t)from, whence);

	*ret = (uint64_t)found;
	return found >= 0;
}

bool ovm_ram_file_next(struct ovm_ram_file *file, uint64_t from, uint64_t end, uint64_t *data,
		       uint64_t *hole)
{
	const uint64_t mask = OVM_PAGE_SIZE - 1;

	if (from >= end)
		return false;
	if (from < file->data_start || from >= file->data_end) {
		uint64_t start, stop;

		if (file->kind == OVM_RAM_FILE_HUGE)
			return false;
		if (!seek(file, from, SEEK_DATA, &start) || start >= end ||
		    !seek(file, start, SEEK_HOLE, &stop))
			return false;
		file->data_start = (start + mask) & ~mask;
		file->data_end = stop & ~mask;
		from = file->data_start;
	}
	*data = from;
	*hole = file->data_end < end ? file->data_end : end;
	return *data < *hole;
}

/*
 * cachestat(fd, struct { u64 off, len; }, struct { u64 nr_cache, nr_dirty, nr_writeback,
 * nr_evicted, nr_recently_evicted; }, 0). Evicted from tmpfs means swapped out.
 * Source: Linux 6.5, include/uapi/linux/mman.h; mm/filemap.c, filemap_cachestat().
 */
bool ovm_ram_file_is_full(struct ovm_ram_file *file, uint64_t offset, uint64_t size)
{
	uint64_t where[2] = {offset, size};
	uint64_t stat[5];

	if (file->kind == OVM_RAM_FILE_HUGE) {
		struct stat st;

		return !fstat(file->fd, &st) && (uint64_t)st.st_blocks * 512 >= file->size;
	}
	if (file->no_cachestat)
		return true;
	if (syscall(SYS_cachestat, file->fd, where, stat, 0)) {
		file->no_cachestat = true;
		return true;
	}
	return stat[0] + stat[3] >= size / OVM_PAGE_SIZE;
}
