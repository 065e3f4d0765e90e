/* SPDX-License-Identifier: GPL-2.0-only */
/* The context of one VM, as the library's own files see it. */
#ifndef OVM_HOST_CONTEXT_H
#define OVM_HOST_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "host/ovm-gpu.h"
#include "kernels-cuda/engine.h"
#include "vmi/freeze.h"
#include "vmi/kernel.h"
#include "vmi/llview.h"
#include "vmi/vm.h"

enum {
	/* As criu dump has it. */
	OVM_DEFAULT_GHOST_LIMIT = 1 << 20,
};

struct ovm {
	struct ovm_vm *vm;
	struct ovm_kernel *kernel;
	struct ovm_llv *llv;
	/* Of each extraction. */
	struct ovm_llv_budget budget;
	/* Larger files without a name are not saved; bytes. */
	uint64_t ghost_limit;
	/* Made by the first dump. */
	struct ovm_engine *engine;
	/* Guest memory is never written. */
	bool read_only;
	/* An eventfd: readable when the caller wants to stop. */
	int cancel_fd;
	void (*log)(void *arg, enum ovm_log_level level, const char *message);
	void *log_arg;
};

/** What an operation under way is called in messages, and its parts. */
void ovm_log(const struct ovm *ovm, enum ovm_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** Log a write of guest memory that is about to be made; @arg is the context. */
void ovm_log_write(void *arg, const struct ovm_write *write);

/** Make a freezer whose writes are logged. OVM_ERROR_USAGE when writing was forbidden. */
struct ovm_error *ovm_make_freezer(struct ovm *ovm, unsigned int timeout_ms,
				   struct ovm_freezer **ret);

/** Whether ovm_cancel() was called; @arg is the context. */
bool ovm_cancelled(void *arg);

/** OVM_ERROR_CANCELLED if ovm_cancel() was called. */
struct ovm_error *ovm_check_cancelled(struct ovm *ovm);

/** Forget a cancellation that came before the operation that begins now. */
void ovm_cancel_reset(struct ovm *ovm);

/** Copy @options, of whose @size bytes only the first were known to the caller, into @ret. */
struct ovm_error *ovm_options_copy(void *ret, size_t known, const void *options);

/** Microseconds of a clock that only goes forward. */
uint64_t ovm_now_us(void);

/** Steps of attaching, which ovm_check() takes one at a time. */
struct ovm_error *ovm_attach_vm(struct ovm *ovm, const struct ovm_attach_options *options);
struct ovm_error *ovm_attach_kernel(struct ovm *ovm, const struct ovm_attach_options *options);
struct ovm_error *ovm_attach_extractors(struct ovm *ovm);

/** A context that is attached to nothing yet. */
struct ovm_error *ovm_create(const struct ovm_attach_options *options, struct ovm **ret);

#endif /* OVM_HOST_CONTEXT_H */
