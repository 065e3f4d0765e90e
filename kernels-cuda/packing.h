/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The part of packing that all back ends share: what to work on at a time, what becomes of each
 * page, and where it goes.
 *
 * Pages are worked on in chunks. How pages are divided into chunks depends on the request
 * only, and so do the pieces that each is cut into; hence chunks can be worked on at the same
 * time. Only where a chunk's bytes go depends on the chunk before: ovm_packing_place() is called
 * for one chunk after the other, by rising index.
 */
#ifndef OVM_KERNELS_CUDA_PACKING_H
#define OVM_KERNELS_CUDA_PACKING_H

#include "engine.h"
#include "lz4block.h"
#include "pagehash.h"

enum {
	/** Most pages of a chunk, if blocks aren't larger. */
	OVM_PACKING_CHUNK_PAGES = 512,
};

/** Consecutive pages of a request. */
struct ovm_packing_chunk {
	/** The first page, and how many there are. */
	uint64_t page;
	uint32_t nr_pages;
	/** Index of the copy and of the extent that the first page is in, and its number there. */
	size_t copy;
	uint64_t copy_skip;
	size_t extent;
	uint64_t extent_skip;
};

/** What is known of a chunk; room for the largest one. */
struct ovm_packing_work {
	/** Of each page: it is zero (set whatever the extent allows), and its hash. */
	uint8_t *zero;
	struct ovm_page_hash *hashes;
	/** Its pieces: page, first_block and nr_blocks count from the chunk's start. */
	struct ovm_pack_piece *pieces;
	uint32_t nr_pieces;
	/** The blocks of compressed pieces, and what each takes; 0: it has only zero pages. */
	struct ovm_lz4_block *blocks;
	uint32_t *sizes;
	uint32_t nr_blocks;
	/** Where its bytes go, and the padding before each piece, which is in its place there. */
	uint64_t offset;
	uint32_t *padding;
};

struct ovm_packing {
	const struct ovm_pack_request *request;
	struct ovm_packing_chunk *chunks;
	size_t nr_chunks;
	/** Pages of the largest chunk allowed. */
	uint32_t max_pages;
	uint64_t nr_pages;
	/** Whether pages have to be hashed, and with which key. */
	const struct ovm_hash_key *key;
	/** The hashes that are made, or NULL. */
	struct ovm_page_hashes *hashes;
	/** Whether the hashes are only this request's. */
	bool own_hashes;
	struct ovm_page_hash zero_hash;
	/** Where the next chunk's bytes go. */
	uint64_t offset;
	struct ovm_pack_result *result;
	size_t pieces_size, blocks_size;
};

/** Check and plan a request, which must outlive the packing. Is to be deinitialised in any case. */
struct ovm_error *ovm_packing_init(struct ovm_packing *packing,
				   const struct ovm_pack_request *request);
void ovm_packing_deinit(struct ovm_packing *packing);

/** Make room for chunks of a packing; is to be deinitialised in any case. */
struct ovm_error *ovm_packing_work_init(struct ovm_packing_work *work,
					const struct ovm_packing *packing);
void ovm_packing_work_deinit(struct ovm_packing_work *work);

/**
 * Cut a chunk into pieces and blocks by what work->zero and, if pages have to be hashed,
 * work->hashes say. Sets the sizes of blocks that have only zero pages; what is to be compressed
 * are the others. Threads may do this for different chunks at the same time.
 */
void ovm_packing_cut(struct ovm_packing *packing, const struct ovm_packing_chunk *chunk,
		     struct ovm_packing_work *work);

/**
 * Say where the bytes of a chunk go, by the sizes of its blocks, and take its pieces into the
 * result. To be called for one chunk after the other.
 */
struct ovm_error *ovm_packing_place(struct ovm_packing *packing,
				    const struct ovm_packing_chunk *chunk,
				    struct ovm_packing_work *work);

/** Give the result out, after all chunks. */
struct ovm_error *ovm_packing_finish(struct ovm_packing *packing, struct ovm_engine *engine,
				     struct ovm_pack_result **ret);

/** Find duplicates among the pages that are in the sink: see pack.h. */
struct ovm_error *ovm_packing_duplicates(const struct ovm_packing *packing,
					 struct ovm_engine *engine, struct ovm_pack_result *result);

/** The byte of guest RAM that is first of page @page of a request. */
uint64_t ovm_packing_gpa(const struct ovm_pack_request *request, uint64_t page);

/** The hash of a page, as fast as this CPU can. */
struct ovm_page_hash ovm_cpu_hash_page(const struct ovm_hash_key *key, const void *page);

#endif /* OVM_KERNELS_CUDA_PACKING_H */
