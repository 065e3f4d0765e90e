// SPDX-License-Identifier: GPL-2.0-only
// Neither does a pointer of the guest.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: host_from_guest.c:[[@LINE+1]]:{{.*}}error: {{.*}}a pointer can't become one to 'struct record', which holds __host pointers
	r->next = (struct record __host *)p->stack;
}
