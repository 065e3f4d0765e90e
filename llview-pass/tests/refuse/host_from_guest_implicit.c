// SPDX-License-Identifier: GPL-2.0-only
// clang itself knows two kinds of pointers.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: host_from_guest_implicit.c:[[@LINE+1]]:{{.*}}error: {{.*}}changes address space of pointer
	r->next = p->stack;
}
