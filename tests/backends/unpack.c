// SPDX-License-Identifier: GPL-2.0-only
#include "unpack.h"

#include <string.h>

#include "unlz4.h"

struct reader {
	const struct ovm_pack_request *request;
	const struct ovm_pack_result *result;
	const uint8_t *out;
	uint8_t *pages;
	uint64_t block_pages;
};

static struct ovm_error *wrong(const struct ovm_pack_piece *piece, const char *what)
{
	return ovm_error_format(OVM_ERROR_CORRUPT, "piece of page %llu: %s",
				(unsigned long long)piece->page, what);
}

static struct ovm_error *unpack_block(const struct reader *reader,
				      const struct ovm_pack_piece *piece, uint64_t block,
				      uint64_t at)
{
	uint64_t first = block * reader->block_pages;
	uint64_t nr = piece->nr_pages - first;
	uint32_t size = reader->result->block_sizes[piece->first_block + block];
	uint8_t *to = reader->pages + ((piece->page + first) << OVM_PAGE_SHIFT);

	if (nr > reader->block_pages)
		nr = reader->block_pages;
	if (!size)
		memset(to, 0, nr << OVM_PAGE_SHIFT);
	else if (size == nr << OVM_PAGE_SHIFT)
		memcpy(to, reader->out + at, size);
	else if (size > nr << OVM_PAGE_SHIFT)
		return wrong(piece, "a block is larger than its pages");
	else if (!unlz4(reader->out + at, size, to, nr << OVM_PAGE_SHIFT))
		return wrong(piece, "a block can't be decoded");
	return NULL;
}

static struct ovm_error *unpack_blocks(const struct reader *reader,
				       const struct ovm_pack_piece *piece)
{
	uint64_t blocks = (piece->nr_pages + reader->block_pages - 1) / reader->block_pages;
	uint64_t at = piece->offset;

	if (piece->nr_blocks != blocks || piece->first_block > reader->result->nr_blocks ||
	    blocks > reader->result->nr_blocks - piece->first_block)
		return wrong(piece, "it has not the blocks that it should");
	for (uint64_t i = 0; i < blocks; i++) {
		uint32_t size = reader->result->block_sizes[piece->first_block + i];
		struct ovm_error *err = NULL;

		if (size > piece->size - (at - piece->offset))
			return wrong(piece, "its blocks are larger than itself");
		err = unpack_block(reader, piece, i, at);
		if (err)
			return err;
		at += size;
	}
	return at - piece->offset == piece->size ? NULL : wrong(piece, "its blocks don't fill it");
}

static struct ovm_error *unpack_piece(const struct reader *reader,
				      const struct ovm_pack_piece *piece)
{
	uint64_t end = reader->request->base + reader->result->bytes;

	if (piece->how == OVM_PACKED_ZERO || piece->how == OVM_PACKED_UNCHANGED)
		return NULL;
	if (piece->offset < reader->request->base || piece->offset > end ||
	    piece->size > end - piece->offset)
		return wrong(piece, "it is not in the sink");
	if (piece->how == OVM_PACKED_LZ4)
		return unpack_blocks(reader, piece);
	if (piece->how != OVM_PACKED_RAW || piece->size != piece->nr_pages << OVM_PAGE_SHIFT)
		return wrong(piece, "its size is not that of its pages");
	memcpy(reader->pages + (piece->page << OVM_PAGE_SHIFT), reader->out + piece->offset,
	       piece->size);
	return NULL;
}

static uint8_t state_of(const struct ovm_pack_piece *piece)
{
	if (piece->how == OVM_PACKED_ZERO)
		return UNPACKED_ZERO;
	return piece->how == OVM_PACKED_UNCHANGED ? UNPACKED_UNCHANGED : UNPACKED_KEPT;
}

struct ovm_error *unpack(const struct ovm_pack_request *request,
			 const struct ovm_pack_result *result, const uint8_t *out, size_t size,
			 uint8_t *pages, uint8_t *states, uint64_t nr_pages)
{
	const struct reader reader = {
		.request = request,
		.result = result,
		.out = out,
		.pages = pages,
		.block_pages = request->block_pages ? request->block_pages : 1,
	};
	uint64_t next = 0;

	if (request->base > size || result->bytes > size - request->base)
		return ovm_error_format(OVM_ERROR_CORRUPT, "more was packed than is in the sink");
	for (size_t i = 0; i < result->nr_pieces; i++) {
		const struct ovm_pack_piece *piece = &result->pieces[i];
		struct ovm_error *err;

		if (piece->page != next || piece->nr_pages > nr_pages - next)
			return wrong(piece, "it doesn't follow the one before");
		err = unpack_piece(&reader, piece);
		if (err)
			return err;
		memset(states + next, state_of(piece), piece->nr_pages);
		next += piece->nr_pages;
	}
	if (next != nr_pages)
		return ovm_error_format(OVM_ERROR_CORRUPT, "not all pages were packed");
	return NULL;
}
