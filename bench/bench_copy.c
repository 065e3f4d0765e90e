// SPDX-License-Identifier: GPL-2.0-only
/*
 * Throughput of the page engine, walk included, beside a plain pwritev(2) of the same pages.
 *
 * The plain way knows the pages beforehand and does nothing but fill iovecs and write, with one
 * thread. Both write a new file on tmpfs each time. "cold": guest RAM was just mapped, as in
 * the first dump after attaching; "warm": its pages are mapped already.
 *
 * usage: bench_copy GIB [SAMPLES]
 */
#include <fcntl.h>
#include <limits.h>

#include "bench.h"
#include "tests/unit/test_engine_guest.h"

enum {
	MIB = 1 << 20,
	FRAMES_AT = 256 * MIB,
	CHUNK = 2 * MIB,
};

#define VA_BASE UINT64_C(0x550000000000)

struct setting {
	struct guest *guest;
	uint64_t pages;
	/* Pages in a row; 0 means all. */
	uint64_t run;
	struct ovm_walk_range range;
	/* The pages, as the plain way knows them. */
	uint64_t *gpas;
	uint64_t nr_gpas;
};

enum {
	PLAIN_COLD,
	PLAIN_WARM,
	ENGINE_COLD_1,
	ENGINE_WARM_1,
	ENGINE_COLD_2,
	ENGINE_WARM_2,
	NR_WAYS,
};

static const char *const way_names[] = {"plain", "plain", "engine", "engine", "engine", "engine"};

static const char *out_path = "/dev/shm/ovm-bench-pages";

static int new_file(void)
{
	unlink(out_path);

	int fd = open(out_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		bench_must(ovm_error_format(OVM_ERROR_OUTPUT, "can't make %s", out_path));
	return fd;
}

/* Write pages with pwritev(2), as many as go into an array of buffers at a time. */
static void write_plain(const struct setting *s, const uint8_t *map, int fd)
{
	uint64_t run_bytes = s->pages / s->nr_gpas * OVM_PAGE_SIZE;
	struct iovec iov[IOV_MAX];
	uint64_t offset = 0, skip = 0;

	for (uint64_t i = 0; i < s->nr_gpas;) {
		size_t bytes = 0;
		int nr = 0;

		while (i < s->nr_gpas && nr < IOV_MAX && bytes < CHUNK) {
			uint64_t len = run_bytes - skip;

			if (len > CHUNK - bytes)
				len = CHUNK - bytes;
			iov[nr].iov_base = (void *)(map + s->gpas[i] + skip);
			iov[nr++].iov_len = len;
			bytes += len;
			skip += len;
			if (skip == run_bytes) {
				skip = 0;
				i++;
			}
		}
		if (pwritev(fd, iov, nr, (off_t)offset) != (ssize_t)bytes)
			bench_must(ovm_error_format(OVM_ERROR_OUTPUT, "pwritev failed"));
		offset += bytes;
	}
}

static void run_plain(const struct setting *s, struct bench_samples *cold,
		      struct bench_samples *warm)
{
	const uint8_t *map = mmap(NULL, s->guest->size, PROT_READ, MAP_SHARED, s->guest->fd, 0);

	for (int i = 0; i < 2; i++) {
		int fd = new_file();
		struct bench_start start = bench_begin_sample();

		write_plain(s, map, fd);
		bench_end_sample(i ? warm : cold, &start);
		close(fd);
	}
	munmap((void *)map, s->guest->size);
}

static void engine_dump(struct ovm_engine *engine, const struct setting *s, int fd)
{
	struct ovm_walk_request walk = guest_request(s->guest, &s->range, 1);
	struct ovm_copy_request copy = {.size = sizeof(copy)};
	struct ovm_walk_result *result;
	struct ovm_page_list *list;

	bench_must(ovm_engine_walk(engine, &walk, &result));
	bench_must(ovm_page_list_create(result->runs, result->nr_runs, OVM_PAGE_KINDS_RAM, &list));
	if (list->nr_pages != s->pages)
		bench_must(ovm_error_format(OVM_ERROR_CORRUPT, "walk: wrong number of pages"));
	bench_must(ovm_page_sink_create_file(fd, 0, out_path, &copy.sink));
	copy.copies = list->copies;
	copy.nr_copies = list->nr_copies;
	bench_must(ovm_engine_copy(engine, &copy));
	ovm_page_sink_destroy(copy.sink);
	ovm_page_list_free(list);
	ovm_walk_result_free(result);
}

static void run_engine(const struct setting *s, unsigned int nr_threads, struct bench_samples *cold,
		       struct bench_samples *warm)
{
	struct guest fresh = *s->guest;
	struct ovm_engine *engine;

	bench_must(guest_init_memory(&fresh, OVM_RAM_MAPPED));
	bench_must(guest_engine(&fresh, nr_threads, &engine));
	for (int i = 0; i < 2; i++) {
		int fd = new_file();
		struct bench_start start = bench_begin_sample();

		engine_dump(engine, s, fd);
		bench_end_sample(i ? warm : cold, &start);
		close(fd);
	}
	ovm_engine_destroy(engine);
	ovm_memory_destroy(fresh.memory);
}

static void report(const struct setting *s, int way, const struct bench_samples *samples)
{
	/* Against the plain way in the same state. */
	const struct bench_samples *plain = &samples[way % 2 ? PLAIN_WARM : PLAIN_COLD];
	double bytes = (double)(s->pages << OVM_PAGE_SHIFT);

	bench_begin("copy");
	bench_text("way", way_names[way]);
	bench_text("state", way % 2 ? "warm" : "cold");
	bench_number("threads", way < ENGINE_COLD_2 ? 1 : 2);
	bench_number("gib", bytes / (1 << 30));
	bench_number("run_pages", (double)(s->run ? s->run : s->pages));
	bench_number("gb_per_s", bytes / bench_median(&samples[way]) / 1e9);
	bench_number("ratio_to_plain", bench_median(plain) / bench_median(&samples[way]));
	bench_number("ratio_to_warm_plain",
		     bench_median(&samples[PLAIN_WARM]) / bench_median(&samples[way]));
	bench_times(&samples[way]);
}

/* Map pages so that @run frames in a row are followed by others elsewhere. */
static void set_up(struct setting *s)
{
	uint64_t run = s->run ? s->run : s->pages;

	s->nr_gpas = s->pages / run;
	s->gpas = calloc(s->nr_gpas, sizeof(*s->gpas));
	for (uint64_t i = 0; i < s->pages; i++) {
		/* An odd multiplier permutes the numbers below a power of two. */
		uint64_t piece = i / run * 0x9e3779b1 % s->nr_gpas;
		uint64_t gpa = FRAMES_AT + ((piece * run + i % run) << OVM_PAGE_SHIFT);

		if (i % run == 0)
			s->gpas[i / run] = gpa;
		guest_map(s->guest, VA_BASE + (i << OVM_PAGE_SHIFT), 1, gpa);
	}
	s->range.start = VA_BASE;
	s->range.end = VA_BASE + (s->pages << OVM_PAGE_SHIFT);
}

/* The ways take turns, so that what else the machine does hits all of them. */
static void measure(struct setting *s, unsigned int nr_samples)
{
	struct bench_samples samples[NR_WAYS] = {0};

	set_up(s);
	for (unsigned int i = 0; i < nr_samples; i++) {
		run_plain(s, &samples[PLAIN_COLD], &samples[PLAIN_WARM]);
		run_engine(s, 1, &samples[ENGINE_COLD_1], &samples[ENGINE_WARM_1]);
		run_engine(s, 2, &samples[ENGINE_COLD_2], &samples[ENGINE_WARM_2]);
	}
	for (int way = 0; way < NR_WAYS; way++)
		report(s, way, samples);
	free(s->gpas);
}

int main(int argc, char **argv)
{
	static const uint64_t runs[] = {0, 512, 16, 1};
	uint64_t gib = argc > 1 ? (uint64_t)atoi(argv[1]) : 1;
	unsigned int nr_samples = argc > 2 ? (unsigned int)atoi(argv[2]) : 5;
	struct guest guest;
	struct setting s = {.guest = &guest, .pages = gib << 18};

	bench_must(guest_create(&guest, FRAMES_AT + (gib << 30) + 128 * MIB, 4, OVM_RAM_MAPPED, 2));
	memset(guest.ram + FRAMES_AT, 0x5a, gib << 30);
	for (uint64_t i = 0; i < s.pages; i++)
		guest_set_anon(&guest, FRAMES_AT + (i << OVM_PAGE_SHIFT), true);
	for (unsigned int i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
		s.run = runs[i];
		measure(&s, nr_samples);
	}
	bench_end();
	unlink(out_path);
	guest_destroy(&guest);
	return 0;
}
