// SPDX-License-Identifier: GPL-2.0-only
// And divide by this build's size.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: distance.c:[[@LINE+1]]:{{.*}}error: {{.*}}the distance of pointers
	r->value = p - p->parent;
}
