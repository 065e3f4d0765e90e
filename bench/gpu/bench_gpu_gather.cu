// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ways to bring pages of host memory to where they are wanted, by how many of them are in a row.
 * Each result is checked. "ratio" is to a kernel that reads the same memory from end to end.
 *
 * usage: bench_gpu_gather [SOURCE_GIB [SAMPLES]]
 */
#include <algorithm>

#include "gpu.h"
#include "kernels-cuda/gather.h"
#include "read.h"

#include "bulk.h"

static unsigned int nr_samples = 3;

enum {
	PAGE = 4096,
	/* Pages of a launch: 512 MiB. */
	PAGES = 128 << 10,
	/* Of double buffers. */
	MAX_CHUNK = 64 << 20,
};

struct setting {
	cudaDeviceProp properties;
	host_memory source;
	/* Pages in a row, and whether rows are taken by rising address. */
	uint32_t run;
	bool ascending;
	/* First page of each run, and the device address of each page, there and here. */
	std::vector<uint64_t> runs;
	std::vector<uint64_t> addresses;
	uint64_t *from;
	/* Where the pages go: device memory, or host memory as both see it. */
	uint8_t *to;
	host_memory host;
	cudaStream_t streams[2];
	unsigned long long *wrong;
	/* GB/s of a kernel that reads all of it. */
	double limit;
};

/* ---- kernels --------------------------------------------------------------------------------- */

static __global__ void __launch_bounds__(OVM_BLOCK_LANES)
	gather_block(const __grid_constant__ ovm_gather_args args)
{
	ovm_gather_body(&args, blockIdx.x);
}

/* A warp a page: eight loads of 16 bytes are under way in each lane. */
static __global__ void __launch_bounds__(256)
	gather_warp(const uint64_t *from, uint8_t *to, uint32_t nr)
{
	uint32_t step = gridDim.x * (blockDim.x / 32), lane = threadIdx.x % 32;

	for (uint32_t page = (blockIdx.x * blockDim.x + threadIdx.x) / 32; page < nr;
	     page += step) {
		const uint4 *in = reinterpret_cast<const uint4 *>(from[page]) + lane;
		uint4 *out =
			reinterpret_cast<uint4 *>(to + static_cast<uint64_t>(page) * PAGE) + lane;
		uint4 quads[8];

#pragma unroll
		for (unsigned int i = 0; i < 8; i++)
			quads[i] = in[i * 32];
#pragma unroll
		for (unsigned int i = 0; i < 8; i++)
			out[i * 32] = quads[i];
	}
}

/* Count pages that aren't what host_map() made of them. */
static __global__ void check_pages(const uint8_t *pages, const uint64_t *numbers, uint32_t nr,
				   unsigned long long *wrong)
{
	uint32_t page = blockIdx.x;
	const uint64_t *words =
		reinterpret_cast<const uint64_t *>(pages + static_cast<uint64_t>(page) * PAGE);
	uint64_t number = numbers[page];

	for (uint32_t i = threadIdx.x; page < nr && i < PAGE / 8; i += blockDim.x) {
		uint64_t word = i % 128 ? 0 : number * UINT64_C(0x9e3779b97f4a7c15) | 1;

		if (words[i] != (i ? word : number))
			atomicAdd(wrong, 1);
	}
}

/* ---- ways ------------------------------------------------------------------------------------ */

static void by_block(setting *s, uint8_t *to, uint32_t first, uint32_t nr, cudaStream_t stream)
{
	const ovm_gather_args args = {s->from + first, to};

	gather_block<<<nr, OVM_BLOCK_LANES, 0, stream>>>(args);
}

static void by_warp(setting *s, uint8_t *to, uint32_t first, uint32_t nr, cudaStream_t stream)
{
	gather_warp<<<s->properties.multiProcessorCount * 4, 256, 0, stream>>>(s->from + first, to,
									       nr);
}

static void by_bulk(setting *s, uint8_t *to, uint32_t first, uint32_t nr, cudaStream_t stream)
{
	gather_bulk<<<s->properties.multiProcessorCount * 4, 32, 0, stream>>>(s->from + first, to,
									      nr);
}

static void by_copies(setting *s, uint8_t *to, uint32_t first, uint32_t nr, cudaStream_t stream)
{
	for (uint32_t i = 0; i < nr; i += s->run)
		gpu_must(cudaMemcpyAsync(to + static_cast<uint64_t>(i) * PAGE,
					 s->source.map + s->runs[(first + i) / s->run] * PAGE,
					 static_cast<size_t>(s->run) * PAGE, cudaMemcpyHostToDevice,
					 stream),
			 "copy");
}

static void by_batch(setting *s, uint8_t *to, uint32_t first, uint32_t nr, cudaStream_t stream)
{
	std::vector<void *> out;
	std::vector<const void *> in;
	std::vector<size_t> sizes;
	cudaMemcpyAttributes attributes = {};
	size_t index = 0;

	/* Guest RAM may change, but not in an order that matters. */
	attributes.srcAccessOrder = cudaMemcpySrcAccessOrderAny;
	for (uint32_t i = 0; i < nr; i += s->run) {
		out.push_back(to + static_cast<uint64_t>(i) * PAGE);
		in.push_back(s->source.map + s->runs[(first + i) / s->run] * PAGE);
		sizes.push_back(static_cast<size_t>(s->run) * PAGE);
	}
	gpu_must(cudaMemcpyBatchAsync(out.data(), in.data(), sizes.data(), out.size(), &attributes,
				      &index, 1, stream),
		 "batch of copies");
}

using way_fn = void(setting *s, uint8_t *to, uint32_t first, uint32_t nr, cudaStream_t stream);

/* ---- measuring ------------------------------------------------------------------------------- */

static void report(const setting *s, const char *way, const char *where,
		   const struct bench_samples *samples, bool good)
{
	double gb_per_s = static_cast<double>(PAGES) * PAGE / bench_median(samples) / 1e9;

	bench_begin("gather");
	bench_text("way", way);
	bench_text("to", where);
	bench_number("run_pages", s->run);
	bench_text("order", s->ascending ? "ascending" : "random");
	bench_number("gb_per_s", gb_per_s);
	bench_number("ratio", gb_per_s / s->limit);
	printf(", \"good\": %s", good ? "true" : "false");
	bench_times(samples);
}

/* Whether the pages are at @to, which kernels can read. */
static bool check(setting *s, const uint8_t *to)
{
	std::vector<uint64_t> numbers(PAGES);
	unsigned long long wrong = 0;
	uint64_t *there;

	for (uint32_t i = 0; i < PAGES; i++)
		numbers[i] = s->runs[i / s->run] + i % s->run;
	gpu_must(cudaMalloc(&there, PAGES * sizeof(*there)), "device memory");
	gpu_must(cudaMemcpy(there, numbers.data(), PAGES * sizeof(*there), cudaMemcpyDefault),
		 "copy");
	gpu_must(cudaMemset(s->wrong, 0, sizeof(*s->wrong)), "fill");
	check_pages<<<PAGES, 128>>>(to, there, PAGES, s->wrong);
	gpu_must(cudaGetLastError(), "check");
	gpu_must(cudaMemcpy(&wrong, s->wrong, sizeof(wrong), cudaMemcpyDefault), "copy");
	gpu_must(cudaFree(there), "free");
	if (wrong)
		fprintf(stderr, "gather: %llu words are wrong\n", wrong);
	return !wrong;
}

static void measure(setting *s, const char *name, way_fn *way)
{
	struct bench_samples samples;

	gpu_must(cudaMemset(s->to, 0xee, static_cast<size_t>(PAGES) * PAGE), "fill");
	gpu_sample(&samples, nr_samples, [=] {
		way(s, s->to, 0, PAGES, s->streams[0]);
		gpu_must(cudaGetLastError(), name);
	});
	report(s, name, "device", &samples, check(s, s->to));
}

/* Write where the CPU can read, without a stop in device memory. */
static void measure_to_host(setting *s, const char *name, way_fn *way)
{
	struct bench_samples samples;

	memset(s->host.map, 0xee, s->host.size);
	gpu_sample(&samples, nr_samples, [=] {
		way(s, s->host.device, 0, PAGES, s->streams[0]);
		gpu_must(cudaGetLastError(), name);
	});
	report(s, name, "host, in place", &samples, check(s, s->host.device));
}

/* Into buffers on the device, two of them in turn, and on to the host by a copy engine. */
static void measure_pipeline(setting *s, way_fn *way, size_t chunk)
{
	const uint32_t pages = static_cast<uint32_t>(chunk / PAGE);
	struct bench_samples samples;
	char name[64];

	memset(s->host.map, 0xee, s->host.size);
	gpu_sample(&samples, nr_samples, [=] {
		for (uint32_t first = 0; first < PAGES; first += pages) {
			unsigned int turn = first / pages % 2;
			uint8_t *buffer = s->to + turn * static_cast<size_t>(MAX_CHUNK);

			way(s, buffer, first, pages, s->streams[turn]);
			gpu_must(cudaMemcpyAsync(s->host.map + static_cast<size_t>(first) * PAGE,
						 buffer, chunk, cudaMemcpyDeviceToHost,
						 s->streams[turn]),
				 "copy");
		}
	});
	snprintf(name, sizeof(name), "block a page, buffers of %zu MiB", chunk / MIB);
	report(s, name, "host, by copy engine", &samples, check(s, s->host.device));
}

/* Choose runs of pages from all over the source. */
static void choose(setting *s, uint32_t run, bool ascending)
{
	uint64_t slots = s->source.size / PAGE / run, nr = PAGES / run;

	s->run = run;
	s->ascending = ascending;
	s->runs.resize(nr);
	s->addresses.resize(PAGES);
	/* An odd multiplier permutes the numbers below a power of two. */
	for (uint64_t i = 0; i < nr; i++)
		s->runs[i] = i * UINT64_C(0x9e3779b1) % slots * run;
	if (ascending)
		std::sort(s->runs.begin(), s->runs.end());
	for (uint32_t i = 0; i < PAGES; i++)
		s->addresses[i] = reinterpret_cast<uintptr_t>(s->source.device) +
				  (s->runs[i / run] + i % run) * PAGE;
	gpu_must(cudaMemcpy(s->from, s->addresses.data(), PAGES * sizeof(*s->from),
			    cudaMemcpyDefault),
		 "copy");
}

static void measure_all(setting *s, uint32_t run, bool ascending)
{
	choose(s, run, ascending);
	measure(s, "block a page", by_block);
	measure(s, "warp a page", by_warp);
	if (s->properties.major >= 9)
		measure(s, "bulk copies", by_bulk);
	if (run >= 16)
		measure(s, "batch of copies", by_batch);
	if (run >= 512)
		measure(s, "single copies", by_copies);
	if (ascending)
		return;
	measure_to_host(s, "block a page", by_block);
	for (size_t chunk = 4 * MIB; chunk <= MAX_CHUNK; chunk *= 4)
		measure_pipeline(s, by_block, chunk);
}

static void measure_limit(setting *s)
{
	struct bench_samples samples;
	uint4 *out;

	gpu_must(cudaMalloc(&out, sizeof(*out)), "device memory");
	gpu_sample(&samples, nr_samples, [=] {
		read_all<<<s->properties.multiProcessorCount * 4, 256, 0, s->streams[0]>>>(
			reinterpret_cast<const uint4 *>(s->source.device), s->source.size / 16,
			out);
		gpu_must(cudaGetLastError(), "kernel");
	});
	s->limit = static_cast<double>(s->source.size) / bench_median(&samples) / 1e9;
	bench_begin("gather_limit");
	bench_number("gib", static_cast<double>(s->source.size) / GIB);
	bench_number("gb_per_s", s->limit);
	bench_times(&samples);
	gpu_must(cudaFree(out), "free");
}

int main(int argc, char **argv)
{
	static const uint32_t runs[] = {1, 16, 512};
	size_t gib = argc > 1 ? static_cast<size_t>(atoi(argv[1])) : 8;
	setting s = {};

	if (argc > 2)
		nr_samples = static_cast<unsigned int>(atoi(argv[2]));
	while (gib > 1 && gib * GIB > host_available())
		gib /= 2;
	s.properties = gpu_open();
	if (!host_create(&s.source, gib * GIB) || !host_register(&s.source, 0) ||
	    !host_create(&s.host, static_cast<size_t>(PAGES) * PAGE) || !host_register(&s.host, 0))
		return 1;
	gpu_must(cudaMalloc(&s.from, PAGES * sizeof(*s.from)), "device memory");
	gpu_must(cudaMalloc(&s.to, static_cast<size_t>(PAGES) * PAGE), "device memory");
	gpu_must(cudaMalloc(&s.wrong, sizeof(*s.wrong)), "device memory");
	for (auto &stream : s.streams)
		gpu_must(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "stream");
	measure_limit(&s);
	for (uint32_t run : runs) {
		measure_all(&s, run, false);
		measure_all(&s, run, true);
	}
	bench_end();
	host_destroy(&s.source);
	host_destroy(&s.host);
	return 0;
}
