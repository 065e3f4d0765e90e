// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rings of asynchronous I/O (io_setup(2)).
 *
 * CRIU saves the ring's area with its pages as if it were private, makes a new context when
 * restoring, submits as many writes to /dev/null as bring the kernel's end of the ring to where it
 * was, copies the events and moves the ring to its place. So the new ring must be as long as the
 * old one, and head and tail have to lie in it.
 */
#include <stddef.h>

#include "mm.h"

enum {
	PAGE_SHIFT = 12,
	PAGE_SIZE = 1 << PAGE_SHIFT,
	/* struct aio_ring, struct io_event (fs/aio.c, linux/aio_abi.h). */
	RING_HEAD = 32,
	EVENT_SIZE = 32,
	/* The kernel makes twice as many events as are asked for, and two more. */
	EXTRA_EVENTS = 2,
	EVENTS_PER_REQUEST = 2,
	/* io_setup(2) takes no more. */
	RING_MAX = 0x10000000,
};

static uint32_t events_in(uint64_t length)
{
	return (uint32_t)((length - RING_HEAD) / EVENT_SIZE);
}

uint32_t ovm_image_aio_requests(const struct ovm_rec_vma *vma)
{
	return (events_in(vma->end - vma->start) - EXTRA_EVENTS) / EVENTS_PER_REQUEST;
}

const char *ovm_image_aio_ring_problem(const struct ovm_rec_vma *vma)
{
	const struct ovm_rec_aio_ring *ring = vma->aio_ring;
	uint64_t length = vma->end - vma->start;

	if (length > RING_MAX || vma->pgoff || !vma->may_share || ring->pages->size != length ||
	    ring->pages->nr_pages != length >> PAGE_SHIFT)
		return "is only a part of a ring of asynchronous I/O, which CRIU can't restore";
	if (!vma->read || !vma->write)
		return "is a ring of asynchronous I/O with another protection, which CRIU does not "
		       "restore";
	if (ring->nr != events_in(length) || ring->head >= ring->nr || ring->tail >= ring->nr)
		return "is a ring of asynchronous I/O that the program has overwritten";
	return NULL;
}
