// SPDX-License-Identifier: GPL-2.0-only
// Names are bound before the code runs.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: not_literal.c:[[@LINE+1]]:{{.*}}error: {{.*}}is for llview.h only
	r->value = __llv_path(p->comm, "", 4);
}
