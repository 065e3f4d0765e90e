// SPDX-License-Identifier: GPL-2.0-only
// Addresses of the kernel are known at run time only.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
static struct task_struct *const tasks[] = {&init_task, &init_task};
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: error: {{.*}}'tasks' holds addresses of the kernel
	r->value = tasks[p->pid & 1]->pid;
}
