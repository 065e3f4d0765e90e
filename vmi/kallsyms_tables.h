/* SPDX-License-Identifier: GPL-2.0-only */
/* Finding the tables of kallsyms; apart from decoding them. */
#ifndef OVM_VMI_KALLSYMS_TABLES_H
#define OVM_VMI_KALLSYMS_TABLES_H

#include "kallsyms.h"

enum {
	OVM_KALLSYMS_NR_TOKENS = 256,
	/* Symbols at most; kernels have some 200 000. */
	OVM_KALLSYMS_MAX_SYMBOLS = 1 << 21,
	/* Symbols between two markers. */
	OVM_KALLSYMS_PER_MARKER = 256,
};

/** One compressed name. */
struct ovm_kallsyms_codes {
	const uint8_t *codes;
	size_t len;
};

/**
 * Take the name at *@position, an offset in the image, and advance *@position behind it.
 *
 * False when it would reach beyond @end, or is empty.
 */
bool ovm_kallsyms_take_name(const struct ovm_kallsyms_image *image, uint64_t *position,
			    uint64_t end, struct ovm_kallsyms_codes *ret);

/** Where a search is, and how much work it may still do: a hostile image can be all decoys. */
struct ovm_kallsyms_search {
	/** Offset in the image from where to go on. */
	uint64_t position;
	/** Digits, markers and names that may still be looked at. */
	uint64_t hits_left, marker_words_left, runs_left, names_left;
};

/** Begin a search. */
struct ovm_kallsyms_search ovm_kallsyms_search_start(void);

/**
 * Find the next set of tokens and names.
 *
 * Fills in all of @ret but encoding, offsets and relative_base. False when there is none.
 */
bool ovm_kallsyms_next_tables(const struct ovm_kallsyms_image *image,
			      struct ovm_kallsyms_search *search, struct ovm_kallsyms_layout *ret);

/**
 * Find the addresses of the symbols, given that number @text of them is _text.
 *
 * Fills in the rest of @layout and all layout->nr @addresses. False when none of the encodings, at
 * none of the places where they can be, gives ascending addresses and the right one for _text.
 */
bool ovm_kallsyms_find_addresses(const struct ovm_kallsyms_image *image, size_t text,
				 struct ovm_kallsyms_layout *layout, uint64_t *addresses);

#endif /* OVM_VMI_KALLSYMS_TABLES_H */
