/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What benchmarks of the GPU share: host memory of all kinds, registered with the device, and
 * figures. They use the CUDA runtime directly, so that they measure the machine, not the engine.
 */
#ifndef OVM_BENCH_GPU_GPU_H
#define OVM_BENCH_GPU_GPU_H

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include <cuda_runtime.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/bench.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static const size_t KIB = 1024, MIB = 1024 * KIB, GIB = 1024 * MIB;

/** End the program if a call failed; 77 is the status of a machine without a GPU. */
static inline void gpu_must(cudaError_t error, const char *what)
{
	if (error == cudaSuccess)
		return;
	fprintf(stderr, "%s: %s (%s)\n", what, cudaGetErrorString(error), cudaGetErrorName(error));
	exit(error == cudaErrorNoDevice || error == cudaErrorInsufficientDriver ? 77 : 1);
}

static inline cudaDeviceProp gpu_open()
{
	cudaDeviceProp properties;

	gpu_must(cudaSetDevice(0), "no GPU");
	gpu_must(cudaFree(nullptr), "no GPU");
	gpu_must(cudaGetDeviceProperties(&properties, 0), "no GPU");
	return properties;
}

/** Bytes of memory that are to be had, with some left for others. */
static inline size_t host_available()
{
	unsigned long long kib = 0;
	char line[256];
	FILE *file = fopen("/proc/meminfo", "re");

	if (getenv("OVM_BENCH_MEMORY_GIB"))
		kib = strtoull(getenv("OVM_BENCH_MEMORY_GIB"), nullptr, 0) << 20;
	while (!kib && file && fgets(line, sizeof(line), file))
		sscanf(line, "MemAvailable: %llu", &kib);
	if (file)
		fclose(file);
	return static_cast<size_t>(kib) * KIB / 10 * 7;
}

/** Call @work(part, parts) on all CPUs. */
template <typename Work> static inline void on_all_cpus(Work work)
{
	unsigned int nr = std::thread::hardware_concurrency();
	std::vector<std::thread> threads;

	nr = nr ? nr : 1;
	nr = nr > 32 ? 32 : nr;
	for (unsigned int i = 0; i < nr; i++)
		threads.emplace_back(work, i, nr);
	for (auto &thread : threads)
		thread.join();
}

/** Host memory, as a guest's RAM is mapped here. */
struct host_memory {
	uint8_t *map;
	size_t size;
	int fd;
	/** Address for kernels, or NULL until it is registered. */
	uint8_t *device;
};

/** Map a file of @size bytes and give it pages, each with its number in its first word. */
static inline bool host_map(host_memory *memory, int fd, size_t size, int protection)
{
	memset(memory, 0, sizeof(*memory));
	memory->fd = fd;
	memory->size = size;
	if (fd < 0 || ftruncate(fd, static_cast<off_t>(size)))
		return false;

	void *map = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		return false;

	uint8_t *bytes = static_cast<uint8_t *>(map);

	/* Huge pages that can't be had would be a SIGBUS. */
	if (madvise(map, 2 * MIB < size ? 2 * MIB : size, MADV_POPULATE_WRITE)) {
		munmap(map, size);
		return false;
	}
	on_all_cpus([=](unsigned int part, unsigned int parts) {
		size_t pages = size / 4096, end = pages * (part + 1) / parts;

		for (uint64_t i = pages * part / parts; i < end; i++) {
			uint64_t word = i * UINT64_C(0x9e3779b97f4a7c15) | 1;

			for (unsigned int at = 0; at < 4096; at += 1024)
				memcpy(bytes + i * 4096 + at, &word, sizeof(word));
			memcpy(bytes + i * 4096, &i, sizeof(i));
		}
	});
	/* As the engine has it. */
	if (!(protection & PROT_WRITE))
		mprotect(map, size, protection);
	memory->map = bytes;
	return true;
}

static inline bool host_create(host_memory *memory, size_t size)
{
	return host_map(memory, memfd_create("bench", MFD_CLOEXEC), size, PROT_READ | PROT_WRITE);
}

/** Register with the device; false, and the runtime's error taken back, if it refuses. */
static inline bool host_register(host_memory *memory, unsigned int flags)
{
	void *device = nullptr;
	cudaError_t error =
		cudaHostRegister(memory->map, memory->size,
				 cudaHostRegisterMapped | cudaHostRegisterPortable | flags);

	if (!error)
		error = cudaHostGetDevicePointer(&device, memory->map, 0);
	if (error) {
		fprintf(stderr, "can't register %zu MiB: %s\n", memory->size / MIB,
			cudaGetErrorString(error));
		(void)cudaGetLastError();
		return false;
	}
	memory->device = static_cast<uint8_t *>(device);
	return true;
}

static inline void host_destroy(host_memory *memory)
{
	if (memory->device)
		gpu_must(cudaHostUnregister(memory->map), "unregister");
	if (memory->map)
		munmap(memory->map, memory->size);
	if (memory->fd >= 0)
		close(memory->fd);
	memset(memory, 0, sizeof(*memory));
	memory->fd = -1;
}

/** Time @work, which puts work into streams, until the device is done with it. */
template <typename Work> static inline double gpu_time(Work work)
{
	gpu_must(cudaDeviceSynchronize(), "wait");

	double start = bench_now();

	work();
	gpu_must(cudaDeviceSynchronize(), "wait");
	return bench_now() - start;
}

/** Time @work several times, once more to warm up. */
template <typename Work>
static inline void gpu_sample(struct bench_samples *samples, unsigned int nr, Work work)
{
	memset(samples, 0, sizeof(*samples));
	for (unsigned int i = 0; i <= nr; i++) {
		double seconds = gpu_time(work);

		if (i)
			bench_add(samples, seconds);
	}
}

#endif /* OVM_BENCH_GPU_GPU_H */
