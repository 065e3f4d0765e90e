// SPDX-License-Identifier: GPL-2.0-only
// Atomic operations write.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: atomic.c:[[@LINE+1]]:{{.*}}error: {{.*}}guest memory can't be written
	r->value = __atomic_fetch_add(&p->exit_code, 1, __ATOMIC_SEQ_CST);
}
