/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * kallsyms: the symbol table that every Linux kernel carries for its own use.
 *
 * Layout in .rodata (source: scripts/kallsyms.c, kernel/kallsyms.c), all
 * little-endian, each table aligned to 8 bytes, or 4 in the newest kernels:
 *
 *   num_syms     u32
 *   names        num_syms times: length (one byte; since v6.1 two, low 7 bits
 *                first, when bit 7 of the first is set), then that many codes.
 *                The codes' tokens joined are the type letter and the name
 *   markers      u32 offset into names of each 256th symbol
 *   token_table  256 strings, each with its NUL
 *   token_index  256 u16 offsets into token_table
 *   offsets      num_syms times s32, or u64 ("addresses") in some builds
 *   relative_base u64
 *   seqs_of_names symbols in the order of names; not needed here
 *
 * Up to v6.3 offsets and relative_base precede num_syms, and seqs_of_names
 * (v6.2) lies before token_table.  Since v7.0 there is no relative_base.
 *
 * None of the tables has a magic number: they are found through the tokens of
 * the digits, which follow each other in token_table as "0", "1", ... "9"
 * because digits occur in names, and each is then confirmed by the others.
 */
#ifndef OVM_VMI_KALLSYMS_H
#define OVM_VMI_KALLSYMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "siphash.h"

#ifdef __cplusplus
extern "C" {
#endif

/** How kallsyms tell addresses. */
enum ovm_kallsyms_encoding {
	/** u64 addresses. Up to v6.10, a matter of configuration. */
	OVM_KALLSYMS_ABSOLUTE,
	/** relative_base + u32. */
	OVM_KALLSYMS_BASE_RELATIVE,
	/** Negative: relative_base - 1 - s32; else s32 is the (per-CPU) address. Up to v6.14. */
	OVM_KALLSYMS_ABSOLUTE_PERCPU,
	/** Where the s32 itself lies, plus its value. Since v7.0. */
	OVM_KALLSYMS_PLACE_RELATIVE,
};

/** A piece of the kernel image that was copied out of the guest. */
struct ovm_kallsyms_image {
	const uint8_t *data;
	size_t size;
	/** Guest virtual address of @data, a multiple of 8. */
	uint64_t address;
	/** Guest virtual address that the symbol _text must have. */
	uint64_t text;
};

/** Where the tables are, as offsets from @address. */
struct ovm_kallsyms_layout {
	/** Guest virtual address of the piece of the image that was searched. */
	uint64_t address;
	enum ovm_kallsyms_encoding encoding;
	uint32_t nr;
	uint64_t names, names_size, token_table, token_table_size, token_index, offsets;
	/** Value of relative_base, or 0. */
	uint64_t relative_base;
};

/** Symbols; arrays are owned by it. */
struct ovm_kallsyms {
	size_t nr;
	/** Ascending guest virtual addresses. */
	uint64_t *addresses;
	/** Offset in the pool of each symbol's type letter, which its name follows. */
	uint32_t *names;
	char *pool;
	size_t pool_size;
	/** Open addressing by name: index of a symbol plus 1, or 0; a power of two of slots. */
	uint32_t *hash;
	size_t hash_slots;
	struct ovm_siphash_key key;
	struct ovm_kallsyms_layout layout;
};

/**
 * Find and decode the tables in @image.
 *
 * Errors: OVM_ERROR_NOT_FOUND when there are none that agree with each other and with _text.
 */
struct ovm_error *ovm_kallsyms_create(const struct ovm_kallsyms_image *image,
				      struct ovm_kallsyms **ret);

/** Free symbols; NULL is fine. */
void ovm_kallsyms_destroy(struct ovm_kallsyms *kallsyms);

/** Index of the symbol of that name (of several, the first global one), or -1. */
ssize_t ovm_kallsyms_find(const struct ovm_kallsyms *kallsyms, const char *name);

/** Index of the first of the symbols at the nearest address at or below @address, or -1. */
ssize_t ovm_kallsyms_find_address(const struct ovm_kallsyms *kallsyms, uint64_t address);

/** Name of a symbol. */
static inline const char *ovm_kallsyms_name(const struct ovm_kallsyms *kallsyms, size_t index)
{
	return kallsyms->pool + kallsyms->names[index] + 1;
}

/** Type letter of a symbol, as nm(1) prints it. */
static inline char ovm_kallsyms_type(const struct ovm_kallsyms *kallsyms, size_t index)
{
	return kallsyms->pool[kallsyms->names[index]];
}

#ifdef __cplusplus
}
#endif

#endif /* OVM_VMI_KALLSYMS_H */
