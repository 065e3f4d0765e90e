// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files on their way: what waits to be received from Unix sockets may come with open files
 * (SCM_RIGHTS), which may be sockets with such messages in turn.
 *
 * They need no descriptor anywhere, and may lead back to the socket they wait in. So they are not
 * followed, but put behind the files that are known already.
 */
#include <linux/skbuff.h>
#include <net/scm.h>

#include "extract.h"

LLV_SHARED void ovm_packet_passed(const struct scm_fp_list *list,
				  struct ovm_rec_packet __host *packet)
{
	struct ovm_rec_passed __host *__host *link = &packet->passed;

	if (!list)
		return;
	int count = list->count;

	if (count < 0 || (u64)count > llv_field_count(struct scm_fp_list, fp))
		llv_fail(LLV_CORRUPT, list, "message comes with too many files");
	for (int i = 0; i < count; i++) {
		struct ovm_rec_passed __host *passed = llv_new(struct ovm_rec_passed);

		passed->identity = OVM_IDENTITY(list->fp[i]);
		*link = passed;
		link = &passed->next;
		packet->nr_passed++;
	}
}

static void look_at(struct ovm_files __host *files, const struct ovm_rec_packet __host *packet)
{
	for (struct ovm_rec_passed __host *passed = packet->passed; passed; passed = passed->next) {
		passed->file = ovm_file(files, (struct file *)passed->identity);
		passed->file->nr_passed++;
	}
}

LLV_SHARED void ovm_passed_files(struct ovm_files __host *files)
{
	/* The list grows while it is gone through. */
	for (struct ovm_rec_file __host *rec = files->tree->files; rec; rec = rec->next) {
		if (!rec->socket)
			continue;
		for (struct ovm_rec_packet __host *packet = rec->socket->packets; packet;
		     packet = packet->next)
			look_at(files, packet);
	}
}
