/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What benchmarks of whole back ends share: options, engines of all kinds, and a guest whose pages
 * are mapped as is asked for.
 */
#ifndef OVM_BENCH_GPU_ENGINE_H
#define OVM_BENCH_GPU_ENGINE_H

#include <getopt.h>
#include <pthread.h>

#include "bench/bench.h"
#include "tests/backends/backend.h"
#include "tests/unit/test_engine_guest.h"

enum {
	MIB = 1 << 20,
	/* Frames that are mapped, above the tables. */
	FRAMES_AT = 256 * MIB,
	MAX_THREADS = 16,
	MAX_ENGINES = 4,
};

#define VA_BASE UINT64_C(0x550000000000)

struct bench_options {
	const char *device;
	/** Most GiB of a guest, and how many samples. */
	uint64_t gib;
	unsigned int samples;
	/** Figures of the link, in GB/s, by which others are judged; 0: not known. */
	double zero_copy, gather, both_ways;
};

static inline bool bench_parse(int argc, char **argv, struct bench_options *options)
{
	static const struct option names[] = {
		{"device", required_argument, NULL, 'd'},
		{"gib", required_argument, NULL, 'g'},
		{"samples", required_argument, NULL, 's'},
		{"zero-copy", required_argument, NULL, 'z'},
		{"gather", required_argument, NULL, 'a'},
		{"both-ways", required_argument, NULL, 'b'},
		{NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 'd':
			options->device = optarg;
			break;
		case 'g':
			options->gib = strtoull(optarg, NULL, 0);
			break;
		case 's':
			options->samples = (unsigned int)atoi(optarg);
			break;
		case 'z':
			options->zero_copy = atof(optarg);
			break;
		case 'a':
			options->gather = atof(optarg);
			break;
		case 'b':
			options->both_ways = atof(optarg);
			break;
		default:
			fprintf(stderr,
				"usage: %s [--device NAME] [--gib N] [--samples N] "
				"[--zero-copy GB/S] [--gather GB/S] [--both-ways GB/S]\n",
				argv[0]);
			return false;
		}
	}
	return true;
}

/** An engine, and what it is called in reports. */
struct bench_engine {
	struct ovm_engine *engine;
	const char *device;
	unsigned int nr_threads;
};

/**
 * The CPU with 1, 4 and 16 threads, as far as there are CPUs, and the device. Returns how many; 0
 * if there is no device.
 */
static inline unsigned int bench_engines(const char *device, struct bench_engine *engines)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned int nr = 0;
	struct ovm_error *err;

	for (unsigned int threads = 1; threads <= MAX_THREADS; threads *= 4) {
		if (threads > 1 && threads > cpus)
			break;
		engines[nr].device = "cpu";
		engines[nr].nr_threads = threads;
		bench_must(test_engine_create("cpu", threads, &engines[nr].engine));
		nr++;
	}
	engines[nr].device = device;
	engines[nr].nr_threads = 0;
	err = test_engine_create(device, 0, &engines[nr].engine);
	if (err) {
		fprintf(stderr, "%s\n", err->message);
		ovm_error_free(err);
		return 0;
	}
	return nr + 1;
}

static inline void bench_engines_destroy(struct bench_engine *engines, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		ovm_engine_destroy(engines[i].engine);
}

/** How much of the guest a device reads in place. */
static inline void bench_device_ram(const struct ovm_engine *engine)
{
	struct ovm_engine_device_stats stats;

	ovm_engine_device_stats(engine, &stats);
	bench_number("mapped_bytes", (double)stats.mapped);
	bench_number("staged_bytes", (double)stats.staged);
	bench_number("mapped_pieces", (double)stats.nr_pieces);
	if (stats.reason)
		bench_text("staged_because", stats.reason);
}

/** Attach all, and tell what that takes. */
static inline void bench_attach(const struct bench_engine *engines, unsigned int nr,
				const struct guest *guest, double data_gib)
{
	for (unsigned int i = 0; i < nr; i++) {
		struct bench_samples samples = {.nr = 0};
		struct bench_start start = bench_begin_sample();

		bench_must(ovm_engine_attach(engines[i].engine, guest->memory));
		bench_end_sample(&samples, &start);
		bench_begin("attach");
		bench_text("device", engines[i].device);
		bench_number("threads", engines[i].nr_threads);
		bench_number("data_gib", data_gib);
		bench_number("ms_per_gib", data_gib ? samples.seconds[0] * 1e3 / data_gib : 0);
		bench_device_ram(engines[i].engine);
		bench_times(&samples);
	}
}

/** The name of a device, the number of its threads, and what it sees. */
static inline void bench_who(const struct bench_engine *engine)
{
	bench_text("device", engine->device);
	bench_number("threads", engine->nr_threads);
	if (engine->nr_threads == 0)
		bench_device_ram(engine->engine);
}

/** Part @part of @parts of something; see bench_in_parallel(). */
typedef void bench_part_fn(void *arg, unsigned int part, unsigned int parts);

struct bench_part {
	bench_part_fn *work;
	void *arg;
	unsigned int part, parts;
};

static inline void *bench_run_part(void *arg)
{
	const struct bench_part *part = arg;

	part->work(part->arg, part->part, part->parts);
	return NULL;
}

/** Do work on @nr threads; 0: on as many as there are CPUs, up to 16. */
static inline void bench_in_parallel(bench_part_fn *work, void *arg, unsigned int nr)
{
	struct bench_part parts[MAX_THREADS];
	pthread_t threads[MAX_THREADS];
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (!nr)
		nr = cpus < 1 ? 1 : (unsigned int)cpus;
	if (nr > MAX_THREADS)
		nr = MAX_THREADS;
	for (unsigned int i = 0; i < nr; i++) {
		parts[i] = (struct bench_part){work, arg, i, nr};
		if (pthread_create(&threads[i], NULL, bench_run_part, &parts[i]))
			bench_must(ovm_error_no_memory());
	}
	for (unsigned int i = 0; i < nr; i++)
		pthread_join(threads[i], NULL);
}

/* Make part of the frames anonymous. */
static inline void bench_describe(void *arg, unsigned int part, unsigned int parts)
{
	struct guest *guest = arg;
	uint64_t pages = guest->size >> OVM_PAGE_SHIFT, end = pages * (part + 1) / parts;

	for (uint64_t page = pages * part / parts; page < end; page++)
		guest_set_anon(guest, page << OVM_PAGE_SHIFT, true);
}

/** A guest with @gib of frames, all of which are described as anonymous; they have no data. */
static inline void bench_guest(struct guest *guest, uint64_t gib)
{
	uint64_t size = FRAMES_AT + (gib << 30);
	/* Room for the descriptors above the frames. */
	uint64_t rest = (size / 60 + 128 * MIB) / (128 * MIB) * (128 * MIB);

	bench_must(guest_create(guest, size + rest, 4, OVM_RAM_MAPPED, 2));
	bench_in_parallel(bench_describe, guest, 0);
}

/** Make the pages of processes: see bench_map(). */
struct bench_mapping {
	struct guest *guest;
	/** Pages in all, a power of two, and pages in a row. */
	uint64_t pages, run;
	/** Processes, each with its share of the pages. */
	size_t nr_processes;
	struct ovm_walk_request *requests;
	struct ovm_walk_range *ranges;
};

/** The frame of page @i: pieces of @run pages are permuted. */
static inline uint64_t bench_frame(const struct bench_mapping *mapping, uint64_t i)
{
	uint64_t pieces = mapping->pages / mapping->run;
	/* An odd multiplier permutes the numbers below a power of two. */
	uint64_t piece = i / mapping->run * UINT64_C(0x9e3779b1) % pieces;

	return FRAMES_AT + ((piece * mapping->run + i % mapping->run) << OVM_PAGE_SHIFT);
}

/* A table at a time: finding each entry from the top would take longer than the benchmark. */
static inline void bench_map_process(struct bench_mapping *mapping, size_t process)
{
	struct guest *guest = mapping->guest;
	uint64_t share = mapping->pages / mapping->nr_processes, first = share * process;
	uint64_t pgd = guest_table(guest);
	uint64_t *entry = NULL;

	for (uint64_t i = 0; i < share; i++) {
		if (i % OVM_TABLE_ENTRIES == 0)
			entry = guest_entry(guest, pgd, VA_BASE + (i << OVM_PAGE_SHIFT), 1);
		entry[i % OVM_TABLE_ENTRIES] = bench_frame(mapping, first + i) | GUEST_PTE;
	}
	mapping->ranges[process] = (struct ovm_walk_range){
		.start = VA_BASE,
		.end = VA_BASE + (share << OVM_PAGE_SHIFT),
	};
	mapping->requests[process] = guest_request(guest, &mapping->ranges[process], 1);
	mapping->requests[process].pgd = pgd;
}

/** Map pages; what was mapped before is not any more. */
static inline void bench_map(struct bench_mapping *mapping)
{
	struct guest *guest = mapping->guest;

	mapping->requests = calloc(mapping->nr_processes, sizeof(*mapping->requests));
	mapping->ranges = calloc(mapping->nr_processes, sizeof(*mapping->ranges));
	if (!mapping->requests || !mapping->ranges)
		bench_must(ovm_error_no_memory());
	/* Behind the kernel's tables. */
	guest->next_table = guest->kernel_pgd + MIB;
	for (size_t i = 0; i < mapping->nr_processes; i++)
		bench_map_process(mapping, i);
}

static inline void bench_unmap(struct bench_mapping *mapping)
{
	free(mapping->requests);
	free(mapping->ranges);
}

/** Bytes of memory that are to be had, with some left for others. */
static inline uint64_t bench_available(void)
{
	unsigned long long kib = 0;
	char line[256];
	FILE *file = fopen("/proc/meminfo", "re");

	if (getenv("OVM_BENCH_MEMORY_GIB"))
		kib = strtoull(getenv("OVM_BENCH_MEMORY_GIB"), NULL, 0) << 20;
	while (!kib && file && fgets(line, sizeof(line), file))
		sscanf(line, "MemAvailable: %llu", &kib);
	if (file)
		fclose(file);
	return kib * 1024 / 10 * 7;
}

#endif /* OVM_BENCH_GPU_ENGINE_H */
