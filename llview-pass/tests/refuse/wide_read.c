// SPDX-License-Identifier: GPL-2.0-only
// Not in one read.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: wide_read.c:[[@LINE+1]]:{{.*}}error: {{.*}}a value of this type can't be read from the guest at once
	r->value = *(unsigned __int128 *)p->stack >> 64;
}
