// SPDX-License-Identifier: GPL-2.0-only
/* Hashes of pages. */
#include <stdlib.h>

#include "test.h"
#include "test_pages.h"

#include "kernels-cuda/packing.h"

/* A key without randomness. */
static void plain_key(struct ovm_hash_key *key)
{
	for (unsigned int i = 0; i < OVM_HASH_KEY_FOLDS; i++)
		key->fold[i] = (i + 1) * UINT64_C(0x123456789abcdef) & OVM_HASH_PRIME;
	for (unsigned int i = 0; i < OVM_HASH_KEY_WORDS; i++)
		key->word[i] = (i + 1) * 0x9e3779b1;
}

/* The hash by its definition, with numbers of 128 bits. */
static struct ovm_page_hash plain_hash(const struct ovm_hash_key *key, const void *data)
{
	const ovm_word32 *page = data;
	__uint128_t fold[2] = {0, 0};

	for (unsigned int j = 0; j < 4; j++) {
		uint64_t sum = 0;

		for (unsigned int i = 0; i < 512; i++)
			sum += (uint64_t)(uint32_t)(page[i] + key->word[i + j]) *
			       (uint32_t)(page[512 + i] + key->word[516 + i + j]);
		for (unsigned int l = 0; l < 2; l++) {
			const uint64_t *f = key->fold + 8 * l + 2 * j;

			fold[l] += (__uint128_t)f[0] * (uint32_t)sum;
			fold[l] += (__uint128_t)f[1] * (sum >> 32);
			fold[l] %= OVM_HASH_PRIME;
		}
	}
	return (struct ovm_page_hash){{(uint64_t)fold[0], (uint64_t)fold[1]}};
}

OVM_TEST(page_hash, hash_is_as_defined)
{
	struct ovm_hash_key key;
	uint64_t words[512];

	plain_key(&key);
	for (uint64_t i = 0; i < 2000; i++) {
		fill_page(words, i);
		if (i == 8)
			memset(words, 0xff, sizeof(words));
		if (i == 16)
			memset(&key, 0xff, sizeof(key));
		for (unsigned int j = 0; j < OVM_HASH_KEY_FOLDS; j++)
			key.fold[j] &= OVM_HASH_PRIME;

		struct ovm_page_hash want = plain_hash(&key, words);
		struct ovm_page_hash got = ovm_hash_page(&key, words);

		ASSERT_EQ_U64(got.word[0], want.word[0]);
		ASSERT_EQ_U64(got.word[1], want.word[1]);
		got = ovm_cpu_hash_page(&key, words);
		ASSERT_EQ_U64(got.word[0], want.word[0]);
		ASSERT_EQ_U64(got.word[1], want.word[1]);
		if (i == 20)
			plain_key(&key);
	}
}

/* What was kept in a file must mean the same in later versions. */
OVM_TEST(page_hash, known_hashes)
{
	static const uint64_t known[][2] = {
		{UINT64_C(0x9d03688398be825), UINT64_C(0x189abca56fc36d9d)},
		{UINT64_C(0xca8640b968c585f), UINT64_C(0x1b2a18cb2dc40249)},
	};
	struct ovm_hash_key key;
	uint32_t words[OVM_PAGE_WORDS];

	plain_key(&key);
	for (unsigned int i = 0; i < 2; i++) {
		for (unsigned int j = 0; j < OVM_PAGE_WORDS; j++)
			words[j] = i * j;

		struct ovm_page_hash hash = ovm_hash_page(&key, words);

		ASSERT_EQ_U64(hash.word[0], known[i][0]);
		ASSERT_EQ_U64(hash.word[1], known[i][1]);
	}
	ASSERT_EQ_U64(sizeof(struct ovm_page_hash), 16);
	ASSERT_EQ_U64(sizeof(struct ovm_hash_key), 8 * 16 + 4 * 1032);
}

OVM_TEST(page_hash, hash_of_parts_in_any_division)
{
	struct ovm_hash_key key;
	uint64_t words[512], state = 99;

	plain_key(&key);
	for (int round = 0; round < 200; round++) {
		struct ovm_hash_sums sums = {{0}};
		uint32_t at = 0, nr;

		fill_page(words, (uint64_t)round);
		for (; at < OVM_HASH_PAIRS; at += nr) {
			nr = 1 + (uint32_t)(next_random(&state) % 100);
			if (nr > OVM_HASH_PAIRS - at)
				nr = OVM_HASH_PAIRS - at;
			for (uint32_t j = 0; j < OVM_HASH_NR_SUMS; j++)
				sums.nh[j] += ovm_hash_sum(&key, words, j, at, nr);
		}
		ASSERT_TRUE(
			ovm_hash_equal(ovm_hash_finish(&key, &sums), ovm_hash_page(&key, words)));
	}
}

/* The body of the kernel says of pages what the CPU says. */
OVM_TEST(page_hash, kernel_classifies_like_the_cpu)
{
	enum { NR = 64 };
	static uint64_t pages[NR][512];
	static struct ovm_page_hash hashes[NR];
	static uint8_t zero[NR];
	struct ovm_hash_key key;
	struct ovm_classify_args args = {(const uint8_t *)pages, &key, zero, hashes};

	plain_key(&key);
	for (uint64_t i = 0; i < NR; i++)
		fill_page(pages[i], i);
	for (uint32_t i = 0; i < NR; i++) {
		ovm_classify_body(&args, i);
		ASSERT_EQ_U64(zero[i], ovm_page_is_zero(pages[i]));
		ASSERT_EQ_U64(zero[i], i % 8 == 0);
		ASSERT_TRUE(ovm_hash_equal(hashes[i], ovm_hash_page(&key, pages[i])));
	}
	args.key = NULL;
	args.hashes = NULL;
	ovm_classify_body(&args, 1);
	ASSERT_EQ_U64(zero[1], 0);
}

static int compare_hashes(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct ovm_page_hash));
}

/* Pages with one bit, pages that count up, pages whose words change places: no two are the same. */
OVM_TEST(page_hash, hashes_of_similar_pages_differ)
{
	enum { NR = 1 << 15, TRIES = 3 * NR };
	struct ovm_page_hash *all = calloc(TRIES, sizeof(*all));
	uint32_t words[OVM_PAGE_WORDS] = {0};
	struct ovm_page_hashes *hashes;

	ASSERT_OK(ovm_page_hashes_create(NULL, 0, &hashes));
	for (unsigned int i = 0; i < NR; i++) {
		words[i / 32] = UINT32_C(1) << i % 32;
		all[i] = ovm_hash_page(&hashes->key, words);
		words[i / 32] = 0;
	}
	words[512] = 0xabcd0000;
	for (unsigned int i = 0; i < NR; i++) {
		words[i % OVM_PAGE_WORDS]++;
		all[NR + i] = ovm_hash_page(&hashes->key, words);
	}
	for (unsigned int i = 0; i < OVM_PAGE_WORDS; i++)
		words[i] = i;
	for (unsigned int i = 0; i < NR; i++) {
		unsigned int a = i % OVM_PAGE_WORDS, b = (i * 7 + 1) % OVM_PAGE_WORDS;
		uint32_t word = words[a];

		words[a] = words[b];
		words[b] = word + i;
		all[2 * NR + i] = ovm_hash_page(&hashes->key, words);
	}
	/* Half of the hash does for these. */
	for (unsigned int i = 0; i < TRIES; i++)
		all[i].word[1] = 0;
	qsort(all, TRIES, sizeof(*all), compare_hashes);
	for (unsigned int i = 1; i < TRIES; i++)
		ASSERT_TRUE(compare_hashes(&all[i - 1], &all[i]));
	ovm_page_hashes_free(hashes);
	free(all);
}

OVM_TEST(page_hash, keys_differ)
{
	struct ovm_page_hashes *a, *b, *c;

	ASSERT_OK(ovm_page_hashes_create(NULL, 1, &a));
	ASSERT_OK(ovm_page_hashes_create(NULL, 1, &b));
	ASSERT_OK(ovm_page_hashes_create(a, 1, &c));
	ASSERT_TRUE(memcmp(&a->key, &b->key, sizeof(a->key)));
	ASSERT_MEMEQ(&a->key, &c->key, sizeof(a->key));
	ovm_page_hashes_free(a);
	ovm_page_hashes_free(b);
	ovm_page_hashes_free(c);
}
