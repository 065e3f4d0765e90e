// SPDX-License-Identifier: GPL-2.0-only
// Extractors are read-only.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: store.c:[[@LINE+1]]:{{.*}}error: {{.*}}guest memory can't be written
	p->exit_code = r->value;
}
