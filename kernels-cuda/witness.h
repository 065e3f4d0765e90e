/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A mapping that tells whether a piece of a RAM file has lost any page.
 *
 * All its pages are put into the page tables when it is made, and nobody touches it from then on.
 * A page that is taken out of the file (a hole is punched, the file is truncated) is taken out of
 * all page tables first, and nothing but an access brings its successor into those of
 * this mapping. So a page that is present has been the file's all the time. The
 * opposite isn't true: the kernel may unmap a page to reclaim it, or to make a huge
 * page around it, without taking it away.
 *
 * It must not be the mapping through which a device pins the pages: pinning is an
 * access, and one that meets a page that was just taken away brings its neighbours' successors
 * into the page tables, too (fault_around_bytes). For the same reason
 * each witness is a mapping of its own, with nothing beside it.
 *
 * Mappings of huge pages share page tables with others, in other processes too, where they cover an
 * aligned GiB (mm/hugetlb.c, huge_pmd_share()): a witness must be smaller.
 */
#ifndef OVM_KERNELS_CUDA_WITNESS_H
#define OVM_KERNELS_CUDA_WITNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** How to ask for page tables. */
struct ovm_pagemap {
	/** -1: can't. */
	int fd;
	/** Whether there is PAGEMAP_SCAN. */
	bool scan;
};

/** Returns 0, or an errno. */
int ovm_pagemap_open(struct ovm_pagemap *pagemap);

void ovm_pagemap_close(struct ovm_pagemap *pagemap);

/** Whether all pages of a piece of this process' memory are in its page tables; if in doubt: no. */
bool ovm_pagemap_is_present(const struct ovm_pagemap *pagemap, const void *memory, size_t size);

/** Map a piece of a file where addresses are like offsets modulo 2 MiB, with a gap on both sides.
 */
struct ovm_window {
	uint8_t *map;
	size_t size;
	uint8_t *reserved;
	size_t reserved_size;
};

/**
 * Map a piece of a file where addresses are like offsets modulo @page_size, or 2 MiB if that is
 * more. Returns 0, or an errno. Nothing is put into the page tables. @writable is for devices that
 * can't pin what can't be written; it takes a file that this process may write.
 */
int ovm_window_open(struct ovm_window *window, int fd, uint64_t offset, size_t size,
		    size_t page_size, bool writable);

/** Does nothing to a window that is all zeroes. */
void ovm_window_close(struct ovm_window *window);

/** Make a witness; nothing in the piece may be a hole, since holes are filled. Returns an errno. */
int ovm_witness_open(struct ovm_window *window, int fd, uint64_t offset, size_t size,
		     size_t page_size);

#endif /* OVM_KERNELS_CUDA_WITNESS_H */
