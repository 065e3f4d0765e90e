/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Operations that make an image smaller, done on the pages of a process in one pass.
 *
 * The pages of a request have numbers, counted from 0 in the order in which they are
 * asked for. Each is copied once, and all that is said of it is said of that copy. Then, as
 * far as its extent allows:
 *
 *  - a page of zeroes is left out,
 *  - a page whose hash is that of the same page of the parent image is left out,
 *  - what is left is compressed by LZ4, in blocks, or written as it is.
 *
 * The result is a list of pieces, each of which can become an entry of a pagemap.
 *
 * Compressed pages in CRIU's format (image version 3):
 *
 *	pagemap_entry.blocks (6) = {
 *		block_sizes (1): packed uint32
 *		total_payload_size (2): uint64, the sum of the sizes
 *		pages_per_block (3): uint32, 1 to 1024; CRIU's default is 64
 *	}
 *	pagemap_entry.flags (4): 1 in parent, 2 lazy, 4 present, 8 payload aligned
 *	inventory_entry.compress (15) = 1, compress_block_size (16) = bytes, img_version = 3
 *
 * Blocks are counted from the start of their entry; only the last may have fewer pages, and
 * none crosses entries. Payloads follow each other in the pages file. A block
 * is one of these, told apart by its size:
 *
 *  - 0: all its pages are zero, and it has no payload
 *  - the size of its pages: it is stored as it is
 *  - less: one LZ4 block (no frame, no dictionary) that decodes to all of its pages
 *
 * A block that LZ4 makes larger, or as large, must hence be stored as it is; CRIU
 * does that from 7/8 of the size on. Entries without blocks are stored as they are: that is also
 * how an entry all of whose blocks are stored as they are is written. Flag 8 says that
 * an entry's payload begins at the next multiple of 4 KiB in the pages file, after padding; CRIU
 * sets it where the first payload of an entry is not compressed, because
 * it reads what isn't aligned slowly. Only entries with flag 4 may have blocks or flag 8.
 * Inherited entries (flag 1) name pages of the parent, which may be compressed otherwise.
 * Mappings of huge pages (hugetlb) and of plugins must not be compressed.
 * compress_block_size is for information; its number was seen under its former name only.
 *
 * Sources: CRIU's development branch of August 2026, criu/pagemap.c, criu/page-xfer.c,
 * criu/include/compression.h; go-criu of the same month, crit/images/pagemap.proto. A form that
 * was never released had sizes in fields 6 to 8 of the entry itself, and modes 1 and 2.
 */
#ifndef OVM_KERNELS_CUDA_PACK_H
#define OVM_KERNELS_CUDA_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../vmi/error.h"
#include "run.h"

#ifdef __cplusplus
extern "C" {
#endif

struct ovm_copy_run;
struct ovm_engine;
struct ovm_page_sink;

enum {
	/** Numbers of a hash key: see pagehash.h. */
	OVM_HASH_KEY_WORDS = OVM_PAGE_SIZE / 4 + 8,
	OVM_HASH_KEY_FOLDS = 16,
	/** Most pages of an LZ4 block. */
	OVM_PACK_MAX_BLOCK_PAGES = 1024,
};

/**
 * The key of page hashes, all of it random and unknown to guests: two pages that a guest chooses
 * without it have the same hash with a probability below 2^-121.
 */
struct ovm_hash_key {
	uint64_t fold[OVM_HASH_KEY_FOLDS];
	uint32_t word[OVM_HASH_KEY_WORDS];
};

/** The hash of a page. */
struct ovm_page_hash {
	uint64_t word[2];
};

/** Hashes of pages, with the key that they were made with; plain data that may be kept in files. */
struct ovm_page_hashes {
	struct ovm_hash_key key;
	uint64_t nr;
	struct ovm_page_hash *hashes;
};

/**
 * Make room for the hashes of @nr pages. The key becomes that of @parent, or a new one when that
 * is NULL.
 */
struct ovm_error *ovm_page_hashes_create(const struct ovm_page_hashes *parent, uint64_t nr,
					 struct ovm_page_hashes **ret);

/** Free hashes; NULL is fine. */
void ovm_page_hashes_free(struct ovm_page_hashes *hashes);

/** What may be done with the pages of an extent. */
enum ovm_pack_ops {
	/** Leave out pages of zeroes. */
	OVM_PACK_DROP_ZERO = 1 << 0,
	/** Leave out pages that are as in the parent. */
	OVM_PACK_DROP_UNCHANGED = 1 << 1,
	/** Compress. Pages of zeroes cost nothing in a block of their own, and next to nothing in
	 * one with others; to leave them out too makes for smaller blocks. */
	OVM_PACK_LZ4 = 1 << 2,
	OVM_PACK_ALL = (1 << 3) - 1,
};

/** That the parent has none of an extent's pages. */
#define OVM_PACK_NO_PARENT UINT64_MAX

/** Pages that can be in one entry of a pagemap: no piece of the result crosses extents. */
struct ovm_pack_extent {
	uint64_t nr_pages;
	/** Index of the hash of the first page in the parent's hashes, or OVM_PACK_NO_PARENT. */
	uint64_t parent;
	/** enum ovm_pack_ops. */
	uint32_t ops;
	uint32_t reserved;
};

struct ovm_pack_request {
	/** sizeof(struct ovm_pack_request). */
	size_t size;
	/** Where the pages are, in order; their offsets are prefix sums, as in a page list. */
	const struct ovm_copy_run *copies;
	size_t nr_copies;
	/** The same pages. */
	const struct ovm_pack_extent *extents;
	size_t nr_extents;
	struct ovm_page_sink *sink;
	/** Where in the sink the first piece goes, in bytes. */
	uint64_t base;
	/** Pages of an LZ4 block, up to OVM_PACK_MAX_BLOCK_PAGES; 0 means 1. */
	uint32_t block_pages;
	/** From 1 on: the higher, the faster and the larger; 0 means 1. */
	uint32_t acceleration;
	/** Begin each piece whose first payload isn't compressed at a multiple of 4 KiB. */
	bool align;
	/** Find pages that equal earlier ones. */
	bool find_duplicates;
	/** Needed by OVM_PACK_DROP_UNCHANGED; may be NULL. */
	const struct ovm_page_hashes *parent;
	/**
	 * Made by ovm_page_hashes_create() from @parent, for all pages; is filled. May be NULL.
	 */
	struct ovm_page_hashes *hashes;
	/** Asked now and then; true stops. May be NULL. */
	bool (*cancelled)(void *arg);
	/** Told how many bytes of pages of how many are done. May be NULL. */
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
};

/** What was done with pages. */
enum ovm_pack_how {
	/** They are in the sink. */
	OVM_PACKED_RAW,
	/** They are in the sink as blocks, of which at least one is not as large as its pages. */
	OVM_PACKED_LZ4,
	/** Left out: they are zero. */
	OVM_PACKED_ZERO,
	/** Left out: they are as in the parent. */
	OVM_PACKED_UNCHANGED,
	OVM_PACKED_NR,
};

struct ovm_pack_piece {
	/** The first page. */
	uint64_t page;
	uint64_t nr_pages;
	/** Where it is in the sink, in bytes, the base included; 0 for pages that are left out. */
	uint64_t offset;
	/** Bytes in the sink. */
	uint64_t size;
	/** OVM_PACKED_LZ4: index of its first block size. */
	uint64_t first_block;
	/** OVM_PACKED_LZ4: its blocks, all but the last of block_pages pages. */
	uint64_t nr_blocks;
	/** Index of its extent. */
	uint64_t extent;
	/** enum ovm_pack_how. */
	uint8_t how;
	/** There may be padding before it: request.align, and it begins with what isn't compressed.
	 */
	bool aligned;
};

/** A page that equals an earlier one. */
struct ovm_pack_duplicate {
	uint64_t page;
	/** The first page that it equals. */
	uint64_t of;
};

struct ovm_pack_result {
	/** In the order of pages, without gaps. Adjacent pieces of an extent may be alike. */
	struct ovm_pack_piece *pieces;
	size_t nr_pieces;
	/** Bytes that each block takes: 0 means zero pages; all that they have: not compressed. */
	uint32_t *block_sizes;
	size_t nr_blocks;
	/**
	 * Bytes in the sink, padding included, from the base on. There may be others behind them:
	 * when a device has failed, what the CPU has written may be shorter.
	 */
	uint64_t bytes;
	/** Pages by what was done with them. */
	uint64_t pages[OVM_PACKED_NR];
	/** Blocks that are 0, and blocks that aren't compressed. */
	uint64_t zero_blocks, raw_blocks;
	/**
	 * By rising page, none of which was left out. Both pages were read once more and compared;
	 * what a guest that runs has changed meanwhile is not in it.
	 */
	struct ovm_pack_duplicate *duplicates;
	size_t nr_duplicates;
};

/**
 * Pack pages into a sink. Pieces, block boundaries and what they say of pages do not depend on the
 * number of threads or the back end; the compressed bytes may depend on the back end.
 *
 * The sink's write function is called by several threads, in any order, as for a copy.
 * After an error the sink holds some of the output, and @request->hashes anything.
 *
 * Errors: OVM_ERROR_USAGE, OVM_ERROR_FAULT for what is not RAM, OVM_ERROR_OUTPUT,
 * OVM_ERROR_CANCELLED, OVM_ERROR_UNREACHABLE, OVM_ERROR_NO_MEMORY, what a custom sink returns.
 */
struct ovm_error *ovm_engine_pack(struct ovm_engine *engine, const struct ovm_pack_request *request,
				  struct ovm_pack_result **ret);

/** Free a result; NULL is fine. */
void ovm_pack_result_free(struct ovm_pack_result *result);

#ifdef __cplusplus
}
#endif

#endif /* OVM_KERNELS_CUDA_PACK_H */
