// SPDX-License-Identifier: GPL-2.0-only
// And inlining adds up.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: error: {{.*}}local variables take more than 32 KiB
	u8 local[40000] = {0};

	local[p->pid] = 1;
	r->value = local[p->tgid];
}
