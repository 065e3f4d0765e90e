// SPDX-License-Identifier: GPL-2.0-only
// A record isn't filled with raw memory of the guest.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
struct pair {
	u64 a, b;
};
struct holder {
	struct pair pair;
};
LLV_ENTRY(f, struct holder, r)
{
	struct task_struct *p = &init_task;

// CHECK: record_copy.c:[[@LINE+1]]:{{.*}}error: {{.*}}guest memory can't be copied over a record
	r->pair = *(struct pair *)p->stack;
}
