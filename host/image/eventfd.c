// SPDX-License-Identifier: GPL-2.0-only
/*
 * Event counters.
 */
#include "files.h"

/* CRIU 3.17.1 and 4.2 hand the counter to eventfd(2), which takes 32 bits, and know of no flags. */
const char *ovm_image_eventfd_problem(const struct ovm_rec_file *file)
{
	if (!file->eventfd)
		return "has no known content";
	if (file->eventfd->semaphore)
		return "is a semaphore (EFD_SEMAPHORE), which CRIU does not restore";
	if (file->eventfd->count > UINT32_MAX)
		return "has counted beyond the 32 bits that CRIU restores";
	return NULL;
}

struct ovm_error *ovm_image_put_eventfd(struct ovm_image_file *image,
					struct ovm_image_file_parts *parts,
					const struct ovm_rec_eventfd *eventfd)
{
	FileEntry entry = FILE_ENTRY__INIT;
	EventfdFileEntry event = EVENTFD_FILE_ENTRY__INIT;

	event.id = parts->id;
	event.flags = parts->flags;
	event.fown = &parts->fown;
	event.counter = eventfd->count;
	entry.type = FD_TYPES__EVENTFD;
	entry.id = parts->id;
	entry.efd = &event;
	return ovm_image_file_put(image, &entry.base);
}
