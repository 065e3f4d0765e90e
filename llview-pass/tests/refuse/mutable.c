// SPDX-License-Identifier: GPL-2.0-only
// Code is shared by all guests.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
static int counter;
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: error: {{.*}}'counter' would be shared by all runs
	r->value = counter++ + p->pid;
}
