/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A device with memory of its own: the calls that the page engine needs of one.
 *
 * Behind them is the CUDA runtime (cuda_device.cu), or, in tests, a device that runs
 * the same kernel bodies on the CPU and can be told to fail at any call. All
 * else of the CUDA back end is C and knows only these calls.
 *
 * Device addresses are plain pointers that only kernels may follow. All calls but wait()
 * return at once or after a short time; work that was put into a stream is done in
 * order. An error of the device is sticky: from then on, every call on it fails, and what
 * it held is lost. Threads may use different streams of a device at the same time.
 */
#ifndef OVM_KERNELS_CUDA_DEVICE_H
#define OVM_KERNELS_CUDA_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../vmi/error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct ovm_device;
struct ovm_stream;

/** The kernels; what they do is in the headers that define their bodies (kernels.h). */
enum ovm_device_kernel {
#define OVM_KERNEL(name, body, args) OVM_KERNEL_##name,
#include "kernels.def"
#undef OVM_KERNEL
	OVM_NR_KERNELS,
};

struct ovm_device_info {
	/** For people: "NVIDIA H200". */
	char name[256];
	/** Bytes of memory, and how many of them are free. */
	uint64_t memory, free_memory;
	/** Multiprocessors. */
	uint32_t nr_sms;
	/** Version of the instruction set: 90 for sm_90. */
	uint32_t arch;
	/** Whether map() takes memory that can only be read. */
	bool maps_read_only;
};

/** A piece of a batched copy. */
struct ovm_device_copy {
	void *to;
	const void *from;
	size_t size;
};

struct ovm_device_ops {
	/** Release the device, which may have failed. */
	void (*destroy)(struct ovm_device *device);
	struct ovm_error *(*info)(struct ovm_device *device, struct ovm_device_info *ret);

	/**
	 * Let kernels read host memory in place, through the address *@ret. Pins the pages; a page
	 * that isn't there is made. Must be undone before the memory is unmapped.
	 *
	 * Errors: OVM_ERROR_UNREACHABLE for memory that can't be pinned: no failure of the device;
	 * OVM_ERROR_DEVICE.
	 *
	 * Errors: OVM_ERROR_DEVICE for a device that failed; any other: this memory can't be pinned
	 *
	 * @host, @size: multiples of 4 KiB, at most 64 GiB
	 */
	struct ovm_error *(*map)(struct ovm_device *device, const void *host, size_t size,
				 const void **ret);
	void (*unmap)(struct ovm_device *device, const void *host);

	/** Errors: OVM_ERROR_NO_MEMORY, which is no failure of the device; OVM_ERROR_DEVICE. */
	struct ovm_error *(*alloc)(struct ovm_device *device, size_t size, void **ret);
	/** NULL is fine. */
	void (*free)(struct ovm_device *device, void *memory);
	/**
	 * Allocate pinned host memory, zeroed, on NUMA node @node (-1: anywhere); kernels reach it
	 * at *@ret_device. Errors: those of alloc.
	 */
	struct ovm_error *(*alloc_pinned)(struct ovm_device *device, size_t size, int node,
					  void **ret, void **ret_device);
	/** NULL is fine. */
	void (*free_pinned)(struct ovm_device *device, void *memory);

	struct ovm_error *(*stream_create)(struct ovm_device *device, struct ovm_stream **ret);
	/** Waits for what is in it; NULL is fine. */
	void (*stream_destroy)(struct ovm_stream *stream);
	/** Sleep until all that was put into the stream is done; its errors come up here at the
	 * latest. */
	struct ovm_error *(*wait)(struct ovm_stream *stream);

	/** Copy between device memory and pinned memory, in either direction, or within either. */
	struct ovm_error *(*copy)(struct ovm_stream *stream, void *to, const void *from,
				  size_t size);
	/** The same for many pieces, which must not overlap; from mapped memory too. */
	struct ovm_error *(*copy_batch)(struct ovm_stream *stream,
					const struct ovm_device_copy *pieces, size_t nr);
	struct ovm_error *(*fill)(struct ovm_stream *stream, void *memory, uint8_t byte,
				  size_t size);
	/** Run @nr_blocks blocks of a kernel; its arguments are copied by the call. */
	struct ovm_error *(*launch)(struct ovm_stream *stream, enum ovm_device_kernel kernel,
				    uint32_t nr_blocks, const void *args, size_t args_size);
};

/** The part of a device that all kinds have. */
struct ovm_device {
	const struct ovm_device_ops *ops;
};

struct ovm_stream {
	struct ovm_device *device;
};

/**
 * Open the first CUDA device that works.
 *
 * Errors: OVM_ERROR_DEVICE says what is missing: driver, device, or a call that failed.
 */
struct ovm_error *ovm_cuda_device_open(struct ovm_device **ret);

#ifdef __cplusplus
}
#endif

#endif /* OVM_KERNELS_CUDA_DEVICE_H */
