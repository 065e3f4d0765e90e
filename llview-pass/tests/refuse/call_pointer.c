// SPDX-License-Identifier: GPL-2.0-only
// A function pointer is the guest's.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: call_pointer.c:[[@LINE+1]]:{{.*}}error: {{.*}}a function of the guest can't be called through a pointer
	p->sighand->action[0].sa.sa_handler(1);
}
