// SPDX-License-Identifier: GPL-2.0-only
// Behind the macros are types that the macros check.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: private_names.c:[[@LINE+1]]:{{.*}}error: {{.*}}'ovm_llv_rt_bytes' is for llview.h only
	ovm_llv_rt_bytes(r, p, 8);
}
