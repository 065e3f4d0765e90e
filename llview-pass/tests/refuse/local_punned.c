// SPDX-License-Identifier: GPL-2.0-only
// No way through local variables leads from a number of the guest's to a pointer of the tool's.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"

LLV_ENTRY(by_copy, struct record, r)
{
	u8 bytes[sizeof(struct ovm_rec_bytes)];
	struct ovm_rec_bytes local[2];

	memcpy(bytes, init_task.stack, sizeof(bytes));
	// CHECK-DAG: local_punned.c:[[@LINE+1]]:{{.*}}error: {{.*}}__host pointer can't be
	memcpy(&local[1], bytes, sizeof(bytes));
	r->value = local[init_task.pid & 1].data[0];
}

LLV_ENTRY(by_store, struct record, r)
{
	struct ovm_rec_bytes local[2] = {0};

	// CHECK-DAG: local_punned.c:[[@LINE+1]]:{{.*}}error: {{.*}}a __host pointer can't be made of a number
	*(u64 *)(void *)&local[1].data = init_task.start_time;
	r->value = local[init_task.pid & 1].data[0];
}

LLV_ENTRY(by_index, struct record, r)
{
	struct ovm_rec_bytes local[2] = {0};

	// CHECK-DAG: local_punned.c:[[@LINE+1]]:{{.*}}error: {{.*}}__host pointer
	((u64 *)(void *)local)[init_task.pid] = init_task.start_time;
	r->value = local[init_task.pid & 1].data[0];
}

LLV_ENTRY(by_fill, struct record, r)
{
	struct ovm_rec_bytes local[2];

	// CHECK-DAG: local_punned.c:[[@LINE+1]]:{{.*}}error: {{.*}}a __host pointer can't be made of a number
	memset(local, init_task.pid, sizeof(local));
	r->value = local[init_task.pid & 1].data[0];
}

LLV_ENTRY(promoted, struct record, r)
{
	struct ovm_rec_bytes local;

	// CHECK-DAG: local_punned.c:[[@LINE+1]]:{{.*}}error: {{.*}}an integer can't become a __host pointer
	*(u64 *)(void *)&local.data = init_task.start_time;
	r->value = local.data[0];
}

LLV_ENTRY(kept, struct record, r)
{
	struct record local = {0};

	// CHECK-DAG: local_punned.c:[[@LINE+1]]:{{.*}}error: {{.*}}the address of a local variable can't be kept
	r->next = (struct record __host *)&local;
}
