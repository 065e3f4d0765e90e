/* SPDX-License-Identifier: GPL-2.0-only */
/* How a memory area looks in an image. */
#ifndef OVM_HOST_IMAGE_MM_H
#define OVM_HOST_IMAGE_MM_H

#include <stdbool.h>
#include <stdint.h>

#include "vmi/extract/record.h"

enum {
	/** Words of the auxiliary vector that CRIU 3.17.1 takes. */
	OVM_IMAGE_AUXV_MAX = 44,
};

/** Flags as of mmap(2), kinds of memory included. */
uint32_t ovm_image_vma_flags(const struct ovm_rec_vma *vma);

/** Bits of CRIU's VMA status. @mm tells where the heap is. */
uint32_t ovm_image_vma_status(const struct ovm_rec_vma *vma, const struct ovm_rec_mm *mm);

/** Advice for madvise(2), bit n for advice n. */
uint64_t ovm_image_vma_advice(const struct ovm_rec_vma *vma);

/** Whether pages of the area may be restored after the process runs again. */
bool ovm_image_vma_may_be_lazy(const struct ovm_rec_vma *vma);

/** Private huge pages from hugetlbfs' internal mount, which are mapped anew without a file. */
bool ovm_image_vma_is_private_huge(const struct ovm_rec_vma *vma);

/** The file that is mapped when restoring; NULL for what is mapped without one. */
const struct ovm_rec_file *ovm_image_vma_file(const struct ovm_rec_vma *vma);

/** Why an area that is a ring of asynchronous I/O can't be represented, or NULL. */
const char *ovm_image_aio_ring_problem(const struct ovm_rec_vma *vma);

/** Requests that make a ring of the size of the one that is mapped. */
uint32_t ovm_image_aio_requests(const struct ovm_rec_vma *vma);

/**
 * Copy the auxiliary vector, AT_NULL included where there is room, and return the number of words.
 *
 * Newer kernels have more words than fit. The vector on the stack, which libc reads, is not
 * concerned; of this copy, seen in /proc/PID/auxv only, the youngest entries are left out.
 */
uint32_t ovm_image_auxv(const struct ovm_rec_mm *mm, uint64_t words[OVM_IMAGE_AUXV_MAX]);

#endif /* OVM_HOST_IMAGE_MM_H */
