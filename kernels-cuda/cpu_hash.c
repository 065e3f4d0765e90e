// SPDX-License-Identifier: GPL-2.0-only
/* The hash of pagehash.h, by AVX2 where there is that: twice as fast as compilers make of the text.
 */
#include "packing.h"

#ifdef __x86_64__
#include <immintrin.h>

__attribute__((target("avx2"))) static __m256i add_key(const ovm_word32 *words, const uint32_t *key)
{
	return _mm256_add_epi32(_mm256_loadu_si256((const __m256i *)(const void *)words),
				_mm256_loadu_si256((const __m256i *)(const void *)key));
}

/* Eight pairs at a time, of which the instruction multiplies every other. */
__attribute__((target("avx2"))) static __m256i add_products(__m256i sum, __m256i a, __m256i b)
{
	__m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32));

	return _mm256_add_epi64(_mm256_add_epi64(sum, _mm256_mul_epu32(a, b)), odd);
}

__attribute__((target("avx2"))) static uint64_t add_lanes(__m256i sum)
{
	return (uint64_t)_mm256_extract_epi64(sum, 0) + (uint64_t)_mm256_extract_epi64(sum, 1) +
	       (uint64_t)_mm256_extract_epi64(sum, 2) + (uint64_t)_mm256_extract_epi64(sum, 3);
}

__attribute__((target("avx2"))) static struct ovm_page_hash
hash_avx2(const struct ovm_hash_key *key, const void *page)
{
	const ovm_word32 *low = page, *high = low + OVM_HASH_PAIRS;
	const uint32_t *low_key = key->word, *high_key = key->word + OVM_HASH_SECOND;
	__m256i sum[OVM_HASH_NR_SUMS] = {0};
	struct ovm_hash_sums sums;

	for (uint32_t i = 0; i < OVM_HASH_PAIRS; i += 8) {
		for (uint32_t j = 0; j < OVM_HASH_NR_SUMS; j++)
			sum[j] = add_products(sum[j], add_key(low + i, low_key + i + j),
					      add_key(high + i, high_key + i + j));
	}
	for (uint32_t j = 0; j < OVM_HASH_NR_SUMS; j++)
		sums.nh[j] = add_lanes(sum[j]);
	return ovm_hash_finish(key, &sums);
}
#endif

struct ovm_page_hash ovm_cpu_hash_page(const struct ovm_hash_key *key, const void *page)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx2"))
		return hash_avx2(key, page);
#endif
	return ovm_hash_page(key, page);
}
