// SPDX-License-Identifier: GPL-2.0-only
// The kernel's own iterators work, are relocated and bounded.
// RUN: %llview-cc -S -emit-llvm %s -o - | FileCheck %s
#include "common.h"
#include <linux/percpu.h>

// CHECK-DAG: c"tasks\00"
// CHECK-DAG: c"__per_cpu_offset\00"
// CHECK-DAG: c"walks.c:{{[0-9]+}}\00"

LLV_ENTRY(processes, struct record, r)
{
	struct task_struct *p;

	rcu_dereference(init_task.parent);
	for_each_process(p)
		r->value += p->pid;
}
// CHECK-LABEL: define hidden void @processes(
// CHECK-DAG: call void @ovm_llv_rt_tick(
// CHECK-DAG: call i64 @ovm_llv_rt_field(
// CHECK: ret void

DECLARE_PER_CPU(unsigned long, process_counts);

LLV_ENTRY(counts, struct record, r)
{
	r->value = per_cpu(process_counts, r->table[0]) + *llv_per_cpu(process_counts, 1);
}
// CHECK-LABEL: define hidden void @counts(
// CHECK: call i64 @ovm_llv_rt_value(
// CHECK: call i64 @ovm_llv_rt_load(
// CHECK: ret void

// A goto makes a loop as well as any.
LLV_ENTRY(jumps, struct record, r)
{
	struct task_struct *p = &init_task;
again:
	p = p->parent;
	if (p->pid)
		goto again;
	r->value = p->tgid;
}
// CHECK-LABEL: define hidden void @jumps(
// CHECK: call void @ovm_llv_rt_tick(
// CHECK: ret void
