/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest's physical memory, as the host can read it.
 *
 * A memory is a sorted list of RAM ranges.  Each range is backed by a part of
 * a file that is mapped read-only, by a file that can only be read (hugetlbfs,
 * whose holes can't be told from data), or by another process' address space
 * (process_vm_readv).  Reads never allocate holes of a sparse RAM file.
 *
 * Thread-safe once created.
 */
#ifndef OVM_VMI_MEMORY_H
#define OVM_VMI_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct ovm_memory;

enum ovm_ram_kind {
	/** A mapped shared file: tmpfs or memfd. */
	OVM_RAM_MAPPED,
	/** A shared file that is read with pread(2). */
	OVM_RAM_FILE,
	/** Private memory of the virtual machine monitor, read with process_vm_readv(2). */
	OVM_RAM_PROCESS,
};

/** One contiguous piece of guest RAM. */
struct ovm_ram_range {
	/** First guest physical address; a multiple of 4 KiB. */
	uint64_t gpa;
	/** Bytes; a multiple of 4 KiB. */
	uint64_t size;
	enum ovm_ram_kind kind;
	/** OVM_RAM_MAPPED: where @gpa is mapped here, else NULL. Owned by the memory. */
	const uint8_t *map;
	/** OVM_RAM_MAPPED and OVM_RAM_FILE: the file, else -1. Owned by the memory. */
	int fd;
	/** Offset of @gpa in the file. */
	uint64_t file_offset;
	/** OVM_RAM_PROCESS: process and address there of @gpa. */
	pid_t vmm_pid;
	uint64_t vmm_address;
};

/** One piece of a batched read. */
struct ovm_memory_read {
	uint64_t gpa;
	void *buf;
	size_t len;
};

/**
 * Make a memory from ranges, which need not be sorted but must not overlap.
 *
 * Takes over the file descriptors (several ranges may name the same one) and
 * maps OVM_RAM_MAPPED ranges itself (@map is ignored on input), also when it fails.
 */
struct ovm_error *ovm_memory_create(const struct ovm_ram_range *ranges, size_t nr,
				    struct ovm_memory **ret);

/** Release mappings and file descriptors; NULL is fine. */
void ovm_memory_destroy(struct ovm_memory *memory);

/** The ranges, sorted by address; owned by the memory. */
size_t ovm_memory_ranges(const struct ovm_memory *memory, const struct ovm_ram_range **ret);

/**
 * Read pieces of guest physical memory; a piece may cross adjacent ranges. Holes of a sparse
 * RAM file read as zeroes and stay holes.
 *
 * Errors: OVM_ERROR_FAULT with the guest physical address that is not RAM;
 * OVM_ERROR_UNREACHABLE when the file or process can't be read any more.
 */
struct ovm_error *ovm_memory_read_batch(const struct ovm_memory *memory,
					const struct ovm_memory_read *reads, size_t nr);

/** Read one piece. */
struct ovm_error *ovm_memory_read(const struct ovm_memory *memory, uint64_t gpa, void *buf,
				  size_t len);

/**
 * Where @len bytes at @gpa are mapped in this process, or NULL: not mapped, not contiguous, a
 * hole in the RAM file. What is there may change under the reader while the guest runs: copy
 * each value once, then check the copy.
 */
const void *ovm_memory_peek(const struct ovm_memory *memory, uint64_t gpa, size_t len);

#ifdef __cplusplus
}
#endif

#endif /* OVM_VMI_MEMORY_H */
