/* SPDX-License-Identifier: GPL-2.0-only */
/* What all records are made of. See record.h. */
#ifndef OVM_VMI_EXTRACT_RECORD_BASE_H
#define OVM_VMI_EXTRACT_RECORD_BASE_H

#include <linux/types.h>

#ifndef __host
/* Marks pointers to the tool's own memory; means something to the pass only. */
#define __host
#endif

/* Bytes copied out of the guest; @data is NULL when @len is 0. */
struct ovm_rec_bytes {
	__u8 __host *data;
	__u64 len;
};

enum {
	OVM_REC_COMM_LEN = 16,
	OVM_REC_NR_SIGNALS = 64,
	OVM_REC_NR_RLIMITS = 16,
	OVM_REC_AUXV_WORDS = 64,
	OVM_REC_NR_TLS = 3,
	OVM_REC_RUNS_PER_NODE = 340,
	OVM_REC_SIGINFO_LEN = 128,
};

#endif /* OVM_VMI_EXTRACT_RECORD_BASE_H */
