// SPDX-License-Identifier: GPL-2.0-only
/*
 * Throughput of packing, by what is done and what pages hold.
 *
 * Output is discarded, so that nothing but packing is measured. "ratio" is bytes of pages to bytes
 * of output. Pages are of one kind at a time: zeroes, text-like words, pointers and small numbers,
 * or random.
 *
 * usage: bench_pack MIB [SAMPLES]
 */
#include "bench.h"
#include "tests/unit/test_engine_guest.h"

enum {
	MIB = 1 << 20,
	PAGES_AT = 128 * MIB,
};

enum content {
	ZEROES,
	TEXT,
	NUMBERS,
	RANDOM,
	NR_CONTENTS,
};

static const char *const content_names[] = {"zeroes", "text", "numbers", "random"};

struct way {
	const char *name;
	uint32_t ops;
	uint32_t block_pages;
	bool hashes;
	bool parent;
	bool duplicates;
};

static const struct way ways[] = {
	{"copy", 0, 1, false, false, false},
	{"zero", OVM_PACK_DROP_ZERO, 1, false, false, false},
	{"hash", OVM_PACK_DROP_ZERO, 1, true, false, false},
	{"unchanged", OVM_PACK_DROP_ZERO | OVM_PACK_DROP_UNCHANGED, 1, true, true, false},
	{"duplicates", 0, 1, true, false, true},
	{"lz4", OVM_PACK_LZ4, 1, false, false, false},
	{"lz4", OVM_PACK_LZ4, 64, false, false, false},
	{"all", OVM_PACK_ALL, 1, true, true, false},
};

struct setting {
	struct guest guest;
	uint64_t nr_pages;
	enum content content;
	struct ovm_engine *engine;
	struct ovm_page_sink *sink;
	struct ovm_page_hashes *parent;
};

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void fill_text(uint8_t *page, uint64_t *state)
{
	static const char *const words[] = {"page",  "engine", "table ", "of",	"the",	"process",
					    "which", "guest",  "memory", "has", "been", "walked"};
	size_t at = 0;

	while (at < OVM_PAGE_SIZE) {
		const char *word = words[next_random(state) % 12];

		for (; *word && at < OVM_PAGE_SIZE; word++)
			page[at++] = (uint8_t)*word;
		if (at < OVM_PAGE_SIZE)
			page[at++] = ' ';
	}
}

static void fill(struct setting *s)
{
	uint64_t state = 88172645463325252;

	for (uint64_t i = 0; i < s->nr_pages; i++) {
		uint64_t *words = guest_words(&s->guest, PAGES_AT + (i << OVM_PAGE_SHIFT));

		memset(words, 0, OVM_PAGE_SIZE);
		if (s->content == TEXT)
			fill_text((uint8_t *)words, &state);
		for (unsigned int j = 0; s->content >= NUMBERS && j < 512; j++) {
			uint64_t x = next_random(&state);

			if (s->content == RANDOM)
				words[j] = x;
			else
				words[j] = x % 3 ? x & 0xff : 0x7f0000000000 + (x & 0xffff8);
		}
	}
}

/* Pack once; returns the bytes of output. */
static uint64_t run(struct setting *s, const struct way *way, struct ovm_page_hashes *hashes)
{
	const struct ovm_copy_run copy = {PAGES_AT, s->nr_pages, 0};
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

	bench_must(ovm_engine_pack(s->engine, &request, &result));
	bytes = result->bytes;
	ovm_pack_result_free(result);
	return bytes;
}

static void measure(struct setting *s, const struct way *way, unsigned int nr_samples)
{
	struct bench_samples samples = {0};
	struct ovm_page_hashes *hashes = NULL;
	double bytes = (double)(s->nr_pages << OVM_PAGE_SHIFT);
	uint64_t out = 0;

	if (way->hashes)
		bench_must(ovm_page_hashes_create(s->parent, s->nr_pages, &hashes));
	for (unsigned int i = 0; i < nr_samples; i++) {
		struct bench_start start = bench_begin_sample();

		out = run(s, way, hashes);
		bench_end_sample(&samples, &start);
	}
	ovm_page_hashes_free(hashes);
	bench_begin("pack");
	bench_text("way", way->name);
	bench_text("pages", content_names[s->content]);
	bench_number("threads", ovm_engine_nr_threads(s->engine));
	bench_number("block_pages", way->block_pages);
	bench_number("gib", bytes / (1 << 30));
	bench_number("gb_per_s", bytes / bench_median(&samples) / 1e9);
	bench_number("gb_per_cpu_s", bytes / samples.best_cpu / 1e9);
	bench_number("ratio", out ? bytes / (double)out : 0);
	bench_times(&samples);
}

int main(int argc, char **argv)
{
	uint64_t mib = argc > 1 ? (uint64_t)atoi(argv[1]) : 256;
	unsigned int nr_samples = argc > 2 ? (unsigned int)atoi(argv[2]) : 5;
	struct setting s = {.nr_pages = mib << 8};

	/* RAM of the guest comes in pieces of 128 MiB. */
	bench_must(guest_create(&s.guest, PAGES_AT + (mib + 255) / 128 * 128 * MIB, 4,
				OVM_RAM_MAPPED, 2));
	bench_must(guest_engine(&s.guest, 1, &s.engine));
	bench_must(ovm_page_sink_create_discard(&s.sink));
	for (s.content = 0; s.content < NR_CONTENTS; s.content++) {
		fill(&s);
		bench_must(ovm_page_hashes_create(NULL, s.nr_pages, &s.parent));
		run(&s, &ways[2], s.parent);
		for (unsigned int i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
			measure(&s, &ways[i], nr_samples);
		ovm_page_hashes_free(s.parent);
	}
	bench_end();
	ovm_page_sink_destroy(s.sink);
	ovm_engine_destroy(s.engine);
	guest_destroy(&s.guest);
	return 0;
}
