// SPDX-License-Identifier: GPL-2.0-only
// A name, not an expression.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: typeof_name.c:[[@LINE+1]]:{{.*}}error: {{.*}}is not the name of a type
	r->value = llv_sizeof(typeof(*p));
}
