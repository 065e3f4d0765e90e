// SPDX-License-Identifier: GPL-2.0-only
// Members are read through descriptors that name them; no access is native.
// RUN: %llview-cc -S -emit-llvm %s -o - | FileCheck %s
#include "common.h"
#include <linux/fs_struct.h>
#include <linux/mm_types.h>
#include <linux/pid.h>

// Texts and descriptors come first in the output.
// CHECK-DAG: c"struct fs_struct\00"
// CHECK-DAG: c"umask\00"
// CHECK-DAG: c"no_cgroup_migration\00"
// CHECK-DAG: c"signal\00"
// CHECK-DAG: c"rlim[3].rlim_max\00"
// CHECK-DAG: c"struct upid\00"
// CHECK-DAG: c"struct page\00"
// CHECK-DAG: c"_mapcount.counter\00"
// CHECK-DAG: c"init_task\00"

// kind 3 is a load, flags 3 a signed integer, 4 bytes: int umask.
// CHECK-DAG: [[UMASK:@llv.reloc[.0-9]*]] = private constant {{.*}}, i16 3, i16 3, i32 4 }, section "llv_relocs"
LLV_ENTRY(umask, struct record, r)
{
	r->value = init_task.fs->umask;
}
// CHECK-LABEL: define hidden void @umask(
// CHECK: [[TASK:%.*]] = {{.*}}call i64 @ovm_llv_rt_value(
// CHECK: [[FS:%.*]] = {{.*}}call i64 @ovm_llv_rt_field(i64 [[TASK]],
// CHECK: {{.*}}call i64 @ovm_llv_rt_field(i64 [[FS]], ptr nonnull [[UMASK]]
// CHECK-NOT: load
// CHECK: ret void

// A bit-field: what clang shifts and masks is where it expects it.
LLV_ENTRY(bit, struct record, r)
{
	r->value = init_task.no_cgroup_migration;
}
// CHECK-LABEL: define hidden void @bit(
// CHECK: [[BIT:%.*]] = {{.*}}call i64 @ovm_llv_rt_field(
// CHECK: and i64 [[BIT]], 1
// CHECK: ret void

LLV_ENTRY(array, struct record, r)
{
	r->value = init_task.signal->rlim[3].rlim_max;
}
// CHECK-LABEL: define hidden void @array(
// CHECK: ret void

// An index that varies: offset of the array, size of an element, offset in it.
LLV_ENTRY(element, struct record, r)
{
	struct pid *pid = init_task.thread_pid;

	r->value = pid->numbers[pid->level].nr;
}
// CHECK-LABEL: define hidden void @element(
// CHECK: call i64 @ovm_llv_rt_value(
// CHECK: mul i64
// CHECK: call i64 @ovm_llv_rt_field(
// CHECK: ret void

// Pointer arithmetic steps over structures of the guest's size; nameless unions have no part.
LLV_ENTRY(stride, struct record, r)
{
	struct page *page = (struct page *)init_task.stack;

	r->value = page[r->value]._mapcount.counter;
}
// CHECK-LABEL: define hidden void @stride(
// CHECK: [[START:%.*]] = {{.*}}call i64 @ovm_llv_rt_field(
// CHECK: [[SIZE:%.*]] = {{.*}}call i64 @ovm_llv_rt_value(
// CHECK: mul i64 [[SIZE]]
// CHECK: call i64 @ovm_llv_rt_field(
// CHECK: ret void
