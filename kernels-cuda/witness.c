// SPDX-License-Identifier: GPL-2.0-only
#include "witness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "run.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

enum {
	HUGE_PAGE = 2 << 20,
	/* Entries of /proc/self/pagemap that are read at once: those of 8 MiB. */
	NR_ENTRIES = 2048,
};

/*
 * ioctl(PAGEMAP_SCAN): find pages by category. Returns the number of regions found; walk_end is
 * where it stopped. Source: Linux 6.7, include/uapi/linux/fs.h.
 */
struct scan_region {
	uint64_t start, end, categories;
};

struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define SCAN	     _IOWR('f', 16, struct scan_arg)
#define SCAN_PRESENT (UINT64_C(1) << 3)

/* 1: a page is absent; 0: all are present; -1: can't tell. */
static int scan(int fd, const void *memory, size_t size)
{
	struct scan_region region;
	struct scan_arg arg = {
		.size = sizeof(arg),
		.start = (uintptr_t)memory,
		.end = (uintptr_t)memory + size,
		.vec = (uintptr_t)&region,
		.vec_len = 1,
		.max_pages = 1,
		.category_inverted = SCAN_PRESENT,
		.category_mask = SCAN_PRESENT,
		.return_mask = SCAN_PRESENT,
	};
	int found = ioctl(fd, SCAN, &arg);

	if (found)
		return found > 0 ? 1 : -1;
	return arg.walk_end == arg.end ? 0 : -1;
}

/*
 * /proc/PID/pagemap: 8 bytes a page; bit 63: present. The rest is for the privileged.
 * Source: Linux, Documentation/admin-guide/mm/pagemap.rst.
 */
static bool read_present(int fd, const void *memory, size_t size)
{
	uint64_t page = (uintptr_t)memory / OVM_PAGE_SIZE, left = size / OVM_PAGE_SIZE;
	uint64_t entries[NR_ENTRIES];

	while (left) {
		size_t nr = left < NR_ENTRIES ? left : NR_ENTRIES;
		ssize_t n = pread(fd, entries, nr * 8, (off_t)(page * 8));

		if (n < 8)
			return false;
		nr = (size_t)n / 8;
		for (size_t i = 0; i < nr; i++) {
			if (!(entries[i] >> 63))
				return false;
		}
		page += nr;
		left -= nr;
	}
	return true;
}

int ovm_pagemap_open(struct ovm_pagemap *pagemap)
{
	pagemap->scan = false;
	pagemap->fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (pagemap->fd < 0)
		return errno;

	uintptr_t page = (uintptr_t)pagemap / OVM_PAGE_SIZE * OVM_PAGE_SIZE;

	/* This page is there: it was just written to. */
	pagemap->scan = scan(pagemap->fd, (const void *)page, OVM_PAGE_SIZE) == 0;
	return 0;
}

void ovm_pagemap_close(struct ovm_pagemap *pagemap)
{
	if (pagemap->fd >= 0)
		close(pagemap->fd);
	pagemap->fd = -1;
}

bool ovm_pagemap_is_present(const struct ovm_pagemap *pagemap, const void *memory, size_t size)
{
	if (pagemap->scan)
		return scan(pagemap->fd, memory, size) == 0;
	return read_present(pagemap->fd, memory, size);
}

/* Map a file over what is reserved; returns an errno. */
static int map_file(uint8_t *map, size_t size, int fd, uint64_t offset, bool writable)
{
	const int flags = MAP_SHARED | MAP_NORESERVE | MAP_FIXED;
	char path[32];
	void *ret;
	int again;

	if (!writable)
		return mmap(map, size, PROT_READ, flags, fd, (off_t)offset) == MAP_FAILED ? errno
											  : 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR | O_CLOEXEC);
	if (again < 0)
		return errno;
	ret = mmap(map, size, PROT_READ | PROT_WRITE, flags, again, (off_t)offset);

	int errnum = ret == MAP_FAILED ? errno : 0;

	close(again);
	return errnum;
}

int ovm_window_open(struct ovm_window *window, int fd, uint64_t offset, size_t size,
		    size_t page_size, bool writable)
{
	size_t unit = page_size > HUGE_PAGE ? page_size : HUGE_PAGE;
	size_t room = size + unit + 2 * OVM_PAGE_SIZE;
	uint8_t *reserved =
		mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (reserved == MAP_FAILED)
		return errno;

	uintptr_t first = (uintptr_t)reserved + OVM_PAGE_SIZE;
	uint8_t *map = reserved + OVM_PAGE_SIZE + (offset - first) % unit;

	int errnum = map_file(map, size, fd, offset, writable);

	if (errnum) {
		munmap(reserved, room);
		return errnum;
	}
	/* The guest's memory has no place in a core dump of this process, nor in its children. */
	madvise(map, size, MADV_DONTDUMP);
	madvise(map, size, MADV_DONTFORK);
	*window = (struct ovm_window){map, size, reserved, room};
	return 0;
}

void ovm_window_close(struct ovm_window *window)
{
	if (window->reserved)
		munmap(window->reserved, window->reserved_size);
	*window = (struct ovm_window){0};
}

int ovm_witness_open(struct ovm_window *window, int fd, uint64_t offset, size_t size,
		     size_t page_size)
{
	int errnum = ovm_window_open(window, fd, offset, size, page_size, false);

	if (errnum)
		return errnum;
	if (!madvise(window->map, size, MADV_POPULATE_READ))
		return 0;
	errnum = errno;
	ovm_window_close(window);
	return errnum;
}
