// SPDX-License-Identifier: GPL-2.0-only
// Memory of the tool's is reached by array indices, which are checked.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: host_arithmetic.c:[[@LINE+1]]:{{.*}}error: {{.*}}arithmetic on a __host pointer
	r[p->pid].value = 1;
}
