/* SPDX-License-Identifier: GPL-2.0-only */
/* Pages of all kinds, by number, for tests of what is done with pages. */
#ifndef OVM_TESTS_UNIT_TEST_PAGES_H
#define OVM_TESTS_UNIT_TEST_PAGES_H

#include <stdint.h>
#include <string.h>

#include "kernels-cuda/run.h"

static inline uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* What a page holds, by its number; the same number, the same page. */
static inline void fill_page(uint64_t *words, uint64_t number)
{
	uint64_t state = number / 8 * 2654435761 + 88172645463325252;

	memset(words, 0, OVM_PAGE_SIZE);
	for (unsigned int i = 0; i < 512; i++) {
		switch (number % 8) {
		case 0: /* Zero. */
			break;
		case 1: /* One bit, and the last one at that. */
			words[511] = UINT64_C(1) << 63;
			break;
		case 2: /* Can't be compressed. */
			words[i] = next_random(&state);
			break;
		case 3: /* Can be, somewhat. */
			words[i] = i % 8 < 6 ? next_random(&state) : number;
			break;
		case 4:
			words[i] = next_random(&state) & 0xff;
			break;
		case 5: /* All the same. */
			words[i] = number;
			break;
		default:
			words[i] = 0x100 * i + number;
		}
	}
}

#endif /* OVM_TESTS_UNIT_TEST_PAGES_H */
