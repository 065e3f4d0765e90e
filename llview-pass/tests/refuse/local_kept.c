// SPDX-License-Identifier: GPL-2.0-only
// Read back, it would count as the guest's.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
struct keep {
	const void *p[4];
};
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: local_kept.c:[[@LINE+4]]:{{.*}}error: {{.*}}the address of a local variable or constant can't be kept in memory
	struct keep keep;
	u32 local = p->pid;

	keep.p[p->pid & 3] = &local;
	r->value = *(u32 *)keep.p[p->tgid & 3];
}
