// SPDX-License-Identifier: GPL-2.0-only
// A pointer is the guest's or a local variable's, never either.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: ambiguous.c:[[@LINE+3]]:{{.*}}error: {{.*}}ambiguous pointer
	struct list_head local = {0}, *q = p->exit_code ? &local : &p->tasks;

	r->value = (u64)q->next;
}
