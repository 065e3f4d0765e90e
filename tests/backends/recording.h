/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a dump of a recorded guest has asked of the page engine, with the RAM that it needs, so that
 *it can be asked again where nothing else of the tool can be built.
 *
 * File: numbers are 64 bits, little endian.
 *
 *	magic, number of RAM ranges, { gpa, size, offset in the RAM file }...
 *	number of operations, each:
 *	  RECORDED_WALK, number of requests, { see recording_request() }..., digest of the results
 *	  RECORDED_COPY, number of pieces, { gpa, pages, offset }..., digest of the bytes
 *	number of pages, { offset in the RAM file, 4096 bytes }...
 */
#ifndef OVM_TESTS_BACKENDS_RECORDING_H
#define OVM_TESTS_BACKENDS_RECORDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "kernels-cuda/engine.h"

#define RECORDING_MAGIC UINT64_C(0x3159414c5045524f)

enum recorded_kind {
	RECORDED_WALK = 1,
	RECORDED_COPY,
};

enum {
	RECORDING_MAX_RANGES = 16,
};

struct recorded_op {
	uint64_t kind;
	/* Walk: requests, whose ranges, layouts and zero pages are their own. */
	struct ovm_walk_request *requests;
	/* Copy. */
	struct ovm_copy_run *copies;
	size_t nr;
	uint64_t digest;
};

struct recording {
	struct ovm_ram_range ranges[RECORDING_MAX_RANGES];
	size_t nr_ranges;
	struct recorded_op *ops;
	size_t nr_ops;
	/* The RAM file. */
	int fd;
	uint64_t nr_pages;
};

/** Continue a digest (FNV-1a of words); begin with 0. */
uint64_t recording_digest(uint64_t digest, const void *data, size_t size);

/** The digest of the results of a walk. */
uint64_t recording_digest_walk(struct ovm_walk_result *const *results, size_t nr);

/** The bytes of pieces. */
uint64_t recording_copies_size(const struct ovm_copy_run *copies, size_t nr);

/** Copy requests of a walk, and add the operation. False if memory has run out. */
bool recording_add_walk(struct recording *recording, const struct ovm_walk_request *requests,
			size_t nr, uint64_t digest);

bool recording_add_copy(struct recording *recording, const struct ovm_copy_run *copies, size_t nr,
			uint64_t digest);

/** Write all but the pages. */
void recording_write(const struct recording *recording, FILE *file);

/** Read a file; its RAM goes into a new memfd. False with a message on stderr. */
bool recording_read(const char *path, struct recording *recording);

void recording_deinit(struct recording *recording);

/** Write or read a number. */
void recording_put(FILE *file, uint64_t value);

#endif /* OVM_TESTS_BACKENDS_RECORDING_H */
