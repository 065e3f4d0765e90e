/* SPDX-License-Identifier: GPL-2.0-only */
/* What the image writer is given: a state, and where its pages are. */
#ifndef OVM_HOST_STATE_IMAGES_H
#define OVM_HOST_STATE_IMAGES_H

#include "host/image/image.h"
#include "pages.h"
#include "state.h"

struct ovm_state_images {
	struct ovm_image_process *processes;
	struct ovm_image_shmem *shmem;
	/** Of these; statistics, CPUs and warnings are the caller's to set. */
	struct ovm_image_set set;
};

/**
 * Put the images together that @state and @pages make, both of which must outlive them. Pagemaps
 * are those of the moment; empty with pages that have not been looked for.
 */
struct ovm_error *ovm_state_images_init(const struct ovm_state *state,
					const struct ovm_pages *pages,
					struct ovm_state_images *ret);

/** Release what was put together. */
void ovm_state_images_deinit(struct ovm_state_images *images);

#endif /* OVM_HOST_STATE_IMAGES_H */
