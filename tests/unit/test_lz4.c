// SPDX-License-Identifier: GPL-2.0-only
/* The encoder of LZ4 blocks, by what the well-known decoder makes of them. */
#include <lz4.h>
#include <stdlib.h>

#include "test.h"
#include "test_pages.h"

#include "kernels-cuda/lz4block.h"

enum {
	MIB = 1 << 20,
};

/* Encode, with no byte to spare behind the output, and decode. */
static void check_lz4(const uint8_t *in, uint32_t nr, uint32_t acceleration, uint32_t *ret)
{
	uint32_t bound = (uint32_t)LZ4_compressBound((int)nr);
	uint16_t *table = calloc(OVM_LZ4_TABLE, sizeof(*table));
	uint8_t *back = malloc(nr + 1);
	uint8_t *out = malloc(bound);
	uint32_t size = ovm_lz4_encode(in, nr, out, bound, table, acceleration);

	ASSERT_TRUE(size > 0 && size <= bound);
	ASSERT_EQ_U64(LZ4_decompress_safe((const char *)out, (char *)back, (int)size, (int)nr), nr);
	ASSERT_MEMEQ(in, back, nr);
	/* It fits where it fits, and nowhere else. */
	free(out);
	out = malloc(size);
	memset(table, 0, OVM_LZ4_TABLE * sizeof(*table));
	ASSERT_EQ_U64(ovm_lz4_encode(in, nr, out, size, table, acceleration), size);
	free(out);
	out = malloc(size - 1 ? size - 1 : 1);
	memset(table, 0, OVM_LZ4_TABLE * sizeof(*table));
	ASSERT_EQ_U64(ovm_lz4_encode(in, nr, out, size - 1, table, acceleration), 0);
	free(out);
	free(table);
	free(back);
	*ret = size;
}

OVM_TEST(lz4, of_all_lengths)
{
	uint8_t in[700];
	uint32_t size;

	for (uint32_t kind = 0; kind < 4; kind++) {
		for (uint32_t i = 0; i < sizeof(in); i++)
			in[i] = (uint8_t)(kind == 0   ? 7
					  : kind == 1 ? i
					  : kind == 2 ? i * i >> 3
						      : i % 3);
		for (uint32_t nr = 0; nr < sizeof(in); nr++) {
			check_lz4(in, nr, 1 + nr % 3, &size);
			if (ovm_test_failed())
				return;
		}
	}
}

OVM_TEST(lz4, of_pages)
{
	uint64_t words[512];
	uint32_t size;

	for (uint64_t i = 0; i < 400; i++) {
		fill_page(words, i);
		check_lz4((const uint8_t *)words, sizeof(words), 1 + i % 2, &size);
		if (ovm_test_failed())
			return;
		if (i % 8 < 2 || i % 8 == 5)
			ASSERT_TRUE(size < 64);
		if (i % 8 == 2)
			ASSERT_TRUE(size > sizeof(words));
	}
}

/* Matches at the farthest distance, one farther, and over the whole of a block of 4 MiB. */
OVM_TEST(lz4, of_far_matches)
{
	const uint32_t nr = 4 * MIB;
	uint8_t *in = malloc(nr);
	uint64_t state = 5;
	uint32_t size;

	for (uint32_t i = 0; i < nr; i++)
		in[i] = (uint8_t)(next_random(&state) >> 20);
	for (uint32_t distance = 65530; distance < 65542; distance++) {
		memcpy(in + distance, in, 1000);
		check_lz4(in, distance + 1000, 1, &size);
		if (ovm_test_failed())
			break;
		if (distance <= OVM_LZ4_MAX_DISTANCE)
			ASSERT_TRUE(size < distance + 900);
	}
	check_lz4(in, nr, 1, &size);
	memset(in, 0x55, nr);
	check_lz4(in, nr, 1, &size);
	ASSERT_TRUE(size < nr / 200);
	check_lz4(in, nr, OVM_LZ4_MAX_ACCELERATION, &size);
	for (uint32_t i = 0; i < nr; i++)
		in[i] = (uint8_t)(i / 65536 + i % 251);
	check_lz4(in, nr, 1, &size);
	free(in);
}

OVM_TEST(lz4, kernel_compresses_blocks)
{
	enum { NR = 24 };
	static uint64_t pages[NR][512];
	static uint8_t out[NR * OVM_PAGE_SIZE], back[NR * OVM_PAGE_SIZE];
	static const struct ovm_lz4_block blocks[] = {{0, 1}, {1, 1},  {2, 1},	{3, 2},
						      {5, 8}, {13, 1}, {14, 10}};
	uint32_t sizes[7];
	struct ovm_compress_args args = {(const uint8_t *)pages, blocks, 7, 1, out, sizes};

	for (uint64_t i = 0; i < NR; i++)
		fill_page(pages[i], i);
	for (uint32_t i = 0; i * OVM_COMPRESS_BLOCKS < 7; i++)
		ovm_compress_body(&args, i);
	for (uint32_t i = 0; i < 7; i++) {
		uint32_t at = blocks[i].first << 12, bytes = blocks[i].nr_pages << 12;

		ASSERT_TRUE(sizes[i] == bytes || sizes[i] <= ovm_lz4_worth(blocks[i].nr_pages));
		if (sizes[i] == bytes)
			continue;
		ASSERT_EQ_U64(LZ4_decompress_safe((const char *)out + at, (char *)back + at,
						  (int)sizes[i], (int)bytes),
			      bytes);
		ASSERT_MEMEQ(back + at, (const uint8_t *)pages + at, bytes);
	}
	ASSERT_EQ_U64(sizes[2], OVM_PAGE_SIZE);
	ASSERT_TRUE(sizes[4] < OVM_PAGE_SIZE * 8);
}
