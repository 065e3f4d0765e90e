// SPDX-License-Identifier: GPL-2.0-only
// Nor when the type came by way of void.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: host_in_guest_void.c:[[@LINE+4]]:{{.*}}error: {{.*}}a __host pointer can't be read from guest memory
	struct record *q;

	memcpy(&q, &p->stack, sizeof(q));
	r->next = q->next;
}
