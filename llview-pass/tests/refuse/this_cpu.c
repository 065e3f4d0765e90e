// SPDX-License-Identifier: GPL-2.0-only
// The CPU that runs this isn't the guest's.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: error: {{.*}}inline assembler can't run outside of the guest (inlined at this_cpu.c:[[@LINE+1]])
	r->value = (u64)get_current();
}
