/* SPDX-License-Identifier: GPL-2.0-only */
/* What a result of packing says, page by page: the same for all back ends, unlike its bytes. */
#ifndef OVM_TESTS_BACKENDS_UNPACK_H
#define OVM_TESTS_BACKENDS_UNPACK_H

#include <stddef.h>
#include <stdint.h>

#include "kernels-cuda/engine.h"

/** What became of a page. */
enum unpacked_state {
	UNPACKED_KEPT = 1,
	UNPACKED_ZERO,
	UNPACKED_UNCHANGED,
};

/**
 * Read the pages of a result back, and check that it is in order.
 *
 * @out, @size: what is in the sink, the base included
 * @pages: room for all pages; those that were left out are not touched
 * @states: an enum unpacked_state for each page
 *
 * Errors: OVM_ERROR_CORRUPT.
 */
struct ovm_error *unpack(const struct ovm_pack_request *request,
			 const struct ovm_pack_result *result, const uint8_t *out, size_t size,
			 uint8_t *pages, uint8_t *states, uint64_t nr_pages);

#endif /* OVM_TESTS_BACKENDS_UNPACK_H */
