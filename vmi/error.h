/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Error objects.
 *
 * Everything that can fail returns a struct ovm_error *, NULL meaning success.
 * The caller owns the object and either returns it further (often with a
 * context prepended) or frees it.  Running out of memory is an error like any
 * other: a static object stands for it, so that reporting it cannot fail.
 */
#ifndef OVM_VMI_ERROR_H
#define OVM_VMI_ERROR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/** What kind of failure it was; the command line maps these to exit statuses. */
enum ovm_error_code {
	OVM_ERROR_NO_MEMORY = 1,
	/** An argument or option is wrong. */
	OVM_ERROR_USAGE,
	/** QMP or the guest's RAM can't be reached. */
	OVM_ERROR_UNREACHABLE,
	/** The guest kernel is not understood: symbol, type or anchor missing. */
	OVM_ERROR_KERNEL,
	/** A guest address is not mapped or not RAM. */
	OVM_ERROR_FAULT,
	/** Guest data contradicts itself. */
	OVM_ERROR_CORRUPT,
	/** A walk of guest data exceeded its budget. */
	OVM_ERROR_BUDGET,
	/** No such process, symbol, type or member. */
	OVM_ERROR_NOT_FOUND,
	/** The process holds something that an image can't represent. */
	OVM_ERROR_NOT_DUMPABLE,
	/** No consistent state was reached in time. */
	OVM_ERROR_INCONSISTENT,
	/** Writing the images failed. */
	OVM_ERROR_OUTPUT,
	/** The caller asked to stop. */
	OVM_ERROR_CANCELLED,
	/** The GPU, or a part of memory as far as the GPU is concerned, can't be used. */
	OVM_ERROR_DEVICE,
};

struct ovm_error {
	enum ovm_error_code code;
	/** errno of the failed call, or 0. */
	int errnum;
	/** Guest pid the error is about, or 0. */
	pid_t pid;
	/** Whether @address is set. */
	bool has_address;
	/** Guest virtual or physical address the error is about. */
	uint64_t address;
	/** Host path the error is about, or NULL. */
	char *path;
	/** One sentence: what failed, and what to do about it. */
	char *message;
};

/** Make an error with a printf-style message. Never returns NULL. */
struct ovm_error *ovm_error_format(enum ovm_error_code code, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** Make an error for a failed call; ": " and strerror(@errnum) are appended. */
struct ovm_error *ovm_error_errno(enum ovm_error_code code, int errnum, const char *path,
				  const char *format, ...) __attribute__((format(printf, 4, 5)));

/** Make an error about a guest address, which is appended to the message in hexadecimal. */
struct ovm_error *ovm_error_address(enum ovm_error_code code, uint64_t address, const char *format,
				    ...) __attribute__((format(printf, 3, 4)));

/** The error that stands for an allocation that failed. */
struct ovm_error *ovm_error_no_memory(void);

/** Put "context: " in front of the message of @err and return it; NULL stays NULL. */
struct ovm_error *ovm_error_prepend(struct ovm_error *err, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** Free an error; NULL is fine. */
void ovm_error_free(struct ovm_error *err);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif /* OVM_VMI_ERROR_H */
