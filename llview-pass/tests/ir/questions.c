// SPDX-License-Identifier: GPL-2.0-only
// Existence is asked at run time; what follows stays behind the question.
// RUN: %llview-cc -S -emit-llvm %s -o - | FileCheck %s
#include "common.h"

struct task_struct___state {
	long state;
};

// CHECK-DAG: c"struct task_struct___state\00"
// CHECK-DAG: c"__state\00"
// CHECK-DAG: c"state\00"
// CHECK-DAG: c"enum pid_type\00"
// CHECK-DAG: c"PIDTYPE_SID\00"
// CHECK-DAG: c"first:0:64,\00"
// CHECK-DAG: [[EXISTS:@llv.reloc[.0-9]*]] = private constant {{.*}}, i16 1, i16 0, i32 0 }

LLV_ENTRY(state, struct record, r)
{
	struct task_struct *p = &init_task;

	if (llv_field_exists(struct task_struct, __state))
		r->value = p->__state;
	else
		r->value = ((struct task_struct___state *)p)->state;
}
// CHECK-LABEL: define hidden void @state(
// CHECK: [[HAS:%.*]] = {{.*}}call i64 @ovm_llv_rt_value(ptr nonnull [[EXISTS]])
// CHECK: icmp eq i64 [[HAS]], 0
// CHECK: br i1
// CHECK: call i64 @ovm_llv_rt_field(
// CHECK: call i64 @ovm_llv_rt_field(
// CHECK: ret void

LLV_ENTRY(questions, struct record, r)
{
	r->value = llv_enum_value(enum pid_type, PIDTYPE_SID) + llv_sizeof(struct task_struct) +
		   llv_symbol("init_task") + llv_offsetof(struct task_struct, signal) +
		   llv_field_count(struct task_struct, comm) + llv_type_exists(struct folio) +
		   llv_exists(init_task.on_cpu) + llv_field_size(struct task_struct, comm);
}
// CHECK-LABEL: define hidden void @questions(
// CHECK-COUNT-8: call i64 @ovm_llv_rt_value(
// CHECK: ret void

// A copy of a structure holds only where the layouts agree; see "first:0:64," above.
LLV_ENTRY(copied, struct record, r)
{
	struct hlist_head head = *(struct hlist_head *)init_task.stack;

	r->value = (u64)head.first;
}
// CHECK-LABEL: define hidden void @copied(
// CHECK: ret void
