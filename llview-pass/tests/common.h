/* SPDX-License-Identifier: GPL-2.0-only */
/* A record for the tests. */
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>

struct ovm_rec_bytes {
	u8 __host *data;
	u64 len;
};

struct record {
	struct record __host *next;
	u64 value;
	u32 table[16];
	char text[16];
	struct ovm_rec_bytes bytes;
};
