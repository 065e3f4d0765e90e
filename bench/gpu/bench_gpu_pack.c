// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packing by a device and by CPUs: the operations that make an image smaller, on pages of which a
 * quarter is zero, half can be compressed and a quarter can't. Output is discarded: all back ends
 * have to read every page and to hand over what is left.
 *
 * usage: bench_gpu_pack [--device NAME] [--gib N] [--samples N] [--zero-copy GB/S]
 */
#include "engine.h"

struct way {
	const char *name;
	uint32_t ops;
	uint32_t block_pages;
	bool hashes, parent, duplicates;
};

static const struct way ways[] = {
	{"zero", OVM_PACK_DROP_ZERO, 1, false, false, false},
	{"hash", OVM_PACK_DROP_ZERO, 1, true, false, false},
	{"unchanged", OVM_PACK_DROP_ZERO | OVM_PACK_DROP_UNCHANGED, 1, true, true, false},
	{"duplicates", OVM_PACK_DROP_ZERO, 1, true, false, true},
	{"lz4", OVM_PACK_LZ4, 1, false, false, false},
	{"lz4", OVM_PACK_LZ4, 16, false, false, false},
	{"lz4", OVM_PACK_LZ4, 64, false, false, false},
	{"all", OVM_PACK_ALL, 64, true, true, false},
};

struct setting {
	const struct bench_options *options;
	struct bench_engine engines[MAX_ENGINES];
	unsigned int nr_engines;
	struct guest guest;
	uint64_t nr_pages;
	struct ovm_page_sink *sink;
	/* Of the pages as they are, but for every fourth. */
	struct ovm_page_hashes *parent;
};

/* What the fastest CPU took, and how much CPU time the thriftiest. */
struct baseline {
	double seconds, cpu;
};

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Pointers and small numbers, as heaps have them; or anything. */
static void fill_page(uint64_t *words, uint64_t number)
{
	uint64_t state = number * UINT64_C(0x9e3779b97f4a7c15) + 1;

	for (unsigned int i = 0; i < OVM_PAGE_SIZE / 8; i++) {
		uint64_t x = next_random(&state);

		if (number % 4 == 0)
			words[i] = 0;
		else if (number % 4 == 3)
			words[i] = x;
		else
			words[i] = x % 3 ? x & 0xff : 0x7f0000000000 + (x & 0xffff8);
	}
}

static void fill_part(void *arg, unsigned int part, unsigned int parts)
{
	struct setting *s = arg;
	uint64_t end = s->nr_pages * (part + 1) / parts;

	for (uint64_t page = s->nr_pages * part / parts; page < end; page++)
		fill_page(guest_words(&s->guest, FRAMES_AT + (page << OVM_PAGE_SHIFT)), page);
}

/* Pack once; returns the bytes of output. */
static uint64_t run(const struct setting *s, struct ovm_engine *engine, const struct way *way,
		    struct ovm_page_hashes *hashes)
{
	const struct ovm_copy_run copy = {FRAMES_AT, s->nr_pages, 0};
	const struct ovm_pack_extent extent = {s->nr_pages, way->parent ? 0 : OVM_PACK_NO_PARENT,
					       way->ops, 0};
	const struct ovm_pack_request request = {
		.size = sizeof(request),
		.copies = &copy,
		.nr_copies = 1,
		.extents = &extent,
		.nr_extents = 1,
		.sink = s->sink,
		.block_pages = way->block_pages,
		.find_duplicates = way->duplicates,
		.parent = way->parent ? s->parent : NULL,
		.hashes = hashes,
	};
	struct ovm_pack_result *result;
	uint64_t bytes;

	bench_must(ovm_engine_pack(engine, &request, &result));
	bytes = result->bytes;
	ovm_pack_result_free(result);
	return bytes;
}

static void report(const struct setting *s, const struct bench_engine *engine,
		   const struct way *way, const struct bench_samples *samples, uint64_t out,
		   const struct baseline *cpu)
{
	double bytes = (double)(s->nr_pages << OVM_PAGE_SHIFT);
	double gb_per_s = bytes / bench_median(samples) / 1e9;
	double cpu_ratio = samples->best_cpu / (cpu->cpu ? cpu->cpu : samples->best_cpu);

	bench_begin("pack");
	bench_who(engine);
	bench_text("way", way->name);
	bench_number("block_pages", way->block_pages);
	bench_number("gib", bytes / (1 << 30));
	bench_number("gb_per_s", gb_per_s);
	bench_number("gb_per_cpu_s", bytes / samples->best_cpu / 1e9);
	bench_number("shrinks_to", (double)out / bytes);
	if (engine->nr_threads == 0) {
		if (s->options->zero_copy)
			bench_number("ratio_to_zero_copy", gb_per_s / s->options->zero_copy);
		bench_number("speed_to_best_cpu", cpu->seconds / bench_median(samples));
		bench_number("cpu_time_to_cpu", cpu_ratio);
		bench_text("target_cpu_time_0_1", cpu_ratio < 0.1 ? "met" : "missed");
	}
	bench_times(samples);
}

static void measure(const struct setting *s, const struct bench_engine *engine,
		    const struct way *way, struct baseline *cpu)
{
	struct bench_samples samples = {.nr = 0};
	struct ovm_page_hashes *hashes = NULL;
	uint64_t out = 0;

	if (way->hashes)
		bench_must(ovm_page_hashes_create(s->parent, s->nr_pages, &hashes));
	/* What a device needs is allocated when it is used for the first time. */
	if (engine->nr_threads == 0)
		run(s, engine->engine, way, hashes);
	for (unsigned int i = 0; i < s->options->samples; i++) {
		struct bench_start start = bench_begin_sample();

		out = run(s, engine->engine, way, hashes);
		bench_end_sample(&samples, &start);
	}
	ovm_page_hashes_free(hashes);
	report(s, engine, way, &samples, out, cpu);
	if (!cpu->seconds || bench_median(&samples) < cpu->seconds)
		cpu->seconds = bench_median(&samples);
	if (!cpu->cpu || samples.best_cpu < cpu->cpu)
		cpu->cpu = samples.best_cpu;
}

static void make_parent(struct setting *s)
{
	struct ovm_engine *engine = s->engines[s->nr_engines - 2].engine;

	bench_must(ovm_page_hashes_create(NULL, s->nr_pages, &s->parent));
	run(s, engine, &ways[1], s->parent);
	for (uint64_t i = 0; i < s->nr_pages; i += 4)
		s->parent->hashes[i + i / 4 % 4].word[0] ^= 1;
}

int main(int argc, char **argv)
{
	struct bench_options options = {.device = "cuda", .gib = 2, .samples = 2};
	struct setting s = {.options = &options};

	if (!bench_parse(argc, argv, &options))
		return 2;
	s.nr_engines = bench_engines(options.device, s.engines);
	if (!s.nr_engines)
		return 77;
	while (options.gib > 1 && (options.gib << 31) > bench_available())
		options.gib /= 2;
	s.nr_pages = options.gib << 18;
	bench_guest(&s.guest, options.gib);
	bench_in_parallel(fill_part, &s, 0);
	bench_must(ovm_page_sink_create_discard(&s.sink));
	bench_attach(s.engines, s.nr_engines, &s.guest, (double)options.gib);
	/* Which are better left to the CPU is what is to be found out. */
	test_engine_any_block(s.engines[s.nr_engines - 1].engine);
	make_parent(&s);
	for (unsigned int i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		struct baseline cpu = {0};

		for (unsigned int j = 0; j < s.nr_engines; j++)
			measure(&s, &s.engines[j], &ways[i], &cpu);
	}
	ovm_page_sink_destroy(s.sink);
	ovm_page_hashes_free(s.parent);
	bench_engines_destroy(s.engines, s.nr_engines);
	guest_destroy(&s.guest);
	bench_end();
	return 0;
}
