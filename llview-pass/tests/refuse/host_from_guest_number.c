// SPDX-License-Identifier: GPL-2.0-only
// Not even one to a number.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: host_from_guest_number.c:[[@LINE+1]]:{{.*}}error: {{.*}}a pointer of the guest can't become a __host pointer
	r->value = *(u64 __host *)p->stack;
}
