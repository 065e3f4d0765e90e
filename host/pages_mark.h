/* SPDX-License-Identifier: GPL-2.0-only */
/* Which pages have to be in the images whatever they hold. */
#ifndef OVM_HOST_PAGES_MARK_H
#define OVM_HOST_PAGES_MARK_H

#include <stddef.h>
#include <stdint.h>

#include "host/pages.h"
#include "vmi/error.h"

/** A page that will be written to in the image. */
struct ovm_pages_spot {
	/** Index of the process. */
	uint32_t process;
	/** Of the page. */
	uint64_t va;
};

/**
 * Set enum ovm_pages_flags of all runs, which are cut where these change.
 *
 * Nothing is zero where pages are missing in private memory without a file and in shared memory,
 * which restore makes anew. Of huge pages, the first 4 KiB are kept, so that all of them are there
 * afterwards: those that take their place later might find no free one. Rings of asynchronous I/O
 * are made by the kernel, with a head that is no zero. CRIU reads private huge pages from the
 * images themselves, whatever their pagemap says (3.17.1, criu/mem.c: what is not mapped
 * beforehand), and wants nothing of huge pages and of the vDSO to be compressed. @spots will be
 * sorted.
 */
struct ovm_error *ovm_pages_mark(struct ovm_pages *pages, const struct ovm_rec_tree *tree,
				 struct ovm_pages_spot *spots, size_t nr_spots);

#endif /* OVM_HOST_PAGES_MARK_H */
