/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * SipHash-1-3, a keyed hash: whoever does not know the key can't make values
 * collide.  Used where hostile data is put into hash tables or compared by
 * fingerprint.  Source: J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast
 * short-input PRF" (2012), with 1 compression and 3 finalisation rounds.
 */
#ifndef OVM_VMI_SIPHASH_H
#define OVM_VMI_SIPHASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct ovm_siphash_key {
	uint64_t words[2];
};

static inline uint64_t ovm_siphash_rotate(uint64_t value, unsigned int bits)
{
	return value << bits | value >> (64 - bits);
}

static inline void ovm_siphash_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = ovm_siphash_rotate(v[1], 13) ^ v[0];
	v[3] = ovm_siphash_rotate(v[3], 16) ^ v[2];
	v[0] = ovm_siphash_rotate(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = ovm_siphash_rotate(v[1], 17) ^ v[2];
	v[3] = ovm_siphash_rotate(v[3], 21) ^ v[0];
	v[2] = ovm_siphash_rotate(v[2], 32);
}

static inline uint64_t ovm_siphash(const struct ovm_siphash_key *key, const void *data, size_t len)
{
	const uint8_t *bytes = data;
	uint64_t word, v[4] = {
			       key->words[0] ^ 0x736f6d6570736575ULL,
			       key->words[1] ^ 0x646f72616e646f6dULL,
			       key->words[0] ^ 0x6c7967656e657261ULL,
			       key->words[1] ^ 0x7465646279746573ULL,
		       };

	for (size_t i = 0; i + sizeof(word) <= len; i += sizeof(word)) {
		memcpy(&word, bytes + i, sizeof(word));
		v[3] ^= word;
		ovm_siphash_round(v);
		v[0] ^= word;
	}
	word = 0;
	memcpy(&word, bytes + len / sizeof(word) * sizeof(word), len % sizeof(word));
	word |= (uint64_t)len << 56;
	v[3] ^= word;
	ovm_siphash_round(v);
	v[0] ^= word;
	v[2] ^= 0xff;
	for (unsigned int i = 0; i < 3; i++)
		ovm_siphash_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

#endif /* OVM_VMI_SIPHASH_H */
