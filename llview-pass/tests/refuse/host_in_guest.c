// SPDX-License-Identifier: GPL-2.0-only
// A pointer of the tool's can't lie in guest memory.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: host_in_guest.c:[[@LINE+1]]:{{.*}}error: {{.*}}a pointer can't become one to
	r->next = ((struct record *)p->stack)->next;
}
