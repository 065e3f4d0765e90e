// SPDX-License-Identifier: GPL-2.0-only
// Nor by a union.
// RUN: not %llview-cc -c %s -o /dev/null 2>&1 | FileCheck %s
#include "common.h"

// CHECK: host_union.c:[[@LINE+1]]:{{.*}}error: {{.*}}a union can't hold __host pointers
union pun {
	u64 number;
	struct record __host *pointer;
};
