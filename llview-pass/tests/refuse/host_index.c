// SPDX-License-Identifier: GPL-2.0-only
// A constant index is checked at once.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: host_index.c:[[@LINE+1]]:{{.*}}error: {{.*}}index out of bounds
	r->table[16] = p->pid;
}
