// SPDX-License-Identifier: GPL-2.0-only
// So are inline functions of headers; the extractor's line is named, too.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"
LLV_ENTRY(f, struct record, r)
{
	struct task_struct *p = &init_task;

// CHECK: list.h:{{.*}}error: {{.*}}guest memory can't be written (inlined at store_in_header.c:[[@LINE+1]])
	INIT_LIST_HEAD(&p->tasks);
}
