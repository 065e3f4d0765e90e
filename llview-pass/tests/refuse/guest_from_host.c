// SPDX-License-Identifier: GPL-2.0-only
// A record is not the guest's.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: guest_from_host.c:[[@LINE+2]]:{{.*}}error: {{.*}}changes address space of pointer
	llv_bytes(&r->bytes, (void *)0, 8);
	p = r;
}
