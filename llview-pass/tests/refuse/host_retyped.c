// SPDX-License-Identifier: GPL-2.0-only
// Numbers can't be read as pointers by another type.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: host_retyped.c:[[@LINE+1]]:{{.*}}error: {{.*}}a __host pointer can't change its type
	r->next = *(struct record __host *__host *)&r->value;
}
