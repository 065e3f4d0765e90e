// SPDX-License-Identifier: GPL-2.0-only
// A shared function takes its plain pointers for the guest's.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
LLV_SHARED u64 g(const struct list_head *head);
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: local_shared.c:[[@LINE+3]]:{{.*}}error: {{.*}}a pointer to a shared function has to be the guest's
	struct list_head local = {0};

	r->value = g(&local);
}
