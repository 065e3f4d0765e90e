// SPDX-License-Identifier: GPL-2.0-only
/*
 * Signals that are read.
 */
#include "files.h"

const char *ovm_image_signalfd_problem(const struct ovm_rec_file *file)
{
	return file->signalfd ? NULL : "has no known content";
}

struct ovm_error *ovm_image_put_signalfd(struct ovm_image_file *image,
					 struct ovm_image_file_parts *parts,
					 const struct ovm_rec_signalfd *signalfd)
{
	FileEntry entry = FILE_ENTRY__INIT;
	SignalfdEntry signals = SIGNALFD_ENTRY__INIT;

	signals.id = parts->id;
	signals.flags = parts->flags;
	signals.fown = &parts->fown;
	signals.sigmask = signalfd->signals;
	entry.type = FD_TYPES__SIGNALFD;
	entry.id = parts->id;
	entry.sgfd = &signals;
	return ovm_image_file_put(image, &entry.base);
}
