// SPDX-License-Identifier: GPL-2.0-only
/*
 * Cost of the page engine's walk: as a function of mapped pages, of the number of VMAs, of
 * threads, and of whether pages are told apart by their descriptors.
 *
 * usage: bench_walk [SAMPLES]
 */
#include "bench.h"
#include "tests/unit/test_engine_guest.h"

enum {
	MIB = 1 << 20,
	/* Page frames that are mapped, above the tables. */
	FRAMES_AT = 256 * MIB,
	FRAMES = 1 << 20,
};

#define VA_BASE UINT64_C(0x550000000000)

static unsigned int nr_samples = 7;

static uint64_t ram_size(void)
{
	return FRAMES_AT + ((uint64_t)FRAMES << 12) + 128 * MIB;
}

/* The frame of page @i: the next one, or a pseudo-random one. */
static uint64_t frame(uint64_t i, bool scattered)
{
	/* An odd multiplier permutes the numbers below a power of two. */
	uint64_t number = scattered ? i * 0x9e3779b1 % FRAMES : i % FRAMES;

	return FRAMES_AT + (number << 12);
}

/* Map @pages in VMAs of equal size, each followed by an unmapped page. */
static struct ovm_walk_range *map_vmas(struct guest *guest, uint64_t pages, uint64_t vmas,
				       bool scattered)
{
	struct ovm_walk_range *ranges = calloc(vmas, sizeof(*ranges));
	uint64_t va = VA_BASE, page = 0;

	for (uint64_t i = 0; i < vmas; i++) {
		uint64_t end = pages * (i + 1) / vmas;

		ranges[i].start = va;
		for (; page < end; page++, va += OVM_PAGE_SIZE)
			guest_map(guest, va, 1, frame(page, scattered));
		ranges[i].end = va;
		va += OVM_PAGE_SIZE;
	}
	return ranges;
}

static void unmap_all(struct guest *guest)
{
	memset(guest_words(guest, guest->pgd), 0, OVM_PAGE_SIZE);
	guest->next_table = guest->kernel_pgd + 16 * OVM_PAGE_SIZE;
}

struct setting {
	uint64_t pages;
	uint64_t vmas;
	bool scattered;
	bool classify;
	unsigned int nr_threads;
};

static void report(const struct setting *s, const struct bench_samples *samples, size_t runs)
{
	bench_begin("walk");
	bench_number("pages", (double)s->pages);
	bench_number("vmas", (double)s->vmas);
	bench_text("frames", s->scattered ? "scattered" : "contiguous");
	bench_text("classify", s->classify ? "by descriptor" : "not needed");
	bench_number("threads", s->nr_threads);
	bench_number("runs", (double)runs);
	bench_number("ptes_per_s", (double)s->pages / bench_median(samples));
	bench_times(samples);
}

static void measure(struct guest *guest, const struct ovm_walk_range *ranges,
		    const struct setting *s)
{
	struct ovm_walk_request request = guest_request(guest, ranges, s->vmas);
	struct bench_samples samples = {.nr = 0};
	struct ovm_walk_result *result = NULL;
	struct ovm_engine *engine;

	if (!s->classify)
		request.page = NULL;
	bench_must(guest_engine(guest, s->nr_threads, &engine));
	/* One walk more, so that the tables are mapped into this process. */
	for (unsigned int i = 0; i <= nr_samples; i++) {
		ovm_walk_result_free(result);

		double start = bench_now();

		bench_must(ovm_engine_walk(engine, &request, &result));
		if (i)
			bench_add(&samples, bench_now() - start);
	}
	if (result->pages[OVM_PAGE_ANON] + result->pages[OVM_PAGE_MAPPED] != s->pages)
		bench_must(ovm_error_format(OVM_ERROR_CORRUPT, "walk: wrong number of pages"));
	report(s, &samples, result->nr_runs);
	ovm_walk_result_free(result);
	ovm_engine_destroy(engine);
}

static void measure_threads(struct guest *guest, struct setting s)
{
	struct ovm_walk_range *ranges = map_vmas(guest, s.pages, s.vmas, s.scattered);

	for (s.nr_threads = 1; s.nr_threads <= 2; s.nr_threads++) {
		for (int classify = 0; classify < 2; classify++) {
			s.classify = classify;
			measure(guest, ranges, &s);
		}
	}
	free(ranges);
	unmap_all(guest);
}

int main(int argc, char **argv)
{
	static const uint64_t pages[] = {1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22};
	static const uint64_t vmas[] = {10, 100, 1000, 10000, 100000};
	struct guest guest;

	if (argc > 1)
		nr_samples = (unsigned int)atoi(argv[1]);
	bench_must(guest_create(&guest, ram_size(), 4, OVM_RAM_MAPPED, 2));
	for (uint64_t i = 0; i < FRAMES; i++)
		guest_set_anon(&guest, frame(i, false), true);
	for (unsigned int i = 0; i < 5; i++) {
		measure_threads(&guest, (struct setting){.pages = pages[i], .vmas = 1});
		measure_threads(&guest,
				(struct setting){.pages = pages[i], .vmas = 1, .scattered = true});
	}
	for (unsigned int i = 0; i < 5; i++)
		measure_threads(&guest, (struct setting){.pages = 1 << 18, .vmas = vmas[i]});
	bench_end();
	guest_destroy(&guest);
	return 0;
}
