/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files that make up struct hostile share. */
#ifndef OVM_TESTS_UNIT_HOSTILE_PRIVATE_H
#define OVM_TESTS_UNIT_HOSTILE_PRIVATE_H

#include "hostile.h"
#include "host/context.h"
#include "host/pages.h"
#include "snapshot.h"
#include "vmi/vcpu.h"

enum {
	HOSTILE_MAX_WORDS = 1 << 16,
	/* Words changed in one round. */
	HOSTILE_MAX_LIES = 64,
};

/* Where a word lies. */
struct word {
	uint64_t gpa;
	/* Address in the kernel, or 0. */
	uint64_t address;
};

struct words {
	struct word *words;
	size_t nr;
};

struct change {
	uint64_t *place;
	uint64_t old;
};

struct hostile {
	struct test_snapshot snapshot;
	struct ovm ovm;
	struct ovm_vcpus *vcpus;
	struct ovm_kernel_clock clock;
	int32_t pid;
	struct words sets[HOSTILE_NR_SETS];
	/* Where words that are read go to, while that is watched. */
	struct words *watching;
	struct change changes[HOSTILE_MAX_LIES];
	size_t nr_changes;
	struct hostile_freezer *freezer;
	char directory[64];
	int dir_fd;
};

/** Note that the word at @gpa (@address in the kernel, or 0) is read. */
void hostile_add_word(struct words *words, uint64_t gpa, uint64_t address);

/** Drop words that are there twice: what is read often would be falsified often. */
void hostile_unique_words(struct words *words);

/** Note the words of the page tables at @table, of @level and below. */
void hostile_watch_table(struct hostile *hostile, uint64_t table, unsigned int level);

/** Note the descriptors of pages that are to be copied. */
void hostile_watch_descriptors(struct hostile *hostile, const struct ovm_pages *pages);

/** Note what else is read of the kernel. */
void hostile_watch_kernel(struct hostile *hostile);

/** What freezing takes besides the guest; NULL when that can't be had. */
struct hostile_freezer *hostile_freezer_create(void);

void hostile_freezer_destroy(struct hostile_freezer *freezer);

/** Freeze, thaw and kill the tree of a process, or all threads when @pid is 0. */
struct ovm_error *hostile_freeze(struct hostile *hostile, int32_t pid);

#endif /* OVM_TESTS_UNIT_HOSTILE_PRIVATE_H */
