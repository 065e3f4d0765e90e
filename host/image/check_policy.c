// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is imposed on threads from without, and can't be represented, or is lost.
 */
#include "check.h"

void ovm_image_check_policy(struct ovm_image_report *report, const struct ovm_rec_thread *rec)
{
	char quoted[OVM_IMAGE_QUOTED_MAX];

	if (rec->landlocked)
		ovm_image_reason(report,
				 "thread %d: is restricted by Landlock, which CRIU can't restore",
				 rec->tid);
	if (rec->tracee)
		ovm_image_reason(report, "thread %d: traces thread %d: end the debugger or tracer",
				 rec->tid, rec->tracee);
	if (rec->lsm_label.len)
		ovm_image_warn(report,
			       "thread %d: its AppArmor profile (%s) is not in the images: "
			       "restored, it has that of 'criu restore'",
			       rec->tid,
			       ovm_image_quote(rec->lsm_label.data, rec->lsm_label.len, quoted));
	if (rec->core_cookie)
		ovm_image_warn(report,
			       "thread %d: its core scheduling (PR_SCHED_CORE) is not restored "
			       "by CRIU",
			       rec->tid);
}
