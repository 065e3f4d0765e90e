// SPDX-License-Identifier: GPL-2.0-only
// Functions of the kernel aren't here.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: call_unknown.c:[[@LINE+1]]:{{.*}}error: {{.*}}'wake_up_process' can't be called
	r->value = wake_up_process(p);
}
