// SPDX-License-Identifier: GPL-2.0-only
// Only a member can be asked for.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: not_a_member.c:[[@LINE+1]]:{{.*}}error: {{.*}}the operand has to be a member
	r->value = llv_exists(*p);
}
