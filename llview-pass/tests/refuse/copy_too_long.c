// SPDX-License-Identifier: GPL-2.0-only
// Of what fits.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: copy_too_long.c:[[@LINE+3]]:{{.*}}error: {{.*}}access out of bounds
	u8 local[64];

	memcpy(local, p->stack, 65);
	r->value = local[0];
}
