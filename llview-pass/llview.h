/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * LLView: kernel code that reads another machine's kernel.
 *
 * The build includes this file before the first line of an extractor.  Plain
 * pointers are the guest's; each dereference becomes a checked read of guest
 * memory, each member an offset of the guest's own kernel.  Pointers to the
 * tool's memory are marked __host.  README.md says how to write an extractor.
 */
#ifndef OVM_LLVIEW_PASS_LLVIEW_H
#define OVM_LLVIEW_PASS_LLVIEW_H

#ifndef __LLVIEW__
#error "extractors are compiled by llview-cc"
#endif

#include <linux/types.h>
#include <linux/build_bug.h>
#include <linux/container_of.h>

/** Marks what lies in the tool's own memory. Never mixes with the guest's pointers. */
#define __host __attribute__((address_space(1)))

/** Begin an entry point that the host calls with ovm_llv_run(): LLV_ENTRY(f, struct a, p) { } */
#define LLV_ENTRY(name, argtype, arg)   \
	void name(argtype __host *arg); \
	__attribute__((section(".text.llv_entry"))) void name(argtype __host *arg)

/**
 * Marks a function that is called from other extractor files, or that shall not be inlined. Goes
 * before both its declaration and its definition. Its plain pointers are the guest's, always:
 * the address of a local variable can't be passed. Recursion is bounded by the runtime.
 */
#define LLV_SHARED __attribute__((section(".text.llv_shared"), __noinline__))

/* Numbers as in llview_abi.h. */
enum {
	__LLV_FIELD_OFFSET = 0,
	__LLV_FIELD_EXISTS = 1,
	__LLV_FIELD_SIZE = 2,
	__LLV_TYPE_SIZE = 4,
	__LLV_TYPE_EXISTS = 5,
	__LLV_ENUM_VALUE = 6,
	__LLV_ENUM_EXISTS = 7,
	__LLV_SYMBOL = 8,
	__LLV_SYMBOL_OR_ZERO = 9,
	__LLV_FIELD_COUNT = 12,
};

/* Become relocations; never called. */
u64 __llv_field(const volatile void *field, int kind);
u64 __llv_path(const char *type, const char *path, int kind);

/*
 * Codes of llv_fail(), those of enum ovm_error_code that an extractor may choose.
 */
enum llv_code {
	LLV_KERNEL = 4,
	LLV_FAULT = 5,
	LLV_CORRUPT = 6,
	LLV_NOT_FOUND = 8,
	LLV_NOT_DUMPABLE = 9,
	LLV_INCONSISTENT = 10,
};

/* ---- what the guest's kernel has ------------------------------------------------------------ */

/* Names a thing without evaluating it, so that a slip of the pen doesn't build. */
#define __llv_check(expr)             \
	({                            \
		if (0)                \
			(void)(expr); \
	})
#define __llv_path_(type, path, check, kind)    \
	({                                      \
		__llv_check(check);             \
		__llv_path(#type, #path, kind); \
	})

/**
 * Whether the guest's type has a member: llv_field_exists(struct mm_struct, mm_mt). Works for
 * bit-fields too. The member has to exist in the type declared here; declare a flavour
 * (struct mm_struct___before_6_1) for those of other kernels.
 */
#define llv_field_exists(type, member) \
	((bool)__llv_path_(type, member, ((type *)0)->member, __LLV_FIELD_EXISTS))
/** Size of a member in the guest. */
#define llv_field_size(type, member) \
	__llv_path_(type, member, ((type *)0)->member, __LLV_FIELD_SIZE)
/** Number of elements of an array member in the guest. */
#define llv_field_count(type, member) \
	__llv_path_(type, member, ((type *)0)->member, __LLV_FIELD_COUNT)
/** The same for an expression: llv_exists(task->on_cpu). */
#define llv_exists(expr) ((bool)__llv_field(&(expr), __LLV_FIELD_EXISTS))
/** Offset of a member in the guest; what offsetof() would be there. */
#define llv_offsetof(type, member) __llv_field(&((type *)0)->member, __LLV_FIELD_OFFSET)
/** Size of a type (not an expression) in the guest; what sizeof would be there. */
#define llv_sizeof(type)      __llv_path_(type, , sizeof(type), __LLV_TYPE_SIZE)
#define llv_type_exists(type) ((bool)__llv_path(#type, "", __LLV_TYPE_EXISTS))
/** Enumerators: llv_enum_value(enum pid_type, PIDTYPE_SID). Need not be declared here. */
#define llv_enum_exists(type, name) ((bool)__llv_path(#type, #name, __LLV_ENUM_EXISTS))
#define llv_enum_value(type, name)  ((s64)__llv_path(#type, #name, __LLV_ENUM_VALUE))
/** Address of a symbol by its name, 0 when the guest has none. */
#define llv_symbol(name)	((u64)__llv_path(name, "", __LLV_SYMBOL_OR_ZERO))
#define llv_symbol_exists(name) (llv_symbol(name) != 0)

#undef container_of
#define container_of(ptr, type, member)                                   \
	({                                                                \
		void *__mptr = (void *)(ptr);                             \
		static_assert(__same_type(*(ptr), ((type *)0)->member) || \
				      __same_type(*(ptr), void),          \
			      "pointer type mismatch in container_of()"); \
		((type *)(__mptr - llv_offsetof(type, member)));          \
	})
#undef container_of_safe
#define container_of_safe(ptr, type, member)                                        \
	({                                                                          \
		void *__safe = (void *)(ptr);                                       \
		(type *)(__safe ? __safe - llv_offsetof(type, member) : (void *)0); \
	})

/**
 * Address of a CPU's copy of a per-CPU variable. @var is a variable declared with
 * DECLARE_PER_CPU() or extern.
 */
#define llv_per_cpu(var, cpu) \
	((__typeof__(&(var)))((unsigned long)&(var) + __per_cpu_offset[(cpu)]))
extern unsigned long __per_cpu_offset[];

/* ---- reading guest memory beyond plain dereferences ------------------------------------------ */

/* Behind the macros; names as in llview_abi.h. */
void __host *ovm_llv_rt_alloc(u64 size);
void ovm_llv_rt_bytes(void __host *dst, const void *guest, u64 len);
void ovm_llv_rt_string(void __host *dst, const void *guest, u64 max);
void ovm_llv_rt_host_bytes(void __host *dst, const void __host *src, u64 len);
void ovm_llv_rt_concat(void __host *dst, const void __host *first, const void __host *second);
void ovm_llv_rt_strcpy(char __host *dst, const void *guest, u64 size);
int ovm_llv_rt_streq(const void *guest, const char __host *text);
int ovm_llv_rt_readable(const void *guest, u64 len);
void __noreturn ovm_llv_rt_fail(int code, u64 address, const char __host *text);
u64 __llv_load(const void *guest, u32 size);
void __llv_copy(void __host *dst, const void *guest, u64 len);
const char __host *__llv_text(const char *literal);

struct ovm_rec_bytes;

/** Unchecked by BTF: read an integer at an address; for pointers with tag bits and the like. */
#define llv_load_u8(p)	((u8)__llv_load((const void *)(p), 1))
#define llv_load_u16(p) ((u16)__llv_load((const void *)(p), 2))
#define llv_load_u32(p) ((u32)__llv_load((const void *)(p), 4))
#define llv_load_u64(p) ((u64)__llv_load((const void *)(p), 8))
/** Whether guest memory could be read; the only read that doesn't end the extraction. */
#define llv_readable(p, len) (ovm_llv_rt_readable((const void *)(p), (len)) != 0)

/* clang-format off */
#define __llv_is_integers(array)                                                             \
	_Generic((array)[0], char: 1, s8: 1, u8: 1, s16: 1, u16: 1, s32: 1, u32: 1, long: 1,  \
		 unsigned long: 1, s64: 1, u64: 1, default: 0)
/* clang-format on */
#define __llv_is_array(a) (!__same_type((a), &(a)[0]))

/** Fill an array of integers of a record with the bytes at a guest address. */
#define llv_copy(array, guest)                                                                \
	({                                                                                    \
		static_assert(__llv_is_array(array) && __llv_is_integers(array),              \
			      "llv_copy() fills arrays of integers");                         \
		__llv_copy((void __host *)&(array)[0], (const void *)(guest), sizeof(array)); \
	})
/** The first @len bytes of it only; more than fit end the extraction. */
#define llv_copy_part(array, guest, len)                                                 \
	({                                                                               \
		u64 __len = (len);                                                       \
		static_assert(__llv_is_array(array) && __llv_is_integers(array),         \
			      "llv_copy_part() fills arrays of integers");               \
		if (__len > sizeof(array))                                               \
			llv_fail(LLV_CORRUPT, (u64)(guest), "more bytes than expected"); \
		__llv_copy((void __host *)&(array)[0], (const void *)(guest), __len);    \
	})
/** Copy a string into an array of char of a record; cut off if too long, always terminated. */
#define llv_strcpy(array, guest)                                                       \
	({                                                                             \
		static_assert(__llv_is_array(array) && sizeof((array)[0]) == 1,        \
			      "llv_strcpy() fills arrays of characters");              \
		ovm_llv_rt_strcpy((char __host *)&(array)[0], (guest), sizeof(array)); \
	})
/* clang-format off */
/** Copy a literal into an array of char of a record. */
#define llv_set_text(array, literal)                                                      \
	({                                                                                \
		static_assert(__llv_is_array(array) && sizeof((array)[0]) == 1 &&         \
				      sizeof(literal) <= sizeof(array),                   \
			      "llv_set_text(): the text doesn't fit");                    \
		_Pragma("clang loop unroll(disable)")                                     \
		for (unsigned int __i = 0; __i < sizeof(literal); __i++)                  \
			(array)[__i] = (literal)[__i];                                    \
	})
/* clang-format on */
/** Whether the guest's string equals a literal. */
#define llv_streq(guest, literal) (ovm_llv_rt_streq((guest), __llv_text(literal)) != 0)

/* ---- the tool's memory ----------------------------------------------------------------------- */

/** A zeroed object in the arena of this run. Never NULL; counts against the budget. */
#define llv_new(type) ((type __host *)ovm_llv_rt_alloc(sizeof(type)))
/** Copy @len bytes of the guest into the arena; @dst is a struct ovm_rec_bytes __host *. */
#define llv_bytes(dst, guest, len) \
	ovm_llv_rt_bytes(__llv_bytes_only(dst), (const void *)(guest), (len))
/** Copy a string of at most @max bytes into the arena; @len doesn't count the terminator. */
#define llv_string(dst, guest, max) \
	ovm_llv_rt_string(__llv_bytes_only(dst), (const void *)(guest), (max))
/** Copy bytes of the tool's own, an array of a record of which the first @len bytes are used. */
#define llv_bytes_from_array(dst, array, len)                                                  \
	({                                                                                     \
		u64 __len = (len);                                                             \
		static_assert(__llv_is_array(array) && __llv_is_integers(array),               \
			      "llv_bytes_from_array() takes arrays of integers");              \
		if (__len > sizeof(array))                                                     \
			llv_fail(LLV_CORRUPT, 0, "more bytes than the array has");             \
		ovm_llv_rt_host_bytes(__llv_bytes_only(dst), (const void __host *)&(array)[0], \
				      __len);                                                  \
	})
/** Set @dst to the bytes of @first followed by those of @second; @dst may be either of them. */
#define llv_concat(dst, first, second) \
	ovm_llv_rt_concat(__llv_bytes_only(dst), __llv_bytes_only(first), __llv_bytes_only(second))

static __always_inline struct ovm_rec_bytes __host *__llv_bytes_only(struct ovm_rec_bytes __host *b)
{
	return b;
}

/** End the extraction with an error. @address is a guest address it is about, or 0. */
#define llv_fail(code, address, literal) \
	ovm_llv_rt_fail((code), (u64)(address), __llv_text(literal))

#endif /* OVM_LLVIEW_PASS_LLVIEW_H */
