// SPDX-License-Identifier: GPL-2.0-only
// Sizes of copies are constants.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: variable_copy.c:[[@LINE+3]]:{{.*}}error: {{.*}}needs a constant size
	u8 local[64];

	memcpy(local, p->stack, p->pid);
	r->value = local[0];
}
