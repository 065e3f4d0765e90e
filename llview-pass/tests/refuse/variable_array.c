// SPDX-License-Identifier: GPL-2.0-only
// The guest would choose how much stack is used.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: variable_array.c:[[@LINE+1]]:{{.*}}error: {{.*}}arrays of variable size
	u8 local[p->pid];

	memset(local, 0, sizeof(local));
	r->value = local[0];
}
