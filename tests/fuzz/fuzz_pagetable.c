// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tables, page descriptors and ranges made of the input. A walk must end, keep to its budget,
 * give the same runs with one thread and with three, and give runs that are sorted, inside their
 * ranges and, where they say so, in RAM.
 *
 * Input: a header byte; ranges of 4 bytes each; then RAM, as pairs of a 2-byte place and an 8-byte
 * word, so that few bytes make deep tables.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernels-cuda/engine.h"

enum {
	RAM_PAGES = 16,
	RAM_SIZE = RAM_PAGES * 4096,
	MAX_RANGES = 8,
};

static int ram_fd = -1;
static uint8_t *ram;
static struct ovm_memory *memory;
static struct ovm_engine *engines[2];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
	if (!condition)
		abort();
}

static void set_up(void)
{
	const unsigned int nr_threads[2] = {1, 3};

	ram_fd = memfd_create("ram", 0);
	must(ram_fd >= 0 && !ftruncate(ram_fd, RAM_SIZE));
	ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, ram_fd, 0);
	must(ram != MAP_FAILED);

	const struct ovm_ram_range range = {.size = RAM_SIZE, .kind = OVM_RAM_MAPPED, .fd = ram_fd};

	must(!ovm_memory_create(&range, 1, &memory));
	for (int i = 0; i < 2; i++) {
		const struct ovm_engine_options options = {.size = sizeof(options),
							   .nr_threads = nr_threads[i]};

		must(!ovm_engine_create(&options, &engines[i]));
		must(!ovm_engine_attach(engines[i], memory));
	}
}

/* Take ranges off the input: 12 bits of where in a huge page and which, then length and flags. */
static size_t make_ranges(const uint8_t **data, size_t *size, size_t nr,
			  struct ovm_walk_range *ranges)
{
	uint64_t end = 0;
	size_t i = 0;

	for (; i < nr && *size >= 4; i++, *data += 4, *size -= 4) {
		const uint8_t *in = *data;
		uint64_t skip = (uint64_t)(in[0] & 0x7f) << (12 + 9 * (in[0] >> 7) + (in[1] & 7));
		uint64_t len = ((uint64_t)(in[2] & 0x3f) + 1) << (12 + 3 * (in[2] >> 6));

		ranges[i].start = end + skip;
		ranges[i].end = ranges[i].start + len;
		ranges[i].kinds = in[3] & 1 ? 0 : (uint32_t)in[3] << 2;
		ranges[i].flags = in[3] >> 7 ? OVM_RANGE_ANON : 0;
		end = ranges[i].end;
	}
	return i;
}

static void make_ram(const uint8_t *data, size_t size)
{
	memset(ram, 0, RAM_SIZE);
	for (; size >= 10; data += 10, size -= 10) {
		size_t place = (size_t)(data[0] | data[1] << 8) * 8 % RAM_SIZE;

		memcpy(ram + place, data + 2, 8);
	}
}

static bool in_ram(const struct ovm_run *run)
{
	return run->gpa < RAM_SIZE && run->nr_pages <= (RAM_SIZE - run->gpa) / 4096;
}

static void check(const struct ovm_walk_request *request, const struct ovm_walk_result *result)
{
	uint64_t end = 0;

	must(result->nr_runs <= request->max_runs);
	for (size_t i = 0; i < result->nr_runs; i++) {
		const struct ovm_run *run = &result->runs[i];

		must(run->range < request->nr_ranges && run->nr_pages && run->va >= end);

		const struct ovm_walk_range *range = &request->ranges[run->range];

		end = run->va + run->nr_pages * 4096;
		must(run->va >= range->start && end <= range->end);
		must(run->kind < OVM_PAGE_NR_KINDS);
		must(!range->kinds || range->kinds >> run->kind & 1);
		if (OVM_PAGE_BIT(run->kind) & OVM_PAGE_KINDS_RAM && run->kind != OVM_PAGE_ZERO)
			must(in_ram(run));
	}
}

static void copy(const struct ovm_walk_result *result)
{
	struct ovm_page_list *list;
	struct ovm_page_sink *sink;
	struct ovm_copy_request request = {.size = sizeof(request)};

	must(!ovm_page_list_create(result->runs, result->nr_runs,
				   OVM_PAGE_KINDS_RAM & ~OVM_PAGE_BIT(OVM_PAGE_ZERO), &list));
	must(!ovm_page_sink_create_discard(&sink));
	request.copies = list->copies;
	request.nr_copies = list->nr_copies;
	request.sink = sink;
	must(!ovm_engine_copy(engines[0], &request));
	ovm_page_sink_destroy(sink);
	ovm_page_list_free(list);
}

static void compare(const struct ovm_walk_result *a, const struct ovm_walk_result *b)
{
	must(a->nr_runs == b->nr_runs && a->tables == b->tables);
	must(!memcmp(a->pages, b->pages, sizeof(a->pages)));
	must(!a->nr_runs || !memcmp(a->runs, b->runs, a->nr_runs * sizeof(*a->runs)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct ovm_gpa_range zero = {0x3000, 0x1000};
	struct ovm_walk_range ranges[MAX_RANGES];
	struct ovm_walk_result *results[2] = {NULL, NULL};
	const struct ovm_page_layout layout = {
		.kernel_pgd = 0x1000,
		.vmemmap_base = UINT64_C(0xffffea0000000000),
		.page_size = 64,
		.mapping_offset = 24,
		.compound_head_offset = 8,
	};
	struct ovm_walk_request request = {
		.size = sizeof(request),
		.ranges = ranges,
		.zero_pages = &zero,
		.nr_zero_pages = 1,
		.nr_swap_types = 2,
		.migration_types = 1U << 30,
		.marker_types = 1U << 25,
		.max_entries = 1 << 16,
		.max_runs = 1 << 12,
	};

	if (!ram)
		set_up();
	if (size < 1)
		return 0;
	request.levels = data[0] & 1 ? 5 : 4;
	request.page = data[0] & 2 ? &layout : NULL;
	request.phys_bits = data[0] & 4 ? 40 : 52;
	request.sme_mask = data[0] & 8 ? UINT64_C(1) << 47 : 0;

	size_t nr = data[0] >> 5;

	data++;
	size--;
	request.nr_ranges = make_ranges(&data, &size, nr + 1, ranges);
	make_ram(data, size);

	for (int i = 0; i < 2; i++) {
		struct ovm_error *err = ovm_engine_walk(engines[i], &request, &results[i]);

		must(!err || err->code == OVM_ERROR_BUDGET);
		must(!err == (results[i] != NULL));
		ovm_error_free(err);
	}
	must(!results[0] == !results[1]);
	if (results[0]) {
		check(&request, results[0]);
		compare(results[0], results[1]);
		copy(results[0]);
	}
	ovm_walk_result_free(results[0]);
	ovm_walk_result_free(results[1]);
	return 0;
}
