// SPDX-License-Identifier: GPL-2.0-only
/*
 * Compares a back end of the page engine with the CPU's: every operation, on made-up guests of all
 * kinds, byte for byte. Each case is a guest; the seed in a report makes the same guest again.
 *
 * usage: compare-backends [--device cuda|emulated|cpu] [--seconds N] [--cases N] [--seed N]
 *                         [--features MASK] [--small] [--dense] [--threads N] [--verbose]
 *
 * --dense: all guests have RAM without holes, which the device of the tests is faster with.
 *
 * Prints a JSON object. Ends with 0 if nothing differed, 1 if something did, 77 without a device.
 */
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "backend.h"
#include "compare.h"

enum {
	UNTOUCHED = 0xa5,
	BLOCKS_PER_PAGE = OVM_PAGE_SIZE / 512,
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

bool fail(struct test *t, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	report_failure(t->report,
		       "%s (again: --seed %" PRIu64 " --features 0x%x --cases 1%s; dump %u)", text,
		       t->guest->seed, (unsigned int)t->guest->features,
		       t->options->small ? " --small" : "", t->round);
	return false;
}

bool same_errors(struct test *t, const char *what, struct ovm_error *cpu, struct ovm_error *other,
		 bool *both)
{
	bool same = (cpu ? cpu->code : 0) == (other ? other->code : 0);

	*both = cpu && other;
	t->tally->errors += *both;
	if (!same)
		fail(t, "%s: cpu says '%s', %s says '%s'", what, cpu ? cpu->message : "good",
		     t->options->device, other ? other->message : "good");
	ovm_error_free(cpu);
	ovm_error_free(other);
	if (same && !strcmp(ovm_engine_backend_name(t->other), "cpu") &&
	    strcmp(t->options->device, "cpu"))
		return fail(t, "%s: the device was given up: %s", what,
			    ovm_engine_reason(t->other) ?: "without a reason");
	return same;
}

/* ---- walk ------------------------------------------------------------------------------------ */

static bool same_run(struct test *t, const char *what, size_t process, size_t i,
		     const struct ovm_run *a, const struct ovm_run *b)
{
	if (!memcmp(a, b, sizeof(*a)))
		return true;
	return fail(t,
		    "%s: process %zu, run %zu: cpu 0x%" PRIx64 " gpa 0x%" PRIx64 " %" PRIu64
		    " pages range %u kind %u flags %u type %u; other 0x%" PRIx64 " gpa 0x%" PRIx64
		    " %" PRIu64 " pages range %u kind %u flags %u type %u",
		    what, process, i, a->va, a->gpa, a->nr_pages, a->range, a->kind, a->flags,
		    a->swap_type, b->va, b->gpa, b->nr_pages, b->range, b->kind, b->flags,
		    b->swap_type);
}

static bool same_result(struct test *t, const char *what, size_t process,
			const struct ovm_walk_result *cpu, const struct ovm_walk_result *other)
{
	for (size_t i = 0; i < cpu->nr_runs && i < other->nr_runs; i++) {
		if (!same_run(t, what, process, i, &cpu->runs[i], &other->runs[i]))
			return false;
	}
	if (cpu->nr_runs != other->nr_runs)
		return fail(t, "%s: process %zu: cpu has %zu runs, other %zu", what, process,
			    cpu->nr_runs, other->nr_runs);
	for (unsigned int kind = 0; kind < OVM_PAGE_NR_KINDS; kind++) {
		if (cpu->pages[kind] != other->pages[kind])
			return fail(t,
				    "%s: process %zu: pages of kind %u: cpu %" PRIu64
				    ", other %" PRIu64,
				    what, process, kind, cpu->pages[kind], other->pages[kind]);
		t->tally->pages += cpu->pages[kind];
	}
	if (cpu->prot_none_pages != other->prot_none_pages || cpu->tables != other->tables)
		return fail(t,
			    "%s: process %zu: cpu %" PRIu64 " PROT_NONE %" PRIu64
			    " tables, other %" PRIu64 " and %" PRIu64,
			    what, process, cpu->prot_none_pages, cpu->tables,
			    other->prot_none_pages, other->tables);
	t->tally->runs += cpu->nr_runs;
	t->tally->tables += cpu->tables;
	return true;
}

static void free_results(struct ovm_walk_result **results, size_t nr)
{
	for (size_t i = 0; results && i < nr; i++)
		ovm_walk_result_free(results[i]);
	free(results);
}

/* Walk for requests [@first, @first + @nr) on both. */
static bool compare_walk(struct test *t, const char *what, size_t first, size_t nr)
{
	const struct ovm_walk_request *requests = t->guest->requests + first;
	struct ovm_walk_result **cpu = calloc(nr + 1, sizeof(*cpu));
	struct ovm_walk_result **other = calloc(nr + 1, sizeof(*other));
	size_t cpu_failed = 0, other_failed = 0;
	struct ovm_error *cpu_err = ovm_engine_walk_batch(t->cpu, requests, nr, cpu, &cpu_failed);
	struct ovm_error *other_err =
		ovm_engine_walk_batch(t->other, requests, nr, other, &other_failed);
	bool both, good = same_errors(t, what, cpu_err, other_err, &both);

	if (good && both && cpu_failed != other_failed)
		good = fail(t, "%s: cpu failed at %zu, other at %zu", what, cpu_failed,
			    other_failed);
	for (size_t i = 0; i < nr && good && !both; i++)
		good = same_result(t, what, first + i, cpu[i], other[i]);
	free_results(cpu, nr);
	free_results(other, nr);
	t->tally->processes += nr;
	return good;
}

static bool compare_walks(struct test *t)
{
	size_t nr = t->guest->nr_processes;

	for (size_t i = 0; i < nr && i < 4; i++) {
		t->tally->walks++;
		if (!compare_walk(t, "walk", made_random(t->guest, nr), 1))
			return false;
	}
	t->tally->batches += 2;
	return compare_walk(t, "walk_batch", 0, nr) &&
	       compare_walk(t, "walk_batch of nothing", 0, 0);
}

/* ---- copy ------------------------------------------------------------------------------------ */

/* Copy into @buf, through a file or not. */
static struct ovm_error *copy_to(struct ovm_engine *engine, struct ovm_copy_request request,
				 uint8_t *buf, size_t size, bool through_file)
{
	int fd = through_file ? memfd_create("pages", MFD_CLOEXEC) : -1;
	struct ovm_error *err;

	memset(buf, UNTOUCHED, size);
	if (through_file)
		err = ovm_page_sink_create_file(fd, OVM_PAGE_SIZE, "pages", &request.sink);
	else
		err = ovm_page_sink_create_buffer(buf, size, &request.sink);
	if (!err) {
		err = ovm_engine_copy(engine, &request);
		ovm_page_sink_destroy(request.sink);
	}
	if (!err && through_file && size && pread(fd, buf, size, OVM_PAGE_SIZE) != (ssize_t)size)
		err = ovm_error_format(OVM_ERROR_OUTPUT, "the file of pages is too short");
	if (fd >= 0)
		close(fd);
	return err;
}

static bool same_bytes(struct test *t, const struct ovm_copy_request *request, const uint8_t *cpu,
		       const uint8_t *other, size_t size)
{
	if (!memcmp(cpu, other, size))
		return true;
	for (size_t i = 0; i < request->nr_copies; i++) {
		const struct ovm_copy_run *run = &request->copies[i];

		for (uint64_t page = 0; page < run->nr_pages; page++) {
			uint64_t at = run->offset + (page << OVM_PAGE_SHIFT), word = 0;

			if (at + OVM_PAGE_SIZE > size ||
			    !memcmp(cpu + at, other + at, OVM_PAGE_SIZE))
				continue;
			while (cpu[at + word] == other[at + word])
				word++;
			return fail(t,
				    "copy: piece %zu, page %" PRIu64 " at gpa 0x%" PRIx64
				    ": byte %" PRIu64 " is 0x%02x, other 0x%02x",
				    i, page, run->gpa + (page << OVM_PAGE_SHIFT), word,
				    cpu[at + word], other[at + word]);
		}
	}
	return fail(t, "copy: what is between pieces differs");
}

static bool compare_copy(struct test *t, const struct ovm_copy_run *copies, size_t nr, size_t size)
{
	static const size_t chunks[] = {0, 4096, 64 << 10, 1 << 20, 16 << 20};
	struct ovm_copy_request request = {
		.size = sizeof(request),
		.copies = copies,
		.nr_copies = nr,
		.chunk = chunks[made_random(t->guest, t->options->small ? 1 : 5)],
	};
	bool through_file = made_random(t->guest, 4) == 0, both, good;
	uint8_t *cpu = t->cpu_pages, *other = t->other_pages;

	if (request.chunk == 4096 && size > 4 << 20)
		request.chunk = 64 << 10;
	good = same_errors(t, "copy", copy_to(t->cpu, request, cpu, size, through_file),
			   copy_to(t->other, request, other, size, through_file), &both);
	if (good && !both)
		good = same_bytes(t, &request, cpu, other, size);
	t->tally->copies++;
	t->tally->bytes += size;
	return good;
}

/* As many of the pieces as fit. */
static size_t limit_copies(struct ovm_page_list *list, size_t *ret_size)
{
	uint64_t size = 0;
	size_t nr = 0;

	while (nr < list->nr_copies) {
		const struct ovm_copy_run *run = &list->copies[nr];
		uint64_t end = run->offset + (run->nr_pages << OVM_PAGE_SHIFT);

		if (end > MAX_COPY)
			break;
		size = end;
		nr++;
	}
	*ret_size = size;
	return nr;
}

/* Walk with the CPU and copy what was found. */
static bool compare_copy_of(struct test *t, const struct ovm_walk_request *request)
{
	struct ovm_walk_result *result = NULL;
	struct ovm_page_list *list = NULL;
	struct ovm_error *err = ovm_engine_walk(t->cpu, request, &result);
	bool good = true;

	if (!err)
		err = ovm_page_list_create(result->runs, result->nr_runs, OVM_PAGE_KINDS_RAM,
					   &list);
	if (!err) {
		size_t size, nr = limit_copies(list, &size);

		good = compare_copy(t, list->copies, nr, size);
	}
	ovm_page_list_free(list);
	ovm_walk_result_free(result);
	ovm_error_free(err);
	return good;
}

/* Pieces of RAM from anywhere, mapped or not, holes included, tables, too. */
static bool compare_random_copy(struct test *t)
{
	struct made_guest *guest = t->guest;
	struct ovm_copy_run copies[64];
	unsigned int nr = 1 + (unsigned int)made_random(guest, 64);
	uint64_t most = 1 + made_random(guest, t->options->small ? 20 : 100), offset = 0;

	for (unsigned int i = 0; i < nr; i++) {
		const struct made_piece *piece =
			&guest->pieces[made_random(guest, guest->nr_pieces)];
		uint64_t pages = 1 + made_random(guest, most);
		uint64_t places = (piece->size >> OVM_PAGE_SHIFT) - pages + 1;

		copies[i].gpa = piece->gpa + (made_random(guest, places) << OVM_PAGE_SHIFT);
		copies[i].nr_pages = pages;
		copies[i].offset = offset;
		offset += pages << OVM_PAGE_SHIFT;
	}
	return compare_copy(t, copies, nr, offset);
}

/* Walk with the CPU and pack what was found. */
static bool compare_pack_of(struct test *t, const struct ovm_walk_request *request)
{
	struct ovm_walk_result *result = NULL;
	struct ovm_page_list *list = NULL;
	struct ovm_error *err = ovm_engine_walk(t->cpu, request, &result);
	bool good = true;

	if (!err)
		err = ovm_page_list_create(result->runs, result->nr_runs, OVM_PAGE_KINDS_RAM,
					   &list);
	if (!err)
		good = compare_pack(t, list->copies, list->nr_copies);
	ovm_page_list_free(list);
	ovm_walk_result_free(result);
	ovm_error_free(err);
	return good;
}

static bool compare_packs(struct test *t)
{
	size_t nr = t->guest->nr_processes;
	bool good = true;

	for (size_t i = 0; i < nr && i < 2 && good; i++)
		good = compare_pack_of(t, &t->guest->requests[made_random(t->guest, nr)]);
	return good;
}

static bool compare_copies(struct test *t)
{
	size_t nr = t->guest->nr_processes;
	bool good = compare_random_copy(t);

	for (size_t i = 0; i < nr && i < 3 && good; i++)
		good = compare_copy_of(t, &t->guest->requests[made_random(t->guest, nr)]);
	return good;
}

/* ---- cases ----------------------------------------------------------------------------------- */

static bool attach_both(struct test *t)
{
	uint64_t before = made_allocated(t->guest);
	struct ovm_error *cpu = ovm_engine_attach(t->cpu, t->guest->memory);
	struct ovm_error *other = ovm_engine_attach(t->other, t->guest->memory);
	bool both;

	if (!same_errors(t, "attach", cpu, other, &both) || both)
		return false;
	test_engine_any_block(t->other);
	if (made_allocated(t->guest) != before)
		return fail(t, "attach: RAM grew from %" PRIu64 " to %" PRIu64 " blocks", before,
			    made_allocated(t->guest));
	return true;
}

/*
 * The results are the same when all is staged, so that has to be looked for: of a made guest, only
 * the last piece can't be mapped, and others have data. It is told once, and the results compared.
 */
static void check_device(struct test *t)
{
	struct ovm_engine_device_stats stats, *sum = &t->tally->device_ram;

	ovm_engine_device_stats(t->other, &stats);
	sum->mapped += stats.mapped;
	sum->staged += stats.staged;
	sum->nr_pieces += stats.nr_pieces;
	if (stats.reason && !sum->reason) {
		snprintf(t->tally->reason, sizeof(t->tally->reason), "%s", stats.reason);
		sum->reason = t->tally->reason;
	}
	if (stats.mapped || t->tally->nothing_mapped++ || !strcmp(t->options->device, "cpu"))
		return;
	fail(t, "the device sees nothing of the guest's RAM: %s",
	     stats.reason ? stats.reason : "without a reason");
}

/* Two dumps, and what a guest does between them. */
static bool run_dumps(struct test *t)
{
	unsigned int discarded = 0;

	if (!attach_both(t))
		return false;
	for (t->round = 1; t->round <= 3; t->round++) {
		uint64_t before = made_allocated(t->guest);

		if (!compare_walks(t) || !compare_copies(t) || !compare_packs(t))
			return false;
		check_device(t);
		/* What was discarded since a memory has seen it may come back, empty. */
		if (made_allocated(t->guest) > before + discarded * BLOCKS_PER_PAGE)
			return fail(t, "RAM grew from %" PRIu64 " to %" PRIu64 " blocks", before,
				    made_allocated(t->guest));
		discarded = made_guest_go_on(t->guest);
		t->tally->discarded += discarded;
	}
	return true;
}

static bool run_case(struct test *t, uint64_t seed, uint32_t features)
{
	struct ovm_error *err = made_guest_create(seed, features, t->options->small, &t->guest);
	bool good = false;

	if (err) {
		report_failure(t->report, "can't make a guest: %s", err->message);
		ovm_error_free(err);
		return false;
	}
	for (unsigned int i = 0; i < MADE_NR_FEATURES; i++)
		t->tally->features[i] += features >> i & 1;
	t->round = 0;
	good = run_dumps(t);
	t->tally->cases++;
	made_guest_destroy(t->guest);
	return good;
}

/* First the plainest guest, then each feature alone, then all kinds of mixtures. */
static uint32_t case_features(const struct options *options, uint64_t i)
{
	uint64_t word = (options->seed + i) * UINT64_C(0x9e3779b97f4a7c15);

	if (options->fixed_features)
		return options->features;
	if (i <= MADE_NR_FEATURES)
		return (i ? UINT32_C(1) << (i - 1) : 0) | options->added_features;
	word ^= word >> 29;
	word *= UINT64_C(0xbf58476d1ce4e5b9);
	word ^= word >> 32;
	/* About a third of all. */
	return ((uint32_t)(word & (word >> 20 | word >> 40)) & ((1U << MADE_NR_FEATURES) - 1)) |
	       options->added_features;
}

/* New engines now and then, so that many guests are attached to the same ones, too. */
static struct ovm_error *make_engines(struct test *t, uint64_t i)
{
	unsigned int nr = t->options->nr_threads ? t->options->nr_threads : 1 + (i / 8) % 5;
	struct ovm_error *err = NULL;

	if (i % 8 == 0) {
		ovm_engine_destroy(t->cpu);
		ovm_engine_destroy(t->other);
		t->other = NULL;
		err = test_engine_create("cpu", nr, &t->cpu);
		if (!err)
			err = test_engine_create(t->options->device, nr, &t->other);
	}
	return err;
}

/* Returns the exit status. */
static int run_cases(const struct options *options, struct report *report, struct tally *tally)
{
	struct test t = {.options = options, .report = report, .tally = tally};
	double start = now();
	int status = 0;

	t.cpu_pages = malloc(MAX_COPY);
	t.other_pages = malloc(MAX_COPY);
	if (!t.cpu_pages || !t.other_pages)
		return 1;
	for (uint64_t i = 0; i < options->cases && !report_is_full(report); i++) {
		struct ovm_error *err;

		if (i && options->seconds > 0 && now() - start > options->seconds)
			break;
		err = make_engines(&t, i);
		if (err) {
			fprintf(stderr, "%s\n", err->message);
			report_failure(report, "no engine: %s", err->message);
			ovm_error_free(err);
			status = i ? 1 : 77;
			break;
		}
		if (options->verbose)
			fprintf(stderr, "case --seed %" PRIu64 " --features 0x%x\n",
				options->seed + i, case_features(options, i));
		run_case(&t, options->seed + i, case_features(options, i));
	}
	ovm_engine_destroy(t.cpu);
	ovm_engine_destroy(t.other);
	free(t.cpu_pages);
	free(t.other_pages);
	return status ? status : report_failures(report) ? 1 : 0;
}

static void print_tally(const struct tally *tally)
{
	const struct {
		const char *key;
		uint64_t value;
	} numbers[] = {
		{"cases", tally->cases},
		{"walks", tally->walks},
		{"batches", tally->batches},
		{"processes", tally->processes},
		{"copies", tally->copies},
		{"runs", tally->runs},
		{"pages", tally->pages},
		{"tables", tally->tables},
		{"bytes", tally->bytes},
		{"errors_agreed", tally->errors},
		{"discarded_pages", tally->discarded},
		{"packs", tally->packs},
		{"packed_pages", tally->packed_pages},
		{"pages_left_out", tally->left_out},
		{"packed_bytes", tally->packed_bytes},
		{"duplicates", tally->duplicates},
		{"dumps_without_a_mapping", tally->nothing_mapped},
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		printf(", \"%s\": %" PRIu64, numbers[i].key, numbers[i].value);
	printf(", \"cases_by_feature\": {");
	for (unsigned int i = 0; i < MADE_NR_FEATURES; i++)
		printf("%s\"%s\": %" PRIu64, i ? ", " : "", made_feature_name(i),
		       tally->features[i]);
	printf("}");
}

static bool parse_options(int argc, char **argv, struct options *options)
{
	static const struct option names[] = {
		{"device", required_argument, NULL, 'd'},
		{"seconds", required_argument, NULL, 's'},
		{"cases", required_argument, NULL, 'c'},
		{"seed", required_argument, NULL, 'e'},
		{"features", required_argument, NULL, 'f'},
		{"small", no_argument, NULL, 'm'},
		{"dense", no_argument, NULL, 'n'},
		{"verbose", no_argument, NULL, 'v'},
		{"threads", required_argument, NULL, 't'},
		{NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 'd':
			options->device = optarg;
			break;
		case 's':
			options->seconds = atof(optarg);
			break;
		case 'c':
			options->cases = strtoull(optarg, NULL, 0);
			break;
		case 'e':
			options->seed = strtoull(optarg, NULL, 0);
			break;
		case 'f':
			options->features = (uint32_t)strtoul(optarg, NULL, 0);
			options->fixed_features = true;
			break;
		case 'm':
			options->small = true;
			break;
		case 'n':
			options->added_features |= 1U << MADE_DENSE;
			break;
		case 'v':
			options->verbose = true;
			break;
		case 't':
			options->nr_threads = (unsigned int)atoi(optarg);
			break;
		default:
			return false;
		}
	}
	return optind == argc;
}

int main(int argc, char **argv)
{
	struct options options = {
		.device = "cuda",
		.cases = UINT64_MAX,
		.seconds = 20,
		.seed = (uint64_t)time(NULL),
	};
	struct report report = {0};
	struct tally tally = {0};

	if (!parse_options(argc, argv, &options)) {
		fprintf(stderr, "usage: compare-backends [--device NAME] [--seconds N] [--cases N] "
				"[--seed N] [--features MASK] [--small] [--dense] [--threads N] "
				"[--verbose]\n");
		return 2;
	}

	double start = now();
	int status = run_cases(&options, &report, &tally);

	printf("{\"program\": \"compare-backends\", \"device\": \"%s\", \"seed\": %" PRIu64
	       ", \"small\": %s",
	       options.device, options.seed, options.small ? "true" : "false");
	print_tally(&tally);
	report_print_device(&tally.device_ram);
	report_print(&report);
	printf(", \"seconds\": %.2f}\n", now() - start);
	return status;
}
