// SPDX-License-Identifier: GPL-2.0-only
/*
 * The calls of device.h on the CUDA runtime, and the launches of all kernels.
 *
 * The runtime is linked statically and finds the driver by itself, so that a
 * program with this in it runs where there is neither. The runtime keeps the last error
 * of each thread: one that is no failure of the device is taken back at once, lest
 * it be found by somebody else's call.
 *
 * Every call names its device, since the threads of the pool come and go.
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <cuda_runtime.h>

#include "device.h"
#include "kernels.h"
#include "placement.h"

namespace
{

struct cuda_device {
	struct ovm_device base;
	int index;
	bool read_only_maps;
};

struct cuda_stream {
	struct ovm_stream base;
	int index;
	cudaStream_t stream;
	/* For waiting without spinning. */
	cudaEvent_t event;
};

cuda_device *cuda_of(struct ovm_device *device)
{
	return reinterpret_cast<cuda_device *>(device);
}

cuda_stream *cuda_of(struct ovm_stream *stream)
{
	return reinterpret_cast<cuda_stream *>(stream);
}

struct ovm_error *failed(cudaError_t error, const char *what)
{
	/* Not to be found by the next call of this thread. */
	(void)cudaGetLastError();
	return ovm_error_format(OVM_ERROR_DEVICE, "CUDA: can't %s: %s (%s)", what,
				cudaGetErrorString(error), cudaGetErrorName(error));
}

struct ovm_error *check(cudaError_t error, const char *what)
{
	return error == cudaSuccess ? nullptr : failed(error, what);
}

struct ovm_error *use(int index)
{
	return check(cudaSetDevice(index), "use the device");
}

/* The device that a thread uses may be its caller's affair, and is the same one afterwards. */
class same_device
{
public:
	same_device()
	{
		if (cudaGetDevice(&before) != cudaSuccess)
			before = -1;
		(void)cudaGetLastError();
	}
	~same_device()
	{
		int now;

		/* Device 0 is what it is for who never chose: to use it again would start it. */
		if (before > 0 && cudaGetDevice(&now) == cudaSuccess && now != before)
			(void)cudaSetDevice(before);
		(void)cudaGetLastError();
	}
	same_device(const same_device &) = delete;
	same_device &operator=(const same_device &) = delete;

private:
	int before;
};

void device_destroy(struct ovm_device *device)
{
	free(cuda_of(device));
}

struct ovm_error *device_info(struct ovm_device *device, struct ovm_device_info *ret)
{
	const same_device keep;
	cudaDeviceProp properties;
	size_t free_memory, memory;
	struct ovm_error *err = use(cuda_of(device)->index);

	if (!err)
		err = check(cudaGetDeviceProperties(&properties, cuda_of(device)->index),
			    "describe the device");
	if (!err)
		err = check(cudaMemGetInfo(&free_memory, &memory), "ask for the device's memory");
	if (err)
		return err;
	memset(ret, 0, sizeof(*ret));
	snprintf(ret->name, sizeof(ret->name), "%s", properties.name);
	ret->memory = memory;
	ret->free_memory = free_memory;
	ret->nr_sms = static_cast<uint32_t>(properties.multiProcessorCount);
	ret->arch = static_cast<uint32_t>(properties.major * 10 + properties.minor);
	ret->maps_read_only = cuda_of(device)->read_only_maps;
	return nullptr;
}

/* Whether a call failed for what it was asked, and not because the device has failed. */
bool is_alive(void)
{
	bool alive = cudaFree(nullptr) == cudaSuccess;

	(void)cudaGetLastError();
	return alive;
}

/* The same for memory: none left is no failure. */
struct ovm_error *check_memory(cudaError_t error, const char *what)
{
	struct ovm_error *err = check(error, what);

	if (error == cudaErrorMemoryAllocation)
		err->code = OVM_ERROR_NO_MEMORY;
	return err;
}

struct ovm_error *device_map(struct ovm_device *device, const void *host, size_t size,
			     const void **ret)
{
	const same_device keep;
	unsigned int flags = cudaHostRegisterMapped | cudaHostRegisterPortable;
	void *address = nullptr;
	struct ovm_error *err = use(cuda_of(device)->index);

	if (err)
		return err;
	if (cuda_of(device)->read_only_maps)
		flags |= cudaHostRegisterReadOnly;

	void *memory = const_cast<void *>(host);
	cudaError_t error = cudaHostRegister(memory, size, flags);

	if (error) {
		err = failed(error, "pin guest RAM");
		if (is_alive())
			err->code = OVM_ERROR_UNREACHABLE;
		return err;
	}
	err = check(cudaHostGetDevicePointer(&address, memory, 0), "map guest RAM");
	if (err) {
		(void)cudaHostUnregister(memory);
		(void)cudaGetLastError();
		return err;
	}
	*ret = address;
	return nullptr;
}

void device_unmap(struct ovm_device *device, const void *host)
{
	const same_device keep;
	ovm_error_free(use(cuda_of(device)->index));
	(void)cudaHostUnregister(const_cast<void *>(host));
	(void)cudaGetLastError();
}

struct ovm_error *device_alloc(struct ovm_device *device, size_t size, void **ret)
{
	const same_device keep;
	struct ovm_error *err = use(cuda_of(device)->index);

	return err ? err : check_memory(cudaMalloc(ret, size), "allocate device memory");
}

void device_free(struct ovm_device *device, void *memory)
{
	const same_device keep;
	if (!memory)
		return;
	ovm_error_free(use(cuda_of(device)->index));
	(void)cudaFree(memory);
	(void)cudaGetLastError();
}

/* In front of each piece of pinned memory, so that it can be freed. */
struct pinned_head {
	size_t size;
};

struct ovm_error *device_alloc_pinned(struct ovm_device *device, size_t size, int node, void **ret,
				      void **ret_device)
{
	const same_device keep;
	const size_t whole = size + OVM_PAGE_SIZE;
	void *address = nullptr;
	struct ovm_error *err = use(cuda_of(device)->index);

	if (err)
		return err;

	/* Memory of one's own that is registered can be put on a node, the runtime's can't. */
	auto *memory = static_cast<uint8_t *>(ovm_placement_alloc(whole, node));

	if (!memory)
		return ovm_error_no_memory();
	err = check_memory(
		cudaHostRegister(memory, whole, cudaHostRegisterMapped | cudaHostRegisterPortable),
		"pin a buffer");
	if (!err)
		err = check(cudaHostGetDevicePointer(&address, memory, 0), "map a buffer");
	if (err) {
		(void)cudaHostUnregister(memory);
		(void)cudaGetLastError();
		ovm_placement_free(memory, whole);
		return err;
	}
	reinterpret_cast<pinned_head *>(memory)->size = whole;
	*ret = memory + OVM_PAGE_SIZE;
	*ret_device = static_cast<uint8_t *>(address) + OVM_PAGE_SIZE;
	return nullptr;
}

void device_free_pinned(struct ovm_device *device, void *memory)
{
	const same_device keep;
	if (!memory)
		return;

	auto *head =
		reinterpret_cast<pinned_head *>(static_cast<uint8_t *>(memory) - OVM_PAGE_SIZE);

	ovm_error_free(use(cuda_of(device)->index));
	(void)cudaHostUnregister(head);
	(void)cudaGetLastError();
	ovm_placement_free(head, head->size);
}

void stream_destroy(struct ovm_stream *base)
{
	const same_device keep;
	cuda_stream *stream = cuda_of(base);

	if (!stream)
		return;
	ovm_error_free(use(stream->index));
	if (stream->stream) {
		(void)cudaStreamSynchronize(stream->stream);
		(void)cudaStreamDestroy(stream->stream);
	}
	if (stream->event)
		(void)cudaEventDestroy(stream->event);
	(void)cudaGetLastError();
	free(stream);
}

struct ovm_error *stream_create(struct ovm_device *device, struct ovm_stream **ret)
{
	const same_device keep;
	auto *stream = static_cast<cuda_stream *>(calloc(1, sizeof(cuda_stream)));

	if (!stream)
		return ovm_error_no_memory();
	stream->base.device = device;
	stream->index = cuda_of(device)->index;

	struct ovm_error *err = use(stream->index);

	if (!err)
		err = check(cudaStreamCreateWithFlags(&stream->stream, cudaStreamNonBlocking),
			    "make a stream");
	if (!err)
		err = check(cudaEventCreateWithFlags(
				    &stream->event, cudaEventBlockingSync | cudaEventDisableTiming),
			    "make an event");
	if (err) {
		stream_destroy(&stream->base);
		return err;
	}
	*ret = &stream->base;
	return nullptr;
}

struct ovm_error *stream_wait(struct ovm_stream *base)
{
	const same_device keep;
	cuda_stream *stream = cuda_of(base);
	struct ovm_error *err = use(stream->index);

	if (!err)
		err = check(cudaEventRecord(stream->event, stream->stream), "record an event");
	return err ? err : check(cudaEventSynchronize(stream->event), "finish what was begun");
}

struct ovm_error *stream_copy(struct ovm_stream *base, void *to, const void *from, size_t size)
{
	const same_device keep;
	cuda_stream *stream = cuda_of(base);
	struct ovm_error *err = use(stream->index);

	return err ? err
		   : check(cudaMemcpyAsync(to, from, size, cudaMemcpyDefault, stream->stream),
			   "copy");
}

struct ovm_error *stream_copy_batch(struct ovm_stream *base, const struct ovm_device_copy *pieces,
				    size_t nr)
{
	struct ovm_error *err = nullptr;

	for (size_t i = 0; i < nr && !err; i++)
		err = stream_copy(base, pieces[i].to, pieces[i].from, pieces[i].size);
	return err;
}

struct ovm_error *stream_fill(struct ovm_stream *base, void *memory, uint8_t byte, size_t size)
{
	const same_device keep;
	cuda_stream *stream = cuda_of(base);
	struct ovm_error *err = use(stream->index);

	return err ? err
		   : check(cudaMemsetAsync(memory, byte, size, stream->stream), "fill memory");
}

/* ---- kernels --------------------------------------------------------------------------------- */

template <typename Args, void (*body)(const Args *args, uint32_t block)>
__global__ void __launch_bounds__(OVM_BLOCK_LANES) run_blocks(const __grid_constant__ Args args)
{
	body(&args, blockIdx.x);
}

template <typename Args, void (*body)(const Args *args, uint32_t block)>
struct ovm_error *launch(cudaStream_t stream, uint32_t nr_blocks, const void *args,
			 size_t args_size)
{
	Args copy;

	if (args_size != sizeof(copy))
		return ovm_error_format(OVM_ERROR_USAGE, "arguments of another kernel");
	memcpy(&copy, args, sizeof(copy));
	run_blocks<Args, body><<<nr_blocks, OVM_BLOCK_LANES, 0, stream>>>(copy);
	return check(cudaGetLastError(), "start a kernel");
}

struct ovm_error *stream_launch(struct ovm_stream *base, enum ovm_device_kernel kernel,
				uint32_t nr_blocks, const void *args, size_t args_size)
{
	const same_device keep;
	cuda_stream *stream = cuda_of(base);
	struct ovm_error *err = use(stream->index);

	if (err || !nr_blocks)
		return err;
	switch (kernel) {
#define OVM_KERNEL(name, body, type) \
	case OVM_KERNEL_##name:      \
		return launch<type, body>(stream->stream, nr_blocks, args, args_size);
#include "kernels.def"
#undef OVM_KERNEL
	case OVM_NR_KERNELS:
		break;
	}
	return ovm_error_format(OVM_ERROR_USAGE, "no such kernel");
}

const struct ovm_device_ops cuda_ops = {
	device_destroy, device_info,	     device_map,	 device_unmap,	device_alloc,
	device_free,	device_alloc_pinned, device_free_pinned, stream_create, stream_destroy,
	stream_wait,	stream_copy,	     stream_copy_batch,	 stream_fill,	stream_launch,
};

/* Whether kernels run on a device and see host memory. */
struct ovm_error *try_device(int index, cuda_device *device)
{
	const same_device keep;
	int can_map = 0, read_only = 0;
	struct ovm_error *err = use(index);

	if (!err)
		err = check(cudaFree(nullptr), "start the device");
	if (!err)
		err = check(cudaDeviceGetAttribute(&can_map, cudaDevAttrCanMapHostMemory, index),
			    "ask what the device can do");
	if (!err && !can_map)
		err = ovm_error_format(OVM_ERROR_DEVICE, "the GPU can't read host memory");
	if (!err)
		err = check(cudaDeviceGetAttribute(&read_only,
						   cudaDevAttrHostRegisterReadOnlySupported, index),
			    "ask what the device can do");
	/* Fails where the build has no code for the device. */
	cudaFuncAttributes attributes;

	if (!err)
		err = check(
			cudaFuncGetAttributes(&attributes,
					      run_blocks<struct ovm_gather_args, ovm_gather_body>),
			"find a kernel for the device");
	if (err)
		return err;
	device->base.ops = &cuda_ops;
	device->index = index;
	device->read_only_maps = read_only != 0;
	return nullptr;
}

} // namespace

extern "C" struct ovm_error *ovm_cuda_device_open(struct ovm_device **ret)
{
	int nr = 0, driver = 0;
	cudaError_t error = cudaGetDeviceCount(&nr);
	struct ovm_error *err = nullptr;

	*ret = nullptr;
	(void)cudaGetLastError();
	if (error == cudaErrorInsufficientDriver && !cudaDriverGetVersion(&driver) && driver)
		return ovm_error_format(OVM_ERROR_DEVICE,
					"the GPU's driver knows CUDA %d.%d, but this is built with "
					"%d.%d: update the driver",
					driver / 1000, driver % 1000 / 10, CUDART_VERSION / 1000,
					CUDART_VERSION % 1000 / 10);
	if (error == cudaErrorInsufficientDriver || error == cudaErrorNoDevice || (!error && !nr))
		return ovm_error_format(OVM_ERROR_DEVICE, "there is no GPU, or no driver for it");
	if (error)
		return failed(error, "look for GPUs");

	auto *device = static_cast<cuda_device *>(calloc(1, sizeof(cuda_device)));

	if (!device)
		return ovm_error_no_memory();
	for (int i = 0; i < nr; i++) {
		ovm_error_free(err);
		err = try_device(i, device);
		if (!err) {
			*ret = &device->base;
			return nullptr;
		}
	}
	free(device);
	return err;
}
