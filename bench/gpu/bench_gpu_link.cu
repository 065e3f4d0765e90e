// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the link between host and GPU carries: by the copy engines and by kernels that read and
 * write host memory in place, each way alone and both at once.
 *
 * usage: bench_gpu_link [MAX_GIB [SAMPLES]]
 */
#include "gpu.h"
#include "read.h"

static unsigned int nr_samples = 3;

static __global__ void write_all(uint4 *to, size_t nr, uint32_t value)
{
	size_t step = static_cast<size_t>(gridDim.x) * blockDim.x;

	for (size_t i = blockIdx.x * static_cast<size_t>(blockDim.x) + threadIdx.x; i < nr;
	     i += step)
		to[i] = make_uint4(value, value, value, value);
}

struct link {
	cudaDeviceProp properties;
	/* Registered host memory, and as much of the device's. */
	host_memory in, out;
	uint8_t *device_in, *device_out;
	uint4 *scratch;
	cudaStream_t streams[2];
	size_t size;
};

static void report(const char *way, double gib, double bytes, const struct bench_samples *samples)
{
	bench_begin("link");
	bench_text("way", way);
	bench_number("gib", gib);
	bench_number("gb_per_s", bytes / bench_median(samples) / 1e9);
	bench_number("best_gb_per_s", bytes / bench_best(samples) / 1e9);
	bench_times(samples);
}

static void to_device(const struct link *l)
{
	gpu_must(cudaMemcpyAsync(l->device_in, l->in.map, l->size, cudaMemcpyHostToDevice,
				 l->streams[0]),
		 "copy");
}

static void to_host(const struct link *l)
{
	gpu_must(cudaMemcpyAsync(l->out.map, l->device_out, l->size, cudaMemcpyDeviceToHost,
				 l->streams[1]),
		 "copy");
}

static void kernel_reads(const struct link *l, const host_memory *memory, unsigned int per_sm)
{
	read_all<<<l->properties.multiProcessorCount * per_sm, 256, 0, l->streams[0]>>>(
		reinterpret_cast<const uint4 *>(memory->device), memory->size / 16, l->scratch);
	gpu_must(cudaGetLastError(), "kernel");
}

static void kernel_writes(const struct link *l)
{
	write_all<<<l->properties.multiProcessorCount * 4, 256, 0, l->streams[1]>>>(
		reinterpret_cast<uint4 *>(l->out.device), l->size / 16, 7);
	gpu_must(cudaGetLastError(), "kernel");
}

static void measure_copy_engines(const struct link *l)
{
	double gib = static_cast<double>(l->size) / GIB, bytes = static_cast<double>(l->size);
	struct bench_samples samples;

	gpu_sample(&samples, nr_samples, [=] { to_device(l); });
	report("copy engine to device", gib, bytes, &samples);
	gpu_sample(&samples, nr_samples, [=] { to_host(l); });
	report("copy engine to host", gib, bytes, &samples);
	gpu_sample(&samples, nr_samples, [=] {
		to_device(l);
		to_host(l);
	});
	report("copy engines both ways", gib, 2 * bytes, &samples);
}

/* What a dump does: a kernel reads guest RAM while a copy engine brings pages back. */
static void measure_kernels(const struct link *l)
{
	double gib = static_cast<double>(l->size) / GIB, bytes = static_cast<double>(l->size);
	struct bench_samples samples;

	gpu_sample(&samples, nr_samples, [=] { kernel_writes(l); });
	report("kernel writes", gib, bytes, &samples);
	gpu_sample(&samples, nr_samples, [=] {
		kernel_reads(l, &l->in, 4);
		to_host(l);
	});
	report("kernel reads, copy engine to host", gib, 2 * bytes, &samples);
	gpu_sample(&samples, nr_samples, [=] {
		kernel_reads(l, &l->in, 4);
		kernel_writes(l);
	});
	report("kernels read and write", gib, 2 * bytes, &samples);
	for (unsigned int per_sm = 1; per_sm <= 8; per_sm *= 2) {
		char way[64];

		snprintf(way, sizeof(way), "kernel reads, %u blocks an SM", per_sm);
		gpu_sample(&samples, nr_samples, [=] { kernel_reads(l, &l->in, per_sm); });
		report(way, gib, bytes, &samples);
	}
}

/* The GPU translates addresses page by page: large buffers may be read more slowly. */
static void measure_reach(const struct link *l, double gib)
{
	struct bench_samples samples;
	host_memory memory;

	if (host_create(&memory, static_cast<size_t>(gib * GIB)) && host_register(&memory, 0)) {
		gpu_sample(&samples, nr_samples, [&] { kernel_reads(l, &memory, 4); });
		report("zero copy", gib, static_cast<double>(memory.size), &samples);
	}
	host_destroy(&memory);
}

int main(int argc, char **argv)
{
	static const double sizes[] = {0.25, 1, 8, 32};
	double max_gib = argc > 1 ? atof(argv[1]) : 32;
	struct link l = {};

	if (argc > 2)
		nr_samples = static_cast<unsigned int>(atoi(argv[2]));
	l.properties = gpu_open();
	l.size = GIB / 2;
	if (!host_create(&l.in, l.size) || !host_register(&l.in, 0) ||
	    !host_create(&l.out, l.size) || !host_register(&l.out, 0))
		return 1;
	gpu_must(cudaMalloc(&l.device_in, l.size), "device memory");
	gpu_must(cudaMalloc(&l.device_out, l.size), "device memory");
	gpu_must(cudaMalloc(&l.scratch, sizeof(*l.scratch)), "device memory");
	gpu_must(cudaMemset(l.device_out, 1, l.size), "device memory");
	for (auto &stream : l.streams)
		gpu_must(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "stream");
	measure_copy_engines(&l);
	measure_kernels(&l);
	for (double size : sizes) {
		if (size <= max_gib && size * GIB < static_cast<double>(host_available()))
			measure_reach(&l, size);
	}
	bench_end();
	host_destroy(&l.in);
	host_destroy(&l.out);
	return 0;
}
