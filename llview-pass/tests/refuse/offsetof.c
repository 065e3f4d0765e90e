// SPDX-License-Identifier: GPL-2.0-only
// The front end would fold this build's offset in.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: offsetof.c:[[@LINE+1]]:{{.*}}error: {{.*}}offsetof() of 'struct task_struct'
	r->value = p->pid + offsetof(struct task_struct, pid);
}
