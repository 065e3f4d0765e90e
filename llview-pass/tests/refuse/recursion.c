// SPDX-License-Identifier: GPL-2.0-only
// Everything is inlined.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
static u64 depth(struct task_struct *p)
{
	return p->pid ? depth(p->parent) + 1 : 0;
}
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: recursion.c:6:{{.*}}error: {{.*}}recursion can't be inlined
	r->value = depth(p);
}
