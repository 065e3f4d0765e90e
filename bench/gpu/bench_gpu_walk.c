// SPDX-License-Identifier: GPL-2.0-only
/*
 * Walks on a device and on CPUs: by what is mapped, in order or not, by one process and by 256. The
 * frames have no data: a walk needs only tables and page descriptors.
 *
 * usage: bench_gpu_walk [--device NAME] [--gib MAX] [--samples N]
 */
#include "engine.h"

struct setting {
	const struct bench_options *options;
	struct bench_engine engines[MAX_ENGINES];
	unsigned int nr_engines;
	struct bench_mapping mapping;
	uint64_t gib;
	bool classify;
};

static void walk(struct ovm_engine *engine, const struct setting *s, uint64_t *runs)
{
	const struct bench_mapping *mapping = &s->mapping;
	struct ovm_walk_result **results = calloc(mapping->nr_processes, sizeof(*results));
	uint64_t pages = 0;

	*runs = 0;
	bench_must(ovm_engine_walk_batch(engine, mapping->requests, mapping->nr_processes, results,
					 NULL));
	for (size_t i = 0; i < mapping->nr_processes; i++) {
		*runs += results[i]->nr_runs;
		pages += results[i]->pages[OVM_PAGE_ANON];
		ovm_walk_result_free(results[i]);
	}
	free(results);
	if (pages != mapping->pages)
		bench_must(ovm_error_format(OVM_ERROR_CORRUPT, "walk: wrong number of pages"));
}

/* Returns the median. */
static double measure_engine(const struct setting *s, const struct bench_engine *engine,
			     double best_cpu)
{
	struct bench_samples samples = {.nr = 0};
	uint64_t runs = 0;

	/* One walk more, so that the tables are mapped into this process. */
	for (unsigned int i = 0; i <= s->options->samples; i++) {
		struct bench_start start = bench_begin_sample();

		walk(engine->engine, s, &runs);
		if (i)
			bench_end_sample(&samples, &start);
	}
	bench_begin("walk");
	bench_who(engine);
	bench_number("gib", (double)s->gib);
	bench_number("processes", (double)s->mapping.nr_processes);
	bench_text("frames", s->mapping.run == 1 ? "scattered" : "contiguous");
	bench_text("classify", s->classify ? "by descriptor" : "not needed");
	bench_number("runs", (double)runs);
	bench_number("ptes_per_s", (double)s->mapping.pages / bench_median(&samples));
	if (engine->nr_threads == 0)
		bench_number("speed_to_best_cpu", best_cpu / bench_median(&samples));
	bench_times(&samples);
	return bench_median(&samples);
}

static void measure(struct setting *s)
{
	double best = 0;

	for (size_t i = 0; i < s->mapping.nr_processes; i++)
		s->mapping.ranges[i].flags = s->classify ? 0 : OVM_RANGE_ANON;
	for (unsigned int i = 0; i < s->nr_engines; i++) {
		double seconds = measure_engine(s, &s->engines[i], best);

		if (!best || seconds < best)
			best = seconds;
	}
}

static void measure_size(struct setting *s, struct guest *guest)
{
	static const size_t processes[] = {1, 256};

	for (unsigned int scattered = 0; scattered < 2; scattered++) {
		for (unsigned int i = 0; i < 2; i++) {
			s->mapping = (struct bench_mapping){
				.guest = guest,
				.pages = s->gib << 18,
				.run = scattered ? 1 : s->gib << 18,
				.nr_processes = processes[i],
			};
			bench_map(&s->mapping);
			s->classify = true;
			/* Tables have moved; what has data, too. */
			if (!scattered && !i)
				bench_attach(s->engines, s->nr_engines, guest,
					     (double)s->gib * 9 / 512);
			measure(s);
			s->classify = false;
			if (s->gib == 16 && !i)
				measure(s);
			bench_unmap(&s->mapping);
		}
	}
}

int main(int argc, char **argv)
{
	static const uint64_t sizes[] = {1, 16, 64};
	struct bench_options options = {.device = "cuda", .gib = 64, .samples = 3};
	struct setting s = {.options = &options};

	if (!bench_parse(argc, argv, &options))
		return 2;
	s.nr_engines = bench_engines(options.device, s.engines);
	if (!s.nr_engines)
		return 77;
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct guest guest;

		s.gib = sizes[i];
		/* Tables and descriptors take a sixtieth, runs of single pages a hundredth. */
		if (s.gib > options.gib || (s.gib << 30) / 20 > bench_available())
			break;
		bench_guest(&guest, s.gib);
		measure_size(&s, &guest);
		guest_destroy(&guest);
	}
	bench_engines_destroy(s.engines, s.nr_engines);
	bench_end();
	return 0;
}
