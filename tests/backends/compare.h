/* SPDX-License-Identifier: GPL-2.0-only */
/* What the comparisons of operations have in common. */
#ifndef OVM_TESTS_BACKENDS_COMPARE_H
#define OVM_TESTS_BACKENDS_COMPARE_H

#include "backend.h"
#include "made_guest.h"
#include "report.h"

enum {
	MAX_COPY = 32 << 20,
};

struct options {
	const char *device;
	double seconds;
	uint64_t cases;
	uint64_t seed;
	/** Of all cases, if set. */
	uint32_t features;
	bool fixed_features;
	/** Of all cases, besides others. */
	uint32_t added_features;
	/** Say which case is begun. */
	bool verbose;
	bool small;
	unsigned int nr_threads;
};

struct tally {
	uint64_t cases, walks, batches, copies, processes;
	uint64_t runs, pages, bytes, tables;
	/** Errors that both gave, and pages discarded while both were attached. */
	uint64_t errors, discarded;
	/** Of packing: bytes are those that the other back end made. */
	uint64_t packs, packed_pages, left_out, packed_bytes, duplicates;
	/** Of all dumps together; the reason is the first one. */
	struct ovm_engine_device_stats device_ram;
	char reason[256];
	/** Dumps in which the device saw nothing of the guest. */
	uint64_t nothing_mapped;
	uint64_t features[MADE_NR_FEATURES];
};

/* A case under way. */
struct test {
	const struct options *options;
	struct tally *tally;
	struct report *report;
	struct made_guest *guest;
	struct ovm_engine *cpu, *other;
	/** What each has copied: MAX_COPY bytes. */
	uint8_t *cpu_pages, *other_pages;
	/** Which dump of this guest it is. */
	unsigned int round;
};

/** Note what differed, and how to see it again. Returns false. */
bool fail(struct test *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Whether both ended the same way, with *@both if neither has a result. Frees the errors. */
bool same_errors(struct test *t, const char *what, struct ovm_error *cpu, struct ovm_error *other,
		 bool *both);

/** Pack pages, some of those that are asked for, in some way, on both back ends. */
bool compare_pack(struct test *t, const struct ovm_copy_run *copies, size_t nr);

#endif /* OVM_TESTS_BACKENDS_COMPARE_H */
