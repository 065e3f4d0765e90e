/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Made-up guests for the comparison of back ends: sparse RAM in pieces, many processes, page
 * descriptors, and as much damage as is asked for. A seed and a set of features make the same guest
 * anywhere.
 *
 *	file 0 .. 2 MiB	left alone: holes
 *	2 .. 32 MiB	tables, most of them
 *	32 .. 40 MiB	page descriptors, 2 MiB for each piece of RAM
 *	40 .. 160 MiB	frames of the processes; the last piece has tables, too
 */
#ifndef OVM_TESTS_BACKENDS_MADE_GUEST_H
#define OVM_TESTS_BACKENDS_MADE_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels-cuda/engine.h"

enum {
	MADE_MAX_PIECES = 3,
	MADE_MAX_PROCESSES = 300,
	MADE_MAX_RANGES = 4096,
	MADE_MAX_FILLED = 1024,
};

/** What makes a guest other than the plainest one. */
enum made_feature {
	MADE_FIVE_LEVELS,
	/** A hole below 4 GiB, and one above. */
	MADE_SPLIT_RAM,
	/** The last piece can't be mapped, only read. */
	MADE_READ_ONLY_PIECE,
	/** Pages of 2 MiB and 1 GiB, half in a range. */
	MADE_HUGE,
	/** Entries that are not present. */
	MADE_ABSENT,
	MADE_PROT_NONE,
	/** Entries with bits set that are reserved, and addresses that aren't RAM. */
	MADE_BAD_ENTRIES,
	/** Ranges of a page or two, by the thousand. */
	MADE_TINY_RANGES,
	MADE_ZERO_PAGES,
	/** Frames in no order. */
	MADE_SCATTERED,
	/** Up to 300 processes; some have a table in common. */
	MADE_MANY_PROCESSES,
	/** Nothing is classified. */
	MADE_NO_LAYOUT,
	/** Descriptors behind tables of 4 KiB pages, in no order. */
	MADE_SMALL_DESCRIPTORS,
	/** Some of the descriptors have no place. */
	MADE_LOST_DESCRIPTORS,
	/** Descriptors that say anything. */
	MADE_LYING_DESCRIPTORS,
	/** Tables that point to each other, and to themselves. */
	MADE_LOOPS,
	/** Tables of random words. */
	MADE_NOISE,
	/** Limits that may be reached. */
	MADE_LIMITS,
	/** Memory encryption, few physical bits. */
	MADE_ENCRYPTION,
	/** Processes without ranges, ranges without pages. */
	MADE_EMPTY,
	/** RAM without holes, until the guest makes some. */
	MADE_DENSE,
	MADE_NR_FEATURES,
};

/** A piece of RAM. */
struct made_piece {
	uint64_t gpa;
	uint64_t size;
	/** In the file. */
	uint64_t offset;
	/** Where its descriptors are, and how many bytes those are. */
	uint64_t descriptors, descriptors_size;
};

struct made_process {
	struct ovm_walk_range *ranges;
	size_t nr_ranges;
};

struct made_guest {
	uint64_t seed;
	/** Mask of enum made_feature. */
	uint32_t features;
	uint64_t random;
	unsigned int levels;
	int fd;
	/** The file, mapped. */
	uint8_t *ram;
	uint64_t file_size;
	struct made_piece pieces[MADE_MAX_PIECES];
	unsigned int nr_pieces;
	struct ovm_memory *memory;
	/** Tables in the first and in the last piece; the next ones and where their room ends. */
	uint64_t next_table[2], tables_end[2];
	struct ovm_page_layout layout;
	struct ovm_gpa_range zero_pages[2];
	struct made_process processes[MADE_MAX_PROCESSES];
	struct ovm_walk_request requests[MADE_MAX_PROCESSES];
	size_t nr_processes;
	/** Where the frame is that went last into a table. */
	uint64_t last_frame;
	/** Some of the frames that were given content. */
	uint64_t filled[MADE_MAX_FILLED];
	uint64_t nr_filled;
};

/** Make a guest; @small: of few pages. */
struct ovm_error *made_guest_create(uint64_t seed, uint32_t features, bool small,
				    struct made_guest **ret);

/** NULL is fine. */
void made_guest_destroy(struct made_guest *guest);

/**
 * Do what a guest does between two dumps: pages become holes or get data, entries change.
 * Returns how many pages were discarded.
 */
unsigned int made_guest_go_on(struct made_guest *guest);

/** The next random number below @n. */
uint64_t made_random(struct made_guest *guest, uint64_t n);

/** Where guest physical memory is in this process; NULL if not RAM. */
uint8_t *made_at(const struct made_guest *guest, uint64_t gpa);

/** Blocks of 512 bytes that the RAM file takes. */
uint64_t made_allocated(const struct made_guest *guest);

/** Name of a feature. */
const char *made_feature_name(unsigned int feature);

#endif /* OVM_TESTS_BACKENDS_MADE_GUEST_H */
