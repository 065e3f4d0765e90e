/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether a page is zero, equal to another, and its hash.
 *
 * A guest knows this text and would gain from two pages with the same hash: one
 * that is in the parent image, and another that is left out because of it. Hence
 * the hash is universal: for any two pages, chosen without knowledge of the key, the share of
 * keys under which they collide is bounded. With a page as words m[0..1023]:
 *
 *	nh[j] = sum over i below 512 of
 *		(m[i] + k[i + j] mod 2^32) * (m[512 + i] + k[516 + i + j] mod 2^32)  mod 2^64
 *
 * for j from 0 to 3 collides in all four with probability 2^-128 or less (NH with Toeplitz
 * keys: Black, Halevi, Krawczyk, Krovetz, Rogaway, "UMAC: Fast and Secure Message
 * Authentication", CRYPTO 1999; how words pair is free, if it is the same for all). These 256
 * bits, as eight words w of 32, become two numbers modulo p = 2^61 - 1:
 *
 *	hash[l] = sum over i below 8 of fold[8 l + i] * w[i]  mod p
 *
 * which two different w share with probability p^-2. Sums can be made in any order, so the result
 * is the same however the words are divided among lanes.
 */
#ifndef OVM_KERNELS_CUDA_PAGEHASH_H
#define OVM_KERNELS_CUDA_PAGEHASH_H

#include "lanes.h"
#include "pack.h"

enum {
	OVM_PAGE_WORDS = OVM_PAGE_SIZE / 4,
	OVM_HASH_PAIRS = OVM_PAGE_WORDS / 2,
	OVM_HASH_NR_SUMS = 4,
	/* Where the key's words for the second half of a page begin. */
	OVM_HASH_SECOND = OVM_HASH_PAIRS + OVM_HASH_NR_SUMS,
};

#define OVM_HASH_PRIME ((UINT64_C(1) << 61) - 1)

/** Words of pages, which others may have written as something else. */
typedef uint32_t ovm_word32 __attribute__((__may_alias__));
typedef uint64_t ovm_word64 __attribute__((__may_alias__));

/** What is summed up of a page, or of a part of it. */
struct ovm_hash_sums {
	uint64_t nh[OVM_HASH_NR_SUMS];
};

/** One of the sums, for @nr pairs of words from @first on. */
static inline OVM_HD uint64_t ovm_hash_sum(const struct ovm_hash_key *key, const void *page,
					   uint32_t j, uint32_t first, uint32_t nr)
{
	const ovm_word32 *low = (const ovm_word32 *)page + first;
	const ovm_word32 *high = low + OVM_HASH_PAIRS;
	const uint32_t *low_key = key->word + first + j;
	const uint32_t *high_key = key->word + OVM_HASH_SECOND + first + j;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < nr; i++)
		sum += (uint64_t)(low[i] + low_key[i]) * (high[i] + high_key[i]);
	return sum;
}

/** @x modulo p, for any @x; the result may be p itself. */
static inline OVM_HD uint64_t ovm_hash_reduce(uint64_t x)
{
	x = (x >> 61) + (x & OVM_HASH_PRIME);
	return (x >> 61) + (x & OVM_HASH_PRIME);
}

/** @a * @b modulo p, or that plus p; @a is below 2^61. */
static inline OVM_HD uint64_t ovm_hash_multiply(uint64_t a, uint32_t b)
{
	uint64_t low = (a & 0xffffffff) * b;
	/* Counts 2^32; of its own 61 bits the upper ones count 2^61, which is 1. */
	uint64_t high = (a >> 32) * b;

	low = (low >> 61) + (low & OVM_HASH_PRIME);
	return ovm_hash_reduce(low + (high >> 29) + ((high & 0x1fffffff) << 32));
}

static inline OVM_HD uint64_t ovm_hash_fold(const uint64_t *fold, const struct ovm_hash_sums *sums)
{
	uint64_t hash = 0;

	for (uint32_t i = 0; i < OVM_HASH_NR_SUMS; i++) {
		hash += ovm_hash_multiply(fold[2 * i] & OVM_HASH_PRIME, (uint32_t)sums->nh[i]);
		hash += ovm_hash_multiply(fold[2 * i + 1] & OVM_HASH_PRIME,
					  (uint32_t)(sums->nh[i] >> 32));
		hash = ovm_hash_reduce(hash);
	}
	return hash == OVM_HASH_PRIME ? 0 : hash;
}

/** The hash of a page from its sums. */
static inline OVM_HD struct ovm_page_hash ovm_hash_finish(const struct ovm_hash_key *key,
							  const struct ovm_hash_sums *sums)
{
	struct ovm_page_hash hash;

	hash.word[0] = ovm_hash_fold(key->fold, sums);
	hash.word[1] = ovm_hash_fold(key->fold + OVM_HASH_KEY_FOLDS / 2, sums);
	return hash;
}

/** The hash of a page that one thread makes. */
static inline OVM_HD struct ovm_page_hash ovm_hash_page(const struct ovm_hash_key *key,
							const void *page)
{
	struct ovm_hash_sums sums;

	for (uint32_t j = 0; j < OVM_HASH_NR_SUMS; j++)
		sums.nh[j] = ovm_hash_sum(key, page, j, 0, OVM_HASH_PAIRS);
	return ovm_hash_finish(key, &sums);
}

/** Whether two hashes are the same. */
static inline OVM_HD bool ovm_hash_equal(struct ovm_page_hash a, struct ovm_page_hash b)
{
	return a.word[0] == b.word[0] && a.word[1] == b.word[1];
}

/** All bits that are set in any of @nr words. */
static inline OVM_HD uint64_t ovm_words_or(const ovm_word64 *words, uint32_t nr)
{
	uint64_t bits = 0;

	for (uint32_t i = 0; i < nr; i++)
		bits |= words[i];
	return bits;
}

/** Whether a page is all zeroes; most that aren't show it early. */
static inline OVM_HD bool ovm_page_is_zero(const void *page)
{
	const ovm_word64 *words = (const ovm_word64 *)page;
	const uint32_t step = 32;

	for (uint32_t i = 0; i < OVM_PAGE_SIZE / 8; i += step) {
		if (ovm_words_or(words + i, step))
			return false;
	}
	return true;
}

/** What a kernel is told: pages in device memory, what to say of each, and where to. */
struct ovm_classify_args {
	const uint8_t *pages;
	/** NULL: no hashes. */
	const struct ovm_hash_key *key;
	/** Becomes 1 for pages that are zero, else 0. */
	uint8_t *zero;
	struct ovm_page_hash *hashes;
};

/** One page a block. */
static inline OVM_HD void ovm_classify_body(const struct ovm_classify_args *args, uint32_t block)
{
	OVM_SHARED(uint64_t, bits[OVM_BLOCK_LANES]);
	OVM_SHARED(uint64_t, sums[OVM_HASH_NR_SUMS * OVM_BLOCK_LANES]);
	const uint8_t *page = args->pages + ((uint64_t)block << OVM_PAGE_SHIFT);
	const ovm_word64 *words = (const ovm_word64 *)(const void *)page;

	OVM_LANES(i, OVM_BLOCK_LANES) {
		bits[i] = words[i] | words[i + OVM_BLOCK_LANES];
		/* Neighbours read neighbouring words. */
		for (uint32_t j = 0; args->key && j < OVM_HASH_NR_SUMS; j++)
			sums[OVM_HASH_NR_SUMS * i + j] =
				ovm_hash_sum(args->key, page, j, i, 1) +
				ovm_hash_sum(args->key, page, j, i + OVM_BLOCK_LANES, 1);
	}
	OVM_SYNC();
	for (uint32_t half = OVM_BLOCK_LANES / 2; half; half /= 2) {
		OVM_LANES(i, half) {
			bits[i] |= bits[i + half];
			for (uint32_t j = 0; args->key && j < OVM_HASH_NR_SUMS; j++)
				sums[OVM_HASH_NR_SUMS * i + j] +=
					sums[OVM_HASH_NR_SUMS * (i + half) + j];
		}
		OVM_SYNC();
	}
	OVM_LANES(i, 1) {
		struct ovm_hash_sums all;

		args->zero[block] = !bits[i];
		for (uint32_t j = 0; args->key && j < OVM_HASH_NR_SUMS; j++)
			all.nh[j] = sums[j];
		if (args->key)
			args->hashes[block] = ovm_hash_finish(args->key, &all);
	}
}

#endif /* OVM_KERNELS_CUDA_PAGEHASH_H */
