/* SPDX-License-Identifier: GPL-2.0-only */
/* Decoding blocks of LZ4, whose bytes nobody vouches for. */
#ifndef OVM_HOST_LZ4_H
#define OVM_HOST_LZ4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Decode a block into @size bytes; false unless it makes that many. @out may hold anything then.
 */
bool ovm_lz4_decode(const uint8_t *in, size_t len, uint8_t *out, size_t size);

#endif /* OVM_HOST_LZ4_H */
