/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which pages need not be in a pages-N.img: those that are zero where nothing is zero as well, and
 * those that the images of an earlier dump hold already.
 */
#ifndef OVM_HOST_SIFT_H
#define OVM_HOST_SIFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels-cuda/engine.h"
#include "vmi/error.h"

struct ovm_parent_pages;

/** Flags of the host's in ovm_run.flags, beside the engine's. */
enum ovm_pages_flags {
	/** Not to be left to the parent. */
	OVM_PAGES_OWN = 1 << 3,
	/** They may be compressed. */
	OVM_PAGES_COMPRESSIBLE = 1 << 4,
	/** They may be restored lazily: not in one entry of a pagemap with others. */
	OVM_PAGES_LAZY = 1 << 5,
	/** What isn't restored here is zero. */
	OVM_PAGES_ZERO_BACKED = 1 << 6,
	/** To be in the file, whatever they hold. */
	OVM_PAGES_WHOLE = 1 << 7,
	OVM_PAGES_FLAGS = OVM_PAGES_OWN | OVM_PAGES_COMPRESSIBLE | OVM_PAGES_LAZY |
			  OVM_PAGES_ZERO_BACKED | OVM_PAGES_WHOLE,
};

/** What a page was found to be. */
enum ovm_sifted {
	/** To be written. */
	OVM_SIFTED_RAW,
	/** Zero, and to be left out. */
	OVM_SIFTED_ZERO,
	/** As in the parent's images. */
	OVM_SIFTED_PARENT,
	/** Not looked at yet. */
	OVM_SIFTED_NOT,
	/** Written in compressed blocks. */
	OVM_SIFTED_LZ4,
};

/** Pages at consecutive addresses, consecutive in RAM too. */
struct ovm_sift_piece {
	uint64_t va;
	uint64_t gpa;
	uint64_t nr_pages;
	/** Index of the first page's answer. */
	uint64_t first;
	/** enum ovm_pages_flags */
	uint8_t flags;
};

struct ovm_sift_request {
	struct ovm_engine *engine;
	/** By index, without gaps; by address too if there is a parent. */
	const struct ovm_sift_piece *pieces;
	size_t nr;
	/** Whether zero pages are to be found. */
	bool zero;
	/** What the parent's images hold of the same memory, or NULL. */
	const struct ovm_parent_pages *parent;
	bool (*cancelled)(void *arg);
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
};

/**
 * Look at pages in guest RAM, by the engine's threads. @answer gets an enum ovm_sifted for each.
 *
 * Errors: those of ovm_engine_copy() and of ovm_parent_compare().
 */
struct ovm_error *ovm_sift(const struct ovm_sift_request *request, uint8_t *answer);

#endif /* OVM_HOST_SIFT_H */
