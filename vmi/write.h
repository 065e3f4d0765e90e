/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one place that writes guest memory.
 *
 * What is written are members of kernel structures.  A structure is first
 * located, and checked to lie wholly within guest RAM; a member of it, found by
 * BTF, is then changed from the value that it was seen to have to another by a
 * single compare and exchange, and only while this process holds the VM paused.
 * Each write is told to a callback before it is made.
 */
#ifndef OVM_VMI_WRITE_H
#define OVM_VMI_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "kernel.h"
#include "memory.h"

#ifdef __cplusplus
extern "C" {
#endif

struct ovm_writer;

/** A member of a kernel structure: 1, 2, 4 or 8 bytes, or a bit-field. */
struct ovm_member {
	/** "struct task_struct", and a path such as "pending.signal.sig[0]"; literals. */
	const char *type, *name;
	/** Of the bytes that hold it. */
	uint32_t offset, bytes;
	/** Of a bit-field within these bytes; otherwise 0 and all ones. */
	uint32_t shift;
	uint64_t mask;
};

/** A kernel structure in guest RAM. */
struct ovm_object {
	/** As in struct ovm_member, by identity. */
	const char *type;
	/** Guest virtual address. */
	uint64_t address;
	uint64_t size;
	/** Where it is mapped here, shared with the guest; its values change as the guest runs. */
	uint8_t *map;
};

/** One write. */
struct ovm_write {
	const char *type, *member;
	/** Guest virtual address of the structure, and of the member. */
	uint64_t object, address;
	uint64_t from, to;
};

struct ovm_writer_options {
	/** sizeof(struct ovm_writer_options) */
	size_t size;
	/** These have to outlive the writer. */
	struct ovm_kernel *kernel;
	const struct ovm_memory *memory;
	/** Whether the VM is paused by this process. */
	bool (*paused)(void *arg);
	/** Told of each write, before it is made; may be NULL. */
	void (*log)(void *arg, const struct ovm_write *write);
	void *arg;
};

/**
 * Make a writer for a verified kernel, with guest RAM mapped for writing.
 *
 * Errors: OVM_ERROR_KERNEL when what lies at the kernel's place is not what was verified, or has
 * no BTF; OVM_ERROR_UNREACHABLE when RAM is not shared or may not be written.
 */
struct ovm_error *ovm_writer_create(const struct ovm_writer_options *options,
				    struct ovm_writer **ret);

/** Unmap; objects are void then. NULL is fine. */
void ovm_writer_destroy(struct ovm_writer *writer);

/** Find a member by BTF. Errors: OVM_ERROR_NOT_FOUND; OVM_ERROR_KERNEL: can't be written at once.
 */
struct ovm_error *ovm_writer_member(struct ovm_writer *writer, const char *type, const char *name,
				    struct ovm_member *ret);

/**
 * Locate a structure of the kernel's by its virtual address. The bytes may belong to something
 * else by the time that they are used: whoever writes checks first what they are.
 *
 * Errors: OVM_ERROR_FAULT and OVM_ERROR_CORRUPT when it isn't in RAM in one piece.
 */
struct ovm_error *ovm_writer_locate(struct ovm_writer *writer, const char *type, uint64_t address,
				    struct ovm_object *ret);

/** Value of a member. Async-signal-safe. */
uint64_t ovm_object_load(const struct ovm_object *object, const struct ovm_member *member);

/**
 * Change a member from @from to @to.
 *
 * Errors: OVM_ERROR_INCONSISTENT, and nothing is written, when it doesn't hold @from;
 * OVM_ERROR_USAGE when the VM isn't paused by us, or when a value doesn't fit.
 */
struct ovm_error *ovm_write(struct ovm_writer *writer, const struct ovm_object *object,
			    const struct ovm_member *member, uint64_t from, uint64_t to);

/**
 * The same without the writer, for a guardian that holds the VM paused; unlogged. Returns false
 * when nothing was written. Async-signal-safe.
 */
bool ovm_write_unlogged(const struct ovm_object *object, const struct ovm_member *member,
			uint64_t from, uint64_t to);

#ifdef __cplusplus
}
#endif

#endif /* OVM_VMI_WRITE_H */
