/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which parts of a file of guest RAM have data, and whether that may have changed.
 *
 * SEEK_HOLE takes time in proportion to the data that it passes, and keeps others from
 * punching holes meanwhile; so what it found is kept until the file is looked at again. Data
 * that is asked for in rising order costs one pass through the file, however it is divided.
 */
#ifndef OVM_KERNELS_CUDA_RAM_FILE_H
#define OVM_KERNELS_CUDA_RAM_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "../vmi/error.h"

enum ovm_ram_file_kind {
	/** On a file system where pages may be replaced behind everybody's back. */
	OVM_RAM_FILE_OTHER,
	/** On tmpfs, memfds included. */
	OVM_RAM_FILE_TMPFS,
	/** On hugetlbfs: only whether there are any holes can be told, not where. */
	OVM_RAM_FILE_HUGE,
};

struct ovm_ram_file {
	/** Not owned. */
	int fd;
	dev_t device;
	ino_t inode;
	enum ovm_ram_file_kind kind;
	/** What it is allocated in: 4 KiB, or the size of a huge page. */
	uint64_t page_size;
	/** Bytes, and bytes that take up memory or swap, when it was last looked at. */
	uint64_t size, allocated;
	struct timespec ctime;
	/** Whether any later change shows as another ctime. */
	bool settled;
	/** No holes in here. */
	uint64_t data_start, data_end;
	bool no_cachestat;
};

/** Look at a file for the first time. */
struct ovm_error *ovm_ram_file_init(struct ovm_ram_file *file, int fd);

/** Look at it again. */
struct ovm_error *ovm_ram_file_look(struct ovm_ram_file *file);

/** Whether no hole was punched and no page was added since it was last looked at; if in doubt: no.
 * What is still under way doesn't count. */
bool ovm_ram_file_unchanged(const struct ovm_ram_file *file);

/**
 * Find the first data in [@from, @end), in multiples of 4 KiB. Returns false if there is none, or
 * if it can't be told where.
 *
 * @data, @hole: where it starts and ends
 */
bool ovm_ram_file_next(struct ovm_ram_file *file, uint64_t from, uint64_t end, uint64_t *data,
		       uint64_t *hole);

/** Whether a piece has no holes at this moment. A kernel that can't tell makes it a yes. */
bool ovm_ram_file_is_full(struct ovm_ram_file *file, uint64_t offset, uint64_t size);

#endif /* OVM_KERNELS_CUDA_RAM_FILE_H */
