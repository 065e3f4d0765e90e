// SPDX-License-Identifier: GPL-2.0-only
// Functions of the runtime do so, too.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: local_bytes.c:[[@LINE+3]]:{{.*}}error: {{.*}}the pointer has to be the guest's
	u64 local = p->pid;

	llv_bytes(&r->bytes, &local, sizeof(local));
}
