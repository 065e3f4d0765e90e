/* SPDX-License-Identifier: GPL-2.0-only */
/* Asynchronous I/O of the kernel's own, which libc has no functions for. */
#ifndef OVM_WORKLOADS_AIO_H
#define OVM_WORKLOADS_AIO_H

#include <linux/aio_abi.h>
#include <sys/syscall.h>

#include "workload.h"

static inline aio_context_t aio_setup(unsigned int nr)
{
	aio_context_t context = 0;

	if (syscall(SYS_io_setup, nr, &context))
		workload_skip("io_setup: %s", strerror(errno));
	return context;
}

/** Start one request, which event tells as @data. */
static inline void aio_submit(aio_context_t context, uint16_t opcode, int fd, void *buffer,
			      uint64_t length, int64_t offset, uint64_t data)
{
	struct iocb request = {
		.aio_data = data,
		.aio_lio_opcode = opcode,
		.aio_fildes = (uint32_t)fd,
		.aio_buf = (uintptr_t)buffer,
		.aio_nbytes = length,
		.aio_offset = offset,
	};
	struct iocb *requests[] = {&request};

	CHECK_CALL(syscall(SYS_io_submit, context, 1, requests) == 1);
}

/** Take up to @nr events that are there; how many there were. */
static inline long aio_take(aio_context_t context, long nr, struct io_event *events)
{
	struct timespec none = {0};
	long got = syscall(SYS_io_getevents, context, 0L, nr, events, &none);

	CHECK_CALL(got >= 0);
	return got;
}

#endif /* OVM_WORKLOADS_AIO_H */
