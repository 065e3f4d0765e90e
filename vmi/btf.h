/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Types of the guest's kernel, from its BTF.
 *
 * The data comes from guest memory: everything is checked when it is taken in
 * or when it is used, and lookups are bounded.  A btf is read-only between
 * changes by ovm_btf_add_module(), and then safe to share among threads.
 */
#ifndef OVM_VMI_BTF_H
#define OVM_VMI_BTF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct ovm_btf;

/**
 * Take in the BTF of vmlinux, which is copied.
 *
 * Errors: OVM_ERROR_CORRUPT when it isn't well-formed.
 */
struct ovm_error *ovm_btf_create(const void *data, size_t size, struct ovm_btf **ret);

/** Free; NULL is fine. */
void ovm_btf_destroy(struct ovm_btf *btf);

/**
 * Add the split BTF of a module, which is copied; its types are found after those of vmlinux.
 * @btf is unchanged when it fails.
 */
struct ovm_error *ovm_btf_add_module(struct ovm_btf *btf, const void *data, size_t size);

/** Number of types, all modules' included. */
size_t ovm_btf_nr_types(const struct ovm_btf *btf);

enum ovm_btf_class {
	OVM_BTF_STRUCT,
	OVM_BTF_UNION,
	OVM_BTF_ENUM,
	OVM_BTF_TYPEDEF,
	/** Base types: "long unsigned int". */
	OVM_BTF_BASE,
};

/** What a type is, qualifiers and typedefs removed. */
enum ovm_btf_kind {
	OVM_BTF_IS_OTHER,
	OVM_BTF_IS_INTEGER,
	OVM_BTF_IS_ENUM,
	OVM_BTF_IS_POINTER,
	OVM_BTF_IS_STRUCT,
	OVM_BTF_IS_UNION,
	OVM_BTF_IS_ARRAY,
};

/** A member, or an element of an array that is one. */
struct ovm_btf_member {
	/** From the beginning of the outermost type, in bits. */
	uint64_t bit_offset;
	/** Width of a bit-field, else 0. */
	uint32_t bits;
	/** Bytes of the declared type. */
	uint64_t size;
	/** Type, qualifiers and typedefs removed. */
	uint32_t type;
	enum ovm_btf_kind kind;
	bool is_signed;
	/** Arrays: number of elements (0 for a flexible one), and bytes and kind of each. */
	uint32_t count;
	uint64_t element_size;
	enum ovm_btf_kind element_kind;
};

/**
 * Id of a type by its name as C has it ("struct task_struct", "union u", "enum pid_type",
 * "kuid_t", "unsigned long"); 0 when there is none. A suffix "___flavour" is ignored.
 */
uint32_t ovm_btf_find(const struct ovm_btf *btf, const char *name);

/** Id by name and class, searching on after @after (0 at first); 0 when there is no more. */
uint32_t ovm_btf_find_next(const struct ovm_btf *btf, enum ovm_btf_class class, const char *name,
			   size_t name_len, uint32_t after);

/** Id of the type behind qualifiers and typedefs; 0 when it leads nowhere. */
uint32_t ovm_btf_strip(const struct ovm_btf *btf, uint32_t type);

/** Name of a type or ""; owned by @btf. */
const char *ovm_btf_name(const struct ovm_btf *btf, uint32_t type);

/** Size of a type in bytes. Errors: OVM_ERROR_KERNEL for one that has none. */
struct ovm_error *ovm_btf_size(const struct ovm_btf *btf, uint32_t type, uint64_t *ret);

/** Size of a type by name. Errors: also OVM_ERROR_NOT_FOUND. */
struct ovm_error *ovm_btf_sizeof(const struct ovm_btf *btf, const char *name, uint64_t *ret);

/**
 * Find a member by a path like "signal.rlim[3].rlim_cur"; members of anonymous structures and
 * unions are found by their own names. Indices behind the end of an array are refused unless it
 * is a flexible one.
 *
 * Errors: OVM_ERROR_NOT_FOUND.
 */
struct ovm_error *ovm_btf_member_of(const struct ovm_btf *btf, uint32_t type, const char *path,
				    struct ovm_btf_member *ret);

/**
 * Find a member of a named type. Where several types have the name, the first that has the member
 * counts, and all of vmlinux that have it must agree on it.
 *
 * Errors: OVM_ERROR_NOT_FOUND names type or member; OVM_ERROR_KERNEL: types disagree.
 */
struct ovm_error *ovm_btf_find_member(const struct ovm_btf *btf, const char *type, const char *path,
				      struct ovm_btf_member *ret);

/** Value of an enumerator; @type "" looks through all enumerations. */
struct ovm_error *ovm_btf_enum_value(const struct ovm_btf *btf, const char *type, const char *name,
				     int64_t *ret);

#ifdef __cplusplus
}
#endif

#endif /* OVM_VMI_BTF_H */
