// SPDX-License-Identifier: GPL-2.0-only
// The host's CPU isn't the guest's.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: assembler.c:[[@LINE+1]]:{{.*}}error: {{.*}}inline assembler can't run outside of the guest
	asm volatile("mov %%cr3, %0" : "=r"(p));
}
