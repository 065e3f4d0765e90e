/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What compiled extractors and their runtime agree on.
 *
 * The pass places one constant struct ovm_llv_reloc for everything that depends
 * on the guest's kernel into the section "llv_relocs" and replaces each use by
 * a call that names the descriptor.  The runtime (vmi/llview.c) keeps the
 * values of a guest in a table with one slot a descriptor; the code itself
 * holds nothing that changes, so that one copy serves any number of guests and
 * threads at once.
 *
 * Included by the runtime and by the pass (names and numbers only).
 */
#ifndef OVM_LLVIEW_PASS_LLVIEW_ABI_H
#define OVM_LLVIEW_PASS_LLVIEW_ABI_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum ovm_llv_reloc_kind {
	/** Byte offset of @path in @type. */
	OVM_LLV_FIELD_OFFSET = 0,
	/** 1 when @type has @path, else 0. */
	OVM_LLV_FIELD_EXISTS = 1,
	/** Size in bytes of @path in @type. */
	OVM_LLV_FIELD_SIZE = 2,
	/** A scalar is read from @path: offset, size, sign, bits. */
	OVM_LLV_FIELD_LOAD = 3,
	/** Size in bytes of @type. */
	OVM_LLV_TYPE_SIZE = 4,
	OVM_LLV_TYPE_EXISTS = 5,
	/** Value of the enumerator @path of @type. */
	OVM_LLV_ENUM_VALUE = 6,
	OVM_LLV_ENUM_EXISTS = 7,
	/** Address of the symbol @type. */
	OVM_LLV_SYMBOL = 8,
	/** Address of the symbol @type, or 0. */
	OVM_LLV_SYMBOL_OR_ZERO = 9,
	/** Distance of two elements of the array @path of @type. */
	OVM_LLV_FIELD_STRIDE = 10,
	/** Byte offset of @path in @type; its elements are scalars of @size bytes there, too. */
	OVM_LLV_ARRAY_OFFSET = 11,
	/** Number of elements of the array @path of @type. */
	OVM_LLV_FIELD_COUNT = 12,
	/**
	 * Nothing when @type has @size bytes and the leaves that @path lists, each as
	 * "name:bit offset:bits,"; can't be bound otherwise. Behind each copy of a whole structure.
	 */
	OVM_LLV_LAYOUT = 13,
};

enum {
	/** The local type is signed. */
	OVM_LLV_RELOC_SIGNED = 1,
	/** The local type is an integer, boolean or enumeration, which may be widened. */
	OVM_LLV_RELOC_INTEGER = 2,
	/** The local type is a pointer. */
	OVM_LLV_RELOC_POINTER = 4,
	/** The local member is a bit-field. */
	OVM_LLV_RELOC_BITFIELD = 8,
	/** The type was named by a typedef or by a name whose kind is not known. */
	OVM_LLV_RELOC_ANY_KIND = 16,
};

/** One dependency on the guest's kernel. */
struct ovm_llv_reloc {
	/** "struct task_struct", "union u", "enum e", "kuid_t"; a symbol's name. */
	const char *type;
	/** "signal.rlim[3].rlim_cur", without the names of anonymous members; or "". */
	const char *path;
	/** "files.c:123", for messages. */
	const char *site;
	uint16_t kind;
	uint16_t flags;
	/** Bytes that the code reads, or of the element it steps over; bits of a bit-field. */
	uint32_t size;
};

/*
 * Functions that compiled extractors call.  They act on the context that
 * ovm_llv_run() made current in the calling thread, and leave through it, not
 * by returning, when the guest's memory or a budget doesn't allow what was
 * asked for.  @site is "file.c:123".
 */

/** Value of a descriptor; leaves when it could not be bound. */
uint64_t ovm_llv_rt_value(const struct ovm_llv_reloc *reloc);
/** Read the scalar that the descriptor (OVM_LLV_FIELD_LOAD) names from the object at @base. */
uint64_t ovm_llv_rt_field(uint64_t base, const struct ovm_llv_reloc *reloc);
/** Read @size (1, 2, 4, 8) bytes. */
uint64_t ovm_llv_rt_load(uint64_t address, uint32_t size, const char *site);
/** Copy guest memory to the tool's. */
void ovm_llv_rt_copy(void *dst, uint64_t address, uint64_t size, const char *site);
/** One turn of a loop. */
void ovm_llv_rt_tick(const char *site);
/** A function that is not inlined begins, ends. */
void ovm_llv_rt_enter(const char *site);
void ovm_llv_rt_leave(void);
/** An index, divisor or pointer of the tool's own would have been wrong. */
void ovm_llv_rt_trap(const char *what, const char *site) __attribute__((noreturn));

/* Behind llview.h's functions of the same names. */
void *ovm_llv_rt_alloc(uint64_t size);
void ovm_llv_rt_bytes(void *dst, uint64_t address, uint64_t len);
void ovm_llv_rt_string(void *dst, uint64_t address, uint64_t max);
void ovm_llv_rt_host_bytes(void *dst, const void *src, uint64_t len);
void ovm_llv_rt_concat(void *dst, const void *first, const void *second);
void ovm_llv_rt_strcpy(char *dst, uint64_t address, uint64_t size);
int ovm_llv_rt_streq(uint64_t address, const char *text);
int ovm_llv_rt_readable(uint64_t address, uint64_t len);
void ovm_llv_rt_fail(int code, uint64_t address, const char *text) __attribute__((noreturn));

#ifdef __cplusplus
}
#endif

#endif /* OVM_LLVIEW_PASS_LLVIEW_ABI_H */
