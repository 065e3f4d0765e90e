/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef OVM_HOST_IMAGE_PAGEMAP_H
#define OVM_HOST_IMAGE_PAGEMAP_H

#include "image.h"
#include "table.h"

/**
 * Write a pagemap. @vmas are the areas that its addresses lie in, by address; NULL for those that
 * are offsets in an object.
 *
 * Errors: OVM_ERROR_CORRUPT when a page lies in no area; those of writing.
 */
struct ovm_error *ovm_image_pagemap_write(int dir_fd, enum ovm_image_type type, uint64_t number,
					  const struct ovm_image_pagemap *pagemap,
					  const struct ovm_rec_vma *vmas);

#endif /* OVM_HOST_IMAGE_PAGEMAP_H */
