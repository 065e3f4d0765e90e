// SPDX-License-Identifier: GPL-2.0-only
// What the guest's numbers could do to the tool is checked first.
// RUN: %llview-cc -S -emit-llvm %s -o - | FileCheck %s
#include "common.h"

LLV_ENTRY(indexed, struct record, r)
{
	r->table[init_task.pid] = 1;
}
// CHECK-LABEL: define hidden void @indexed(
// CHECK: [[BAD:%.*]] = icmp ugt i64 {{.*}}, 15
// CHECK: br i1 [[BAD]]
// CHECK: call void @ovm_llv_rt_trap(
// CHECK: store i32 1
// CHECK: ret void

LLV_ENTRY(linked, struct record, r)
{
	r->next->value = 1;
}
// CHECK-LABEL: define hidden void @linked(
// CHECK: icmp eq ptr addrspace(1) %{{.*}}, null
// CHECK: load ptr addrspace(1)
// CHECK: icmp eq ptr addrspace(1) %{{.*}}, null
// CHECK: store i64 1
// CHECK: ret void

LLV_ENTRY(divided, struct record, r)
{
	r->value = 1000 / init_task.pid;
}
// CHECK-LABEL: define hidden void @divided(
// CHECK: icmp eq i32 {{.*}}, 0
// CHECK: sdiv i32 1000
// CHECK: ret void

static const u32 powers[] = {1, 10, 100, 1000};

LLV_ENTRY(constant, struct record, r)
{
	r->value = powers[init_task.pid];
}
// CHECK-LABEL: define hidden void @constant(
// CHECK: icmp ugt i64 {{.*}}, 3
// CHECK: call void @ovm_llv_rt_trap(
// CHECK: ret void

LLV_ENTRY(local, struct record, r)
{
	u32 counts[8] = {0}, *at = counts;

	for (struct task_struct *p = &init_task; p->pid; p = p->parent)
		*at++ = p->pid;
	r->value = counts[init_task.tgid & 7];
}
// CHECK-LABEL: define hidden void @local(
// CHECK: call void @ovm_llv_rt_trap(
// CHECK: ret void

// An index within a type is no index within a variable that is smaller.
struct large {
	u32 pad, table[64];
};

LLV_ENTRY(smaller, struct record, r)
{
	u32 local[4] = {1, 2, 3, 4};

	r->value = ((struct large *)local)->table[init_task.pid];
	r->table[0] = local[init_task.tgid & 3];
}
// CHECK-LABEL: define hidden void @smaller(
// CHECK: icmp ugt i64 {{.*}}, 63
// CHECK: call void @ovm_llv_rt_trap(
// CHECK: icmp ugt i64 {{.*}}, 12
// CHECK: call void @ovm_llv_rt_trap(
// CHECK: ret void

LLV_ENTRY(never, struct record, r)
{
	switch (init_task.pid & 3) {
	case 0:
		r->value = 1;
		break;
	default:
		__builtin_unreachable();
	}
}
// CHECK-LABEL: define hidden void @never(
// CHECK: call void @ovm_llv_rt_trap(
// CHECK: }

// Recursion through a shared function is counted.
LLV_SHARED u64 depth(struct task_struct *p);

LLV_SHARED u64 depth(struct task_struct *p)
{
	return p->pid ? depth(p->parent) + 1 : 0;
}
// CHECK-LABEL: define hidden {{.*}}i64 @depth(
// CHECK: call void @ovm_llv_rt_enter(
// CHECK: call void @ovm_llv_rt_leave(
// CHECK: ret i64
