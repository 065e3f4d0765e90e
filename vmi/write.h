/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one place that writes guest memory.
 *
 * A write changes one member of one kernel structure from the value that it
 * was seen to have to another, by a single compare and exchange, and only
 * while this process holds the VM paused.  Each is told to a callback before
 * it is made.
 */
#ifndef OVM_VMI_WRITE_H
#define OVM_VMI_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "kernel.h"
#include "memory.h"
#include "pause.h"

struct ovm_writer;

/** One write. */
struct ovm_write {
	/** "struct task_struct" and a path of members, "pending.signal.sig[0]"; 1, 2, 4 or 8
	 * bytes, or a bit-field. */
	const char *type, *member;
	/** Guest virtual address of the structure. */
	uint64_t object;
	/** What the member holds, and what it shall hold. */
	uint64_t expected, value;
};

struct ovm_writer_options {
	/** sizeof(struct ovm_writer_options) */
	size_t size;
	/** These have to outlive the writer. */
	struct ovm_kernel *kernel;
	const struct ovm_memory *memory;
	const struct ovm_pause *pause;
	/** Refuse every write. */
	bool read_only;
	/** Told of each write, before it is made; may be NULL. */
	void (*log)(void *arg, const struct ovm_write *write, uint64_t address);
	void *log_arg;
};

/**
 * Make a writer for a verified kernel. Nothing is mapped writable until the first write.
 *
 * Errors: OVM_ERROR_KERNEL when what lies at the kernel's place is not what was verified.
 */
struct ovm_error *ovm_writer_create(const struct ovm_writer_options *options,
				    struct ovm_writer **ret);

/** Unmap; NULL is fine. */
void ovm_writer_destroy(struct ovm_writer *writer);

/**
 * Write one member.
 *
 * Errors: OVM_ERROR_INCONSISTENT, and nothing is written, when the member doesn't hold what is
 * expected; OVM_ERROR_USAGE when the VM is not paused by us, when writing is forbidden, or when a
 * value doesn't fit the member; OVM_ERROR_UNREACHABLE when RAM is not shared; OVM_ERROR_NOT_FOUND
 * when the guest's kernel has no such member; OVM_ERROR_FAULT.
 */
struct ovm_error *ovm_write(struct ovm_writer *writer, const struct ovm_write *write);

#endif /* OVM_VMI_WRITE_H */
