// SPDX-License-Identifier: GPL-2.0-only
// And this build's size.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: sizeof.c:[[@LINE+1]]:{{.*}}error: {{.*}}sizeof 'struct task_struct'
	r->value = p->pid + sizeof(*p);
}
