// SPDX-License-Identifier: GPL-2.0-only
#include "file.h"
#include "namespaces.h"
#include "write.h"

/* Any numbers will do, as long as they differ; 0 means none. */
enum {
	PID_NS = 1,
	NET_NS,
	IPC_NS,
	UTS_NS,
	TIME_NS,
	MNT_NS,
	USER_NS,
	CGROUP_NS,
};

void ovm_image_fill_ids(TaskKobjIdsEntry *ids, uint32_t own)
{
	ids->vm_id = ids->files_id = ids->fs_id = ids->sighand_id = own;
	ids->has_pid_ns_id = ids->has_net_ns_id = ids->has_ipc_ns_id = ids->has_uts_ns_id = true;
	ids->has_time_ns_id = ids->has_mnt_ns_id = ids->has_user_ns_id = true;
	ids->has_cgroup_ns_id = true;
	ids->pid_ns_id = PID_NS;
	ids->net_ns_id = NET_NS;
	ids->ipc_ns_id = IPC_NS;
	ids->uts_ns_id = UTS_NS;
	ids->time_ns_id = TIME_NS;
	ids->mnt_ns_id = MNT_NS;
	ids->user_ns_id = USER_NS;
	ids->cgroup_ns_id = CGROUP_NS;
}

struct ovm_error *ovm_image_write_ids(const struct ovm_image_job *job)
{
	TaskKobjIdsEntry ids = TASK_KOBJ_IDS_ENTRY__INIT;
	const struct ovm_rec_process *rec = job->process->rec;

	ovm_image_fill_ids(&ids, ovm_image_own_id(rec));
	if (rec->files_owner)
		ids.files_id = ovm_image_own_id(rec->files_owner);
	if (!rec->ns.ipc_initial)
		ids.ipc_ns_id = OVM_IMAGE_OWN_IPC_NS;
	return ovm_image_file_write(job->dir_fd, OVM_IMAGE_IDS, (uint64_t)rec->pid, &ids.base);
}
