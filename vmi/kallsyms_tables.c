// SPDX-License-Identifier: GPL-2.0-only
#include "kallsyms_tables.h"

#include <string.h>

/* Tokens of the digits, which always stand for themselves. */
static const char digit_tokens[20] = "0\0001\0002\0003\0004\0005\0006\0007\0008\0009";

enum {
	/* A token is part of a name; names have up to 512 characters. */
	MAX_TOKEN = 512,
	INDEX_BYTES = OVM_KALLSYMS_NR_TOKENS * sizeof(uint16_t),
	/* Tables are aligned, so this much at most is between two. */
	MAX_PADDING = 8,
	/* A name has a length and a code at least; its length takes 14 bits. */
	MIN_MARKER_STEP = 2 * OVM_KALLSYMS_PER_MARKER,
	MAX_MARKER_STEP = (MAX_TOKEN + 4) * OVM_KALLSYMS_PER_MARKER,
	/* Fewer would not be a kernel, and too easily found in other data. */
	MIN_MARKERS = 4,
	MAX_MARKERS = OVM_KALLSYMS_MAX_SYMBOLS / OVM_KALLSYMS_PER_MARKER,
	/* seqs_of_names, up to 4 bytes a symbol, can be between markers and token_table. */
	MAX_MARKER_DISTANCE = 4 * OVM_KALLSYMS_MAX_SYMBOLS,
	/* Budgets of a search, far above what any kernel takes. */
	MAX_HITS = 4096,
	MAX_MARKER_WORDS = 64 << 20,
	MAX_MARKER_RUNS = 256,
	MAX_NAMES = 64 << 20,
};

static uint16_t get_u16(const struct ovm_kallsyms_image *image, uint64_t offset)
{
	uint16_t value;

	memcpy(&value, image->data + offset, sizeof(value));
	return value;
}

static uint32_t get_u32(const struct ovm_kallsyms_image *image, uint64_t offset)
{
	uint32_t value;

	memcpy(&value, image->data + offset, sizeof(value));
	return value;
}

static uint64_t get_u64(const struct ovm_kallsyms_image *image, uint64_t offset)
{
	uint64_t value;

	memcpy(&value, image->data + offset, sizeof(value));
	return value;
}

static uint64_t align_up(uint64_t value, uint64_t alignment)
{
	return (value + alignment - 1) / alignment * alignment;
}

bool ovm_kallsyms_take_name(const struct ovm_kallsyms_image *image, uint64_t *position,
			    uint64_t end, struct ovm_kallsyms_codes *ret)
{
	uint64_t at = *position;

	if (at >= end)
		return false;

	size_t len = image->data[at++];

	if (len & 0x80) {
		if (at >= end)
			return false;
		len = (len & 0x7f) | (size_t)image->data[at++] << 7;
	}
	if (!len || len > end - at)
		return false;
	ret->codes = image->data + at;
	ret->len = len;
	*position = at + len;
	return true;
}

/* Skip @nr tokens from @offset on; 0 when they don't end in time. */
static uint64_t skip_tokens(const struct ovm_kallsyms_image *image, uint64_t offset,
			    unsigned int nr)
{
	while (nr--) {
		size_t left = image->size - offset;
		const uint8_t *start = image->data + offset;
		const uint8_t *nul = memchr(start, 0, left < MAX_TOKEN ? left : MAX_TOKEN);

		if (!nul)
			return 0;
		offset += (uint64_t)(nul - start) + 1;
	}
	return offset;
}

/* Whether the table at @index tells where each token of the table at @tokens starts. */
static bool index_agrees(const struct ovm_kallsyms_image *image, uint64_t tokens, uint64_t index)
{
	uint64_t offset = 0;

	for (unsigned int i = 0; i < OVM_KALLSYMS_NR_TOKENS; i++) {
		if (get_u16(image, index + 2 * i) != offset)
			return false;
		offset = skip_tokens(image, tokens + offset, 1) - tokens;
	}
	return tokens + offset <= index;
}

/* Complete the token tables, whose token "0" is at @zero. */
static bool find_tokens(const struct ovm_kallsyms_image *image, uint64_t zero,
			struct ovm_kallsyms_layout *ret)
{
	uint64_t end = skip_tokens(image, zero, OVM_KALLSYMS_NR_TOKENS - '0');

	if (!end)
		return false;
	for (uint64_t index = end; index < end + MAX_PADDING; index++) {
		if (index > image->size || image->size - index < INDEX_BYTES)
			return false;

		uint64_t zero_offset = get_u16(image, index + 2 * '0');

		if (get_u16(image, index) || zero_offset > zero ||
		    !index_agrees(image, zero - zero_offset, index))
			continue;
		ret->token_table = zero - zero_offset;
		ret->token_table_size = end - ret->token_table;
		ret->token_index = index;
		return true;
	}
	return false;
}

/* Whether the names from @names on are @nr, agree with the markers and end where those start. */
static bool names_agree(const struct ovm_kallsyms_image *image, struct ovm_kallsyms_search *search,
			uint64_t names, uint32_t nr, uint64_t markers)
{
	uint64_t position = names;

	for (uint32_t i = 0; i < nr; i++) {
		struct ovm_kallsyms_codes codes;

		if (!search->names_left)
			return false;
		search->names_left--;
		if (i % OVM_KALLSYMS_PER_MARKER == 0 &&
		    get_u32(image, markers + i / OVM_KALLSYMS_PER_MARKER * 4) != position - names)
			return false;
		if (!ovm_kallsyms_take_name(image, &position, markers, &codes))
			return false;
	}
	return markers - position < MAX_PADDING;
}

/* num_syms when it is in front of @names, for @nr_markers markers; else 0. */
static uint32_t num_syms_before(const struct ovm_kallsyms_image *image, uint64_t names,
				uint32_t nr_markers)
{
	for (uint64_t distance = 4; distance <= 8; distance += 4) {
		if (names < distance)
			break;

		uint32_t nr = get_u32(image, names - distance);

		if (nr && (nr - 1) / OVM_KALLSYMS_PER_MARKER + 1 == nr_markers)
			return nr;
	}
	return 0;
}

/* Find the names that belong to a run of numbers that looks like markers. */
static bool find_names(const struct ovm_kallsyms_image *image, struct ovm_kallsyms_search *search,
		       uint64_t markers, uint32_t nr_markers, struct ovm_kallsyms_layout *ret)
{
	uint64_t last = get_u32(image, markers + 4 * (nr_markers - 1));

	if (last > markers)
		return false;

	uint64_t highest = (markers - last) & ~3ULL;
	uint64_t lowest = highest > MAX_MARKER_STEP + MAX_PADDING
				  ? highest - MAX_MARKER_STEP - MAX_PADDING
				  : 0;

	for (uint64_t names = highest; names >= lowest + 4; names -= 4) {
		uint32_t nr = num_syms_before(image, names, nr_markers);

		if (!nr || !names_agree(image, search, names, nr, markers))
			continue;
		ret->nr = nr;
		ret->names = names;
		ret->names_size = markers - names;
		return true;
	}
	return false;
}

/* Whether @value can be followed by @next in the markers. */
static bool is_marker_step(uint32_t value, uint32_t next)
{
	return next > value && next - value >= MIN_MARKER_STEP && next - value <= MAX_MARKER_STEP;
}

/* Search backwards from token_table for ascending numbers that start with 0, then for the names. */
static bool find_markers(const struct ovm_kallsyms_image *image, struct ovm_kallsyms_search *search,
			 struct ovm_kallsyms_layout *ret)
{
	uint64_t end = ret->token_table & ~3ULL;
	uint64_t stop = end > MAX_MARKER_DISTANCE ? end - MAX_MARKER_DISTANCE : 0;
	uint64_t run_end = end;

	for (uint64_t at = end; at >= stop + 4 && search->marker_words_left;) {
		at -= 4;
		search->marker_words_left--;

		uint32_t value = get_u32(image, at);

		if (at + 4 < run_end && !is_marker_step(value, get_u32(image, at + 4)))
			run_end = at + 4;

		uint64_t nr = (run_end - at) / 4;

		if (value || nr < MIN_MARKERS || nr > MAX_MARKERS)
			continue;
		if (!search->runs_left)
			return false;
		search->runs_left--;
		if (find_names(image, search, at, (uint32_t)nr, ret))
			return true;
	}
	return false;
}

struct ovm_kallsyms_search ovm_kallsyms_search_start(void)
{
	return (struct ovm_kallsyms_search){
		.hits_left = MAX_HITS,
		.marker_words_left = MAX_MARKER_WORDS,
		.runs_left = MAX_MARKER_RUNS,
		.names_left = MAX_NAMES,
	};
}

bool ovm_kallsyms_next_tables(const struct ovm_kallsyms_image *image,
			      struct ovm_kallsyms_search *search, struct ovm_kallsyms_layout *ret)
{
	for (; search->position < image->size && search->hits_left; search->hits_left--) {
		const uint8_t *hit =
			memmem(image->data + search->position, image->size - search->position,
			       digit_tokens, sizeof(digit_tokens));

		if (!hit)
			return false;

		uint64_t zero = (uint64_t)(hit - image->data);

		search->position = zero + 1;
		*ret = (struct ovm_kallsyms_layout){.address = image->address};
		if (find_tokens(image, zero, ret) && find_markers(image, search, ret))
			return true;
	}
	return false;
}

static uint64_t symbol_address(const struct ovm_kallsyms_image *image,
			       const struct ovm_kallsyms_layout *layout, uint64_t i)
{
	if (layout->encoding == OVM_KALLSYMS_ABSOLUTE)
		return get_u64(image, layout->offsets + 8 * i);

	uint64_t place = layout->offsets + 4 * i;
	uint32_t offset = get_u32(image, place);

	switch (layout->encoding) {
	case OVM_KALLSYMS_BASE_RELATIVE:
		return layout->relative_base + offset;
	case OVM_KALLSYMS_ABSOLUTE_PERCPU:
		if ((int32_t)offset >= 0)
			return offset;
		return layout->relative_base - 1 - (uint64_t)(int64_t)(int32_t)offset;
	default:
		return image->address + place + (uint64_t)(int64_t)(int32_t)offset;
	}
}

static bool try_addresses(const struct ovm_kallsyms_image *image, size_t text,
			  const struct ovm_kallsyms_layout *layout, uint64_t *addresses)
{
	uint64_t size = (uint64_t)layout->nr * (layout->encoding == OVM_KALLSYMS_ABSOLUTE ? 8 : 4);

	if (layout->offsets > image->size || size > image->size - layout->offsets ||
	    symbol_address(image, layout, text) != image->text)
		return false;
	for (uint64_t i = 0; i < layout->nr; i++) {
		addresses[i] = symbol_address(image, layout, i);
		if (i && addresses[i] < addresses[i - 1])
			return false;
	}
	return true;
}

/* Try the encodings of 4 bytes a symbol, at @offsets; relative_base is at @base, if it fits. */
static bool try_offsets(const struct ovm_kallsyms_image *image, size_t text, uint64_t offsets,
			uint64_t base, struct ovm_kallsyms_layout *layout, uint64_t *addresses)
{
	static const enum ovm_kallsyms_encoding encodings[] = {
		OVM_KALLSYMS_ABSOLUTE_PERCPU,
		OVM_KALLSYMS_BASE_RELATIVE,
		OVM_KALLSYMS_PLACE_RELATIVE,
	};

	layout->offsets = offsets;
	for (size_t i = 0; i < sizeof(encodings) / sizeof(encodings[0]); i++) {
		layout->encoding = encodings[i];
		layout->relative_base = 0;
		if (layout->encoding != OVM_KALLSYMS_PLACE_RELATIVE) {
			if (base > image->size || image->size - base < 8)
				continue;
			layout->relative_base = get_u64(image, base);
		}
		if (try_addresses(image, text, layout, addresses))
			return true;
	}
	return false;
}

bool ovm_kallsyms_find_addresses(const struct ovm_kallsyms_image *image, size_t text,
				 struct ovm_kallsyms_layout *layout, uint64_t *addresses)
{
	uint64_t size = (uint64_t)layout->nr * 4;

	/* v6.4 and later: behind token_index. Commit 404bad70fcf7. */
	uint64_t offsets = layout->token_index + INDEX_BYTES;

	for (uint64_t alignment = 4; alignment <= 8; alignment *= 2) {
		uint64_t start = align_up(offsets, alignment);
		uint64_t base = align_up(start + size, 8);

		if (try_offsets(image, text, start, base, layout, addresses))
			return true;
	}
	/* Before: in front of num_syms, which is in front of names. */
	for (uint64_t distance = 4; distance <= 8; distance += 4) {
		uint64_t num_syms = layout->names - distance;
		uint64_t padded = align_up(size, 8);

		if (layout->names >= distance + 8 + padded &&
		    try_offsets(image, text, num_syms - 8 - padded, num_syms - 8, layout,
				addresses))
			return true;
		if (layout->names < distance + 2 * size)
			continue;
		layout->encoding = OVM_KALLSYMS_ABSOLUTE;
		layout->relative_base = 0;
		layout->offsets = num_syms - 2 * size;
		if (try_addresses(image, text, layout, addresses))
			return true;
	}
	return false;
}
