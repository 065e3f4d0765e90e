/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What benchmarks share. A benchmark is a program that prints one JSON array of
 * measurements, each an object; bench/run merges those of all programs.
 */
#ifndef OVM_BENCH_BENCH_H
#define OVM_BENCH_BENCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "vmi/error.h"

enum {
	BENCH_MAX_SAMPLES = 64,
};

/** Times of one measurement, in seconds. */
struct bench_samples {
	double seconds[BENCH_MAX_SAMPLES];
	unsigned int nr;
	/** Least CPU time of all threads; 0: not measured. */
	double best_cpu;
};

/** When a sample began. */
struct bench_start {
	double wall;
	double cpu;
};

static inline double bench_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static inline void bench_add(struct bench_samples *samples, double seconds)
{
	if (samples->nr < BENCH_MAX_SAMPLES)
		samples->seconds[samples->nr++] = seconds;
}

/** CPU time of all threads of this process, in user space and in the kernel. */
static inline double bench_cpu_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static inline struct bench_start bench_begin_sample(void)
{
	return (struct bench_start){.wall = bench_now(), .cpu = bench_cpu_now()};
}

/** Add a sample with its CPU time, which other load on the machine disturbs less. */
static inline void bench_end_sample(struct bench_samples *samples, const struct bench_start *start)
{
	double cpu = bench_cpu_now() - start->cpu;

	bench_add(samples, bench_now() - start->wall);
	if (!samples->best_cpu || cpu < samples->best_cpu)
		samples->best_cpu = cpu;
}

static inline int bench_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static inline double bench_median(const struct bench_samples *samples)
{
	struct bench_samples sorted = *samples;

	if (!sorted.nr)
		return 0;
	qsort(sorted.seconds, sorted.nr, sizeof(sorted.seconds[0]), bench_compare);
	return sorted.seconds[sorted.nr / 2];
}

static inline double bench_best(const struct bench_samples *samples)
{
	double best = samples->nr ? samples->seconds[0] : 0;

	for (unsigned int i = 1; i < samples->nr; i++) {
		if (samples->seconds[i] < best)
			best = samples->seconds[i];
	}
	return best;
}

/** End the program with a message if there was an error. */
static inline void bench_must(struct ovm_error *err)
{
	if (!err)
		return;
	fprintf(stderr, "%s\n", err->message);
	exit(1);
}

/** Begin an object of the array; @first is true for the first one. */
static inline void bench_begin(const char *name)
{
	static unsigned int nr;

	printf("%s{\"name\": \"%s\"", nr++ ? ",\n" : "[\n", name);
}

static inline void bench_text(const char *key, const char *value)
{
	printf(", \"%s\": \"%s\"", key, value);
}

static inline void bench_number(const char *key, double value)
{
	printf(", \"%s\": %.10g", key, value);
}

static inline void bench_times(const struct bench_samples *samples)
{
	bench_number("best_s", bench_best(samples));
	bench_number("median_s", bench_median(samples));
	if (samples->best_cpu)
		bench_number("best_cpu_s", samples->best_cpu);
	printf(", \"samples\": %u}", samples->nr);
	fflush(stdout);
}

static inline void bench_end(void)
{
	printf("\n]\n");
}

#endif /* OVM_BENCH_BENCH_H */
