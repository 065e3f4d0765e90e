/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Recorded guests (tests/guest/snapshot), for tests that run without a VM.
 *
 * They are looked for in $OVM_SNAPSHOTS, else in the cache that tests/guest/snapshot
 * fills; a test that finds none is skipped.
 */
#ifndef OVM_TESTS_UNIT_SNAPSHOT_H
#define OVM_TESTS_UNIT_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmi/kernel.h"
#include "vmi/memory.h"

enum {
	TEST_SNAPSHOT_CPUS = 8,
	TEST_SNAPSHOTS = 16,
};

struct test_snapshot {
	char directory[512];
	struct ovm_memory *memory;
	/** RAM of a copy: the file mapped for writing, and its size. */
	uint8_t *ram;
	size_t ram_size;
	struct ovm_kernel_hint hints[TEST_SNAPSHOT_CPUS];
	size_t nr_hints;
	/** What the virtual machine's clocks and counters were. */
	struct ovm_kernel_counters counters;
	/** The guest's clocks as one of its threads last read them, in ns; 0 when unknown. */
	uint64_t monotonic, boottime, realtime;
	/** Why it could not be opened. */
	char reason[640];
};

/** Names of the snapshots that there are, in order; returns how many. */
size_t test_snapshot_names(char names[TEST_SNAPSHOTS][64]);

/** Open one; false and a reason when it is not there. */
bool test_snapshot_open(struct test_snapshot *snapshot, const char *name);

/** Open a copy whose RAM can be changed through snapshot->ram. */
bool test_snapshot_open_copy(struct test_snapshot *snapshot, const char *name);

void test_snapshot_close(struct test_snapshot *snapshot);

/** Contents of a file of the snapshot, with a NUL behind, to be freed; NULL when there is none. */
char *test_snapshot_file(const struct test_snapshot *snapshot, const char *name, size_t *ret_size);

/** Where a guest physical address is in the RAM of a copy, or NULL. */
uint8_t *test_snapshot_at(const struct test_snapshot *snapshot, uint64_t gpa);

#endif /* OVM_TESTS_UNIT_SNAPSHOT_H */
