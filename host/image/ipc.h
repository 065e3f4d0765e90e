/* SPDX-License-Identifier: GPL-2.0-only */
/* System V IPC: namespaces that are saved with all that is in them. */
#ifndef OVM_HOST_IMAGE_IPC_H
#define OVM_HOST_IMAGE_IPC_H

#include "image.h"
#include "report.h"

/** Whether a mapping is that of a segment of shared memory. */
bool ovm_image_vma_is_sysv(const struct ovm_rec_vma *vma);

/**
 * Why an area that is a segment, or a part of one, can't be represented; NULL if it can. @before is
 * the area that precedes it, or NULL.
 */
const char *ovm_image_sysv_problem(const struct ovm_rec_vma *before, const struct ovm_rec_vma *vma);

/** What can't be represented of the namespace of a set, or is lost. */
void ovm_image_check_ipc(struct ovm_image_report *report);

#endif /* OVM_HOST_IMAGE_IPC_H */
