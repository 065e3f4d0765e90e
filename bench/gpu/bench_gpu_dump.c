// SPDX-License-Identifier: GPL-2.0-only
/*
 * From page tables to pages in a sink, by a device and by CPUs, with the CPU time that each takes.
 *
 * Sinks: a new file on tmpfs; one that reads all it is given, as sending it would; one that
 * does nothing, for which CPUs have nothing to copy: it only shows what the device's way costs.
 *
 * With the figures of the link that other benchmarks have measured in the same run (see
 * bench/gpu-check), says what of them is reached.
 *
 * usage: bench_gpu_dump [--device NAME] [--gib N] [--samples N] [--zero-copy GB/S] [--gather GB/S]
 *                       [--both-ways GB/S]
 */
#include "engine.h"

enum sink_kind {
	SINK_FILE,
	SINK_READ,
	SINK_DISCARD,
	NR_SINKS,
};

static const char *const sink_names[] = {"tmpfs", "read", "discard"};

struct setting {
	const struct bench_options *options;
	struct bench_engine engines[MAX_ENGINES];
	unsigned int nr_engines;
	struct guest guest;
	struct bench_mapping mapping;
	/* GB/s of each sink, fed from a buffer; 0: no limit. */
	double sink_limit[NR_SINKS];
};

/* What the fastest CPU took, and how much CPU time the thriftiest. */
struct baseline {
	double seconds, cpu;
};

static double bytes_of(const struct setting *s)
{
	return (double)(s->mapping.pages << OVM_PAGE_SHIFT);
}

/* ---- sinks ----------------------------------------------------------------------------------- */

static struct ovm_error *read_all(void *arg, const struct iovec *iov, int nr, uint64_t offset)
{
	uint64_t sum = offset;

	for (int i = 0; i < nr; i++) {
		const uint64_t *words = iov[i].iov_base;

		for (size_t j = 0; j < iov[i].iov_len / 8; j++)
			sum ^= words[j];
	}
	/* Known to nobody, and so not left out. */
	__atomic_fetch_xor((uint64_t *)arg, sum, __ATOMIC_RELAXED);
	return NULL;
}

static int make_sink(enum sink_kind kind, struct ovm_page_sink **ret)
{
	static uint64_t sum;
	int fd = -1;

	if (kind == SINK_FILE) {
		fd = memfd_create("pages", MFD_CLOEXEC);
		bench_must(ovm_page_sink_create_file(fd, 0, "pages", ret));
	} else if (kind == SINK_READ) {
		bench_must(ovm_page_sink_create(read_all, &sum, ret));
	} else {
		bench_must(ovm_page_sink_create_discard(ret));
	}
	return fd;
}

enum {
	FEED = 2 * MIB,
	FEED_TOTAL = 2048,
};

struct feed {
	struct ovm_page_sink *sink;
	int fd;
	uint64_t sum;
};

/* Write this part of FEED_TOTAL MiB from a buffer that stays in the cache. */
static void feed_part(void *arg, unsigned int part, unsigned int parts)
{
	struct feed *feed = arg;
	uint64_t nr = FEED_TOTAL / 2 / parts;
	uint8_t *buffer = malloc(FEED);

	memset(buffer, (int)part + 1, FEED);
	for (uint64_t i = 0; i < nr; i++) {
		uint64_t offset = (part * nr + i) * FEED;
		struct iovec iov = {buffer, FEED};

		if (feed->fd < 0)
			bench_must(read_all(&feed->sum, &iov, 1, offset));
		else if (pwrite(feed->fd, buffer, FEED, (off_t)offset) != FEED)
			bench_must(ovm_error_format(OVM_ERROR_OUTPUT, "can't write to tmpfs"));
	}
	free(buffer);
}

/* How fast a sink takes pages, with as many threads as suit it. */
static void measure_sink(struct setting *s, enum sink_kind kind)
{
	unsigned int best_threads = 0;
	struct bench_samples best = {.nr = 0};

	for (unsigned int threads = 1; threads <= MAX_THREADS; threads *= 4) {
		struct bench_samples samples = {.nr = 0};

		for (unsigned int i = 0; i < 2; i++) {
			struct feed feed = {.fd = -1};

			if (kind == SINK_FILE)
				feed.fd = memfd_create("pages", MFD_CLOEXEC);

			struct bench_start start = bench_begin_sample();

			bench_in_parallel(feed_part, &feed, threads);
			bench_end_sample(&samples, &start);
			if (feed.fd >= 0)
				close(feed.fd);
		}
		if (!best_threads || bench_best(&samples) < bench_best(&best)) {
			best = samples;
			best_threads = threads;
		}
	}
	s->sink_limit[kind] = (double)FEED_TOTAL * MIB / bench_best(&best) / 1e9;
	bench_begin("sink");
	bench_text("sink", sink_names[kind]);
	bench_number("threads", best_threads);
	bench_number("gb_per_s", s->sink_limit[kind]);
	bench_times(&best);
}

/* ---- dumps ----------------------------------------------------------------------------------- */

static void dump(struct ovm_engine *engine, const struct setting *s, struct ovm_page_sink *sink)
{
	struct ovm_copy_request copy = {.size = sizeof(copy), .sink = sink};
	struct ovm_walk_result *result;
	struct ovm_page_list *list;

	bench_must(ovm_engine_walk(engine, s->mapping.requests, &result));
	bench_must(ovm_page_list_create(result->runs, result->nr_runs, OVM_PAGE_KINDS_RAM, &list));
	if (list->nr_pages != s->mapping.pages)
		bench_must(ovm_error_format(OVM_ERROR_CORRUPT, "walk: wrong number of pages"));
	copy.copies = list->copies;
	copy.nr_copies = list->nr_copies;
	bench_must(ovm_engine_copy(engine, &copy));
	ovm_page_list_free(list);
	ovm_walk_result_free(result);
}

/* Of the limits that are known, the one that holds this dump up. */
static double limit_of(const struct setting *s, enum sink_kind kind)
{
	double limit = s->options->both_ways, sink = s->sink_limit[kind];

	return sink && (!limit || sink < limit) ? sink : limit;
}

static void report_targets(const struct setting *s, enum sink_kind kind, double gb_per_s,
			   const struct bench_samples *samples, const struct baseline *cpu)
{
	double limit = limit_of(s, kind), cpu_ratio = samples->best_cpu / cpu->cpu;

	if (s->options->zero_copy)
		bench_number("ratio_to_zero_copy", gb_per_s / s->options->zero_copy);
	if (limit) {
		bench_number("ratio_to_limit", gb_per_s / limit);
		bench_text("target_0_9_of_limit", gb_per_s / limit >= 0.9 ? "met" : "missed");
	}
	bench_number("speed_to_best_cpu", cpu->seconds / bench_median(samples));
	bench_number("cpu_time_to_cpu", cpu_ratio);
	if (kind != SINK_DISCARD)
		bench_text("target_cpu_time_0_1", cpu_ratio < 0.1 ? "met" : "missed");
}

static void measure_dump(const struct setting *s, const struct bench_engine *engine,
			 enum sink_kind kind, struct baseline *cpu)
{
	struct bench_samples samples = {.nr = 0};
	double gb_per_s;

	for (unsigned int i = 0; i <= s->options->samples; i++) {
		struct ovm_page_sink *sink;
		int fd = make_sink(kind, &sink);
		struct bench_start start = bench_begin_sample();

		dump(engine->engine, s, sink);
		if (i)
			bench_end_sample(&samples, &start);
		ovm_page_sink_destroy(sink);
		if (fd >= 0)
			close(fd);
	}
	gb_per_s = bytes_of(s) / bench_median(&samples) / 1e9;
	bench_begin("dump");
	bench_who(engine);
	bench_text("sink", sink_names[kind]);
	bench_number("gib", bytes_of(s) / (1 << 30));
	bench_number("run_pages", (double)s->mapping.run);
	bench_number("gb_per_s", gb_per_s);
	bench_number("cpu_s_per_gib", samples.best_cpu / (bytes_of(s) / (1 << 30)));
	if (engine->nr_threads == 0)
		report_targets(s, kind, gb_per_s, &samples, cpu);
	bench_times(&samples);
	if (!cpu->seconds || bench_median(&samples) < cpu->seconds)
		cpu->seconds = bench_median(&samples);
	if (!cpu->cpu || samples.best_cpu < cpu->cpu)
		cpu->cpu = samples.best_cpu;
}

/*
 * The walk, and then the gather at the speed that another benchmark has measured for the engine's
 * kernel: what the device does before pages are on their way back.
 */
static void report_walk_and_gather(const struct setting *s)
{
	const struct bench_engine *engine = &s->engines[s->nr_engines - 1];
	struct bench_samples samples = {.nr = 0};
	double gb_per_s, gather = s->options->gather * 1e9;

	if (!gather || !s->options->zero_copy || s->mapping.run != 1)
		return;
	for (unsigned int i = 0; i <= s->options->samples; i++) {
		struct bench_start start = bench_begin_sample();
		struct ovm_walk_result *result;

		bench_must(ovm_engine_walk(engine->engine, s->mapping.requests, &result));
		if (i)
			bench_end_sample(&samples, &start);
		ovm_walk_result_free(result);
	}
	gb_per_s = bytes_of(s) / (bench_median(&samples) + bytes_of(s) / gather) / 1e9;
	bench_begin("walk_and_gather");
	bench_who(engine);
	bench_number("run_pages", (double)s->mapping.run);
	bench_number("gb_per_s", gb_per_s);
	bench_number("ratio_to_zero_copy", gb_per_s / s->options->zero_copy);
	bench_text("target_0_85_of_zero_copy",
		   gb_per_s / s->options->zero_copy >= 0.85 ? "met" : "missed");
	bench_times(&samples);
}

static void measure(struct setting *s)
{
	for (unsigned int kind = 0; kind < NR_SINKS; kind++) {
		struct baseline cpu = {0};

		for (unsigned int i = 0; i < s->nr_engines; i++)
			measure_dump(s, &s->engines[i], (enum sink_kind)kind, &cpu);
	}
	report_walk_and_gather(s);
}

/* Give the frames data. */
static void fill_part(void *arg, unsigned int part, unsigned int parts)
{
	const struct setting *s = arg;
	uint64_t end = s->mapping.pages * (part + 1) / parts;

	for (uint64_t page = s->mapping.pages * part / parts; page < end; page++)
		memset(s->guest.ram + FRAMES_AT + (page << OVM_PAGE_SHIFT), (int)page | 1,
		       OVM_PAGE_SIZE);
}

int main(int argc, char **argv)
{
	static const uint64_t runs[] = {512, 16, 1};
	struct bench_options options = {.device = "cuda", .gib = 8, .samples = 2};
	struct setting s = {.options = &options};

	if (!bench_parse(argc, argv, &options))
		return 2;
	s.nr_engines = bench_engines(options.device, s.engines);
	if (!s.nr_engines)
		return 77;
	/* Once in the guest, once in the sink; a power of two. */
	while (options.gib > 1 && (options.gib << 31) > bench_available())
		options.gib /= 2;
	measure_sink(&s, SINK_FILE);
	measure_sink(&s, SINK_READ);
	bench_guest(&s.guest, options.gib);
	s.mapping = (struct bench_mapping){
		.guest = &s.guest,
		.pages = options.gib << 18,
		.nr_processes = 1,
	};
	bench_in_parallel(fill_part, &s, 0);
	for (unsigned int i = 0; i < sizeof(runs) / sizeof(*runs); i++) {
		s.mapping.run = runs[i];
		bench_map(&s.mapping);
		if (!i)
			bench_attach(s.engines, s.nr_engines, &s.guest, (double)options.gib);
		measure(&s);
		bench_unmap(&s.mapping);
	}
	bench_engines_destroy(s.engines, s.nr_engines);
	guest_destroy(&s.guest);
	bench_end();
	return 0;
}
