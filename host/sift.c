// SPDX-License-Identifier: GPL-2.0-only
#include "sift.h"

#include <stdlib.h>
#include <string.h>

#include "host/parent.h"
#include "vmi/cleanup.h"

enum { WORDS = 32 };

/* The engine copies into a sink; this one looks instead. */
struct sift {
	const struct ovm_sift_request *request;
	uint8_t *answer;
	/* Of one call of the sink. */
	struct ovm_parent_lookup *lookup;
};

static bool is_zero(const uint8_t *page)
{
	for (size_t at = 0; at < OVM_PAGE_SIZE; at += WORDS * sizeof(uint64_t)) {
		uint64_t words[WORDS], all = 0;

		memcpy(words, page + at, sizeof(words));
		for (size_t i = 0; i < WORDS; i++)
			all |= words[i];
		if (all)
			return false;
	}
	return true;
}

/* The piece that holds the answer @index. */
static const struct ovm_sift_piece *find_piece(const struct ovm_sift_request *request,
					       uint64_t index)
{
	size_t low = 0, high = request->nr;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (request->pieces[middle].first <= index)
			low = middle;
		else
			high = middle;
	}
	return &request->pieces[low];
}

/* Pages of one piece, in one place of the buffers. */
static struct ovm_error *look(const struct sift *sift, const struct ovm_sift_piece *piece,
			      uint64_t index, const uint8_t *pages, uint64_t nr)
{
	const struct ovm_sift_request *request = sift->request;
	uint8_t *answer = sift->answer + index;

	/* What was seen here before may have been something else: see ovm_sink_write_fn. */
	memset(answer, OVM_SIFTED_RAW, nr);
	if (piece->flags & OVM_PAGES_WHOLE)
		return NULL;
	if (request->zero && piece->flags & OVM_PAGES_ZERO_BACKED)
		for (uint64_t i = 0; i < nr; i++)
			if (is_zero(pages + (i << OVM_PAGE_SHIFT)))
				answer[i] = OVM_SIFTED_ZERO;
	if (!request->parent || piece->flags & OVM_PAGES_OWN)
		return NULL;
	return ovm_parent_compare(request->parent,
				  piece->va + ((index - piece->first) << OVM_PAGE_SHIFT), pages, nr,
				  answer, sift->lookup);
}

/* Pages in one place of the buffers, of any pieces. */
static struct ovm_error *look_at_all(const struct sift *sift, uint64_t index, const uint8_t *pages,
				     uint64_t nr)
{
	struct ovm_error *err = NULL;

	while (nr && !err) {
		const struct ovm_sift_piece *piece = find_piece(sift->request, index);
		uint64_t part = piece->first + piece->nr_pages - index;

		if (part > nr)
			part = nr;
		err = look(sift, piece, index, pages, part);
		index += part;
		pages += part << OVM_PAGE_SHIFT;
		nr -= part;
	}
	return err;
}

/* Nothing is said of a page of which a part was written. */
static void forget(const struct sift *sift, uint64_t index)
{
	const struct ovm_sift_piece *piece = find_piece(sift->request, index);

	if (index - piece->first < piece->nr_pages)
		sift->answer[index] = OVM_SIFTED_RAW;
}

/*
 * A sink's write function. Pages may lie in two buffers, if one ends within a page; those of which
 * this call has a part only are not looked at.
 */
static struct ovm_error *sift_write(void *arg, const struct iovec *iov, int nr_iov, uint64_t offset)
{
	_cleanup_(ovm_parent_lookup_deinit) struct ovm_parent_lookup lookup = {0};
	struct sift sift = *(const struct sift *)arg;
	uint8_t page[OVM_PAGE_SIZE];
	size_t held = 0, skip = -offset % OVM_PAGE_SIZE;
	struct ovm_error *err = NULL;

	sift.lookup = &lookup;
	if (skip)
		forget(&sift, offset >> OVM_PAGE_SHIFT);
	offset += skip;
	for (int i = 0; i < nr_iov && !err; i++) {
		size_t ignored = skip < iov[i].iov_len ? skip : iov[i].iov_len;
		const uint8_t *data = (const uint8_t *)iov[i].iov_base + ignored;
		size_t left = iov[i].iov_len - ignored;

		skip -= ignored;
		if (held) {
			size_t part = OVM_PAGE_SIZE - held < left ? OVM_PAGE_SIZE - held : left;

			memcpy(page + held, data, part);
			held += part;
			data += part;
			left -= part;
			if (held < OVM_PAGE_SIZE)
				continue;
			err = look_at_all(&sift, offset >> OVM_PAGE_SHIFT, page, 1);
			offset += OVM_PAGE_SIZE;
		}
		held = left % OVM_PAGE_SIZE;
		left -= held;
		if (!err)
			err = look_at_all(&sift, offset >> OVM_PAGE_SHIFT, data,
					  left >> OVM_PAGE_SHIFT);
		offset += left;
		memcpy(page, data + left, held);
	}
	if (held)
		forget(&sift, offset >> OVM_PAGE_SHIFT);
	return err;
}

struct ovm_error *ovm_sift(const struct ovm_sift_request *request, uint8_t *answer)
{
	_cleanup_free_ struct ovm_copy_run *copies = calloc(request->nr + 1, sizeof(*copies));
	struct sift sift = {.request = request, .answer = answer};
	struct ovm_copy_request copy = {
		.size = sizeof(copy),
		.copies = copies,
		.nr_copies = request->nr,
		.cancelled = request->cancelled,
		.progress = request->progress,
		.arg = request->arg,
	};

	if (!copies)
		return ovm_error_no_memory();
	for (size_t i = 0; i < request->nr; i++)
		memset(answer + request->pieces[i].first, OVM_SIFTED_RAW,
		       request->pieces[i].nr_pages);
	for (size_t i = 0; i < request->nr; i++)
		copies[i] = (struct ovm_copy_run){
			.gpa = request->pieces[i].gpa,
			.nr_pages = request->pieces[i].nr_pages,
			.offset = request->pieces[i].first << OVM_PAGE_SHIFT,
		};
	struct ovm_error *err = ovm_page_sink_create(sift_write, &sift, &copy.sink);

	if (!err)
		err = ovm_engine_copy(request->engine, &copy);
	ovm_page_sink_destroy(copy.sink);
	return err;
}
