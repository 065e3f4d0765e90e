/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From records to CRIU images.
 *
 * The image writer knows records and CRIU's format (as of 3.17.1), not the
 * guest: all that needs guest memory has been settled before it is called.
 * Page contents are not its business either; it writes the pagemaps, and says
 * which pages-N.img file holds what.
 */
#ifndef OVM_HOST_IMAGE_IMAGE_H
#define OVM_HOST_IMAGE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmi/error.h"
#include "vmi/extract/record.h"

/** A thread as it is to be resumed: the record, with all that depends on where it was settled. */
struct ovm_image_thread {
	const struct ovm_rec_thread *rec;
	/** General registers after the system-call restart was worked out. */
	struct ovm_rec_regs regs;
	uint64_t fs_base, gs_base;
	/** XSAVE area in the standard (non-compacted) form with XSTATE_BV as it was; owned by the
	 * caller. */
	const uint8_t *xsave;
	size_t xsave_size;
	/** Signal mask to resume with. */
	uint64_t blocked;
};

/** A run of pages in a pages image; adjacent runs have been merged. */
struct ovm_image_pagemap_entry {
	/** Address, or offset in the object for shared memory; bytes. */
	uint64_t address;
	/** Pages; may exceed 32 bits: the writer splits. */
	uint64_t nr_pages;
	/** Not in the pages image: the images of the parent have them. */
	bool in_parent;
	/** Their bytes begin at a multiple of 4 KiB, behind those of the entry before. */
	bool aligned;
	/** Where the bytes begin in the pages image. */
	uint64_t offset;
	/** Bytes that each block of them takes; no blocks: they are not compressed. */
	const uint32_t *block_sizes;
	size_t nr_blocks;
};

struct ovm_image_pagemap {
	const struct ovm_image_pagemap_entry *entries;
	size_t nr;
	/** N of pages-N.img. */
	uint32_t pages_id;
	/** Pages of each block but an entry's last one; 0: nothing is compressed. */
	uint32_t block_pages;
	/** The number by which the parent's images have the same memory: that of this pagemap. */
	uint64_t number;
};

struct ovm_image_shmem {
	const struct ovm_rec_shmem *rec;
	struct ovm_image_pagemap pagemap;
};

struct ovm_image_timer {
	/** ns until it fires; 0: not armed. Interval, ns. */
	uint64_t remaining, interval;
};

struct ovm_image_posix_timer {
	const struct ovm_rec_posix_timer *rec;
	uint64_t remaining;
};

struct ovm_image_process {
	const struct ovm_rec_process *rec;
	const struct ovm_image_thread *threads; /* the leader first; of a zombie only its record */
	size_t nr_threads;
	struct ovm_image_pagemap pagemap;
	struct ovm_image_timer real, virt, prof;
	const struct ovm_image_posix_timer *posix_timers;
	size_t nr_posix_timers;
};

/** Figures for stats-dump, microseconds and pages. */
struct ovm_image_stats {
	uint32_t freezing_us, frozen_us, memdump_us, memwrite_us;
	uint64_t pages_scanned, pages_skipped_parent, pages_written, pages_lazy;
	uint64_t shpages_scanned, shpages_skipped_parent, shpages_written;
};

struct ovm_image_set {
	const struct ovm_rec_tree *tree;
	/** Those of the tree, in its order. */
	const struct ovm_image_process *processes;
	size_t nr_processes;
	/** The content of its shared memory. */
	const struct ovm_image_shmem *shmem;
	size_t nr_shmem;
	/** Guest clocks at the moment of the dump, ns, as the initial time namespace has them. */
	uint64_t clock_monotonic, clock_boottime, clock_realtime;
	struct ovm_image_stats stats;
	/** Number of the guest's CPUs, to tell whether threads may run on all of them; 0: unknown.
	 */
	uint32_t nr_cpus;
	/** Bytes of memory that are compressed at a time; 0: nothing is. */
	uint32_t block_size;
	/** Established TCP connections are saved rather than refused. */
	bool tcp_established;
	/** The session and its terminal may be others' (criu restore --shell-job). */
	bool shell_job;
	/** "unix[INODE]", "pipe[INODE]": what may lead out of the set. */
	const char *const *externals;
	size_t nr_externals;
	/** Receives what is lost though the process can be restored; may be NULL. */
	void (*warn)(void *arg, const char *message);
	void *warn_arg;
};

/** Whether a process has a table of descriptors that was not met with its parent. */
static inline bool ovm_image_owns_files(const struct ovm_rec_process *rec)
{
	return !rec->zombie && rec->files_owner == rec;
}

/**
 * Collect every reason why @set can't be represented, as one OVM_ERROR_NOT_DUMPABLE whose message
 * has a line per reason ("pid 12: fd 5: pipe ..."); NULL when there is none.
 */
struct ovm_error *ovm_image_check(const struct ovm_image_set *set);

/**
 * Write all images but pages-N.img into the directory @dir_fd; files are created with O_EXCL and
 * mode 0600. After a failure the directory holds some of them: the caller removes it.
 *
 * Errors: OVM_ERROR_OUTPUT with the file's name.
 */
struct ovm_error *ovm_image_write(const struct ovm_image_set *set, int dir_fd);

/** Write stats-dump, which needs figures that are known last. */
struct ovm_error *ovm_image_write_stats(const struct ovm_image_stats *stats, int dir_fd);

#endif /* OVM_HOST_IMAGE_IMAGE_H */
