// SPDX-License-Identifier: GPL-2.0-only
// A number from the guest never becomes a pointer of the tool's.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: host_from_integer.c:[[@LINE+1]]:{{.*}}error: {{.*}}an integer can't become a __host pointer
	r->next = (struct record __host *)p->start_time;
}
