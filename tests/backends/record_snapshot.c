// SPDX-License-Identifier: GPL-2.0-only
/*
 * Records what the dump of a process of a recorded guest asks of the page engine, for
 * replay-snapshot. The dump is a whole one, images included; see tests/unit/hostile.h. Calls of the
 * engine are led through here by the linker (--wrap).
 *
 * usage: record-snapshot NAME FILE
 */
#include <stdlib.h>
#include <string.h>

#include "kernels-cuda/pageops.h"
#include "recording.h"
#include "tests/unit/hostile_private.h"

/* Of the dump under way; the calls of the engine have no other way to it. */
static struct recording *recording;
/* Pages of the RAM file that are needed. */
static uint8_t *needed;
static struct hostile *hostile;

static void give_up(const char *what)
{
	fprintf(stderr, "record-snapshot: %s\n", what);
	exit(1);
}

/* ---- pages that are needed ------------------------------------------------------------------- */

/* Note a page; returns where it is, or NULL if that isn't RAM, or was noted before. */
static const uint64_t *need(uint64_t gpa)
{
	const uint8_t *at = test_snapshot_at(&hostile->snapshot, gpa & OVM_PTE_ADDRESS);
	size_t page;

	if (!at)
		return NULL;
	page = (size_t)(at - hostile->snapshot.ram) >> OVM_PAGE_SHIFT;
	if (needed[page])
		return NULL;
	needed[page] = 1;
	return (const uint64_t *)at;
}

static void need_table(uint64_t gpa, unsigned int level, unsigned int nr)
{
	const uint64_t *table = need(gpa);

	for (unsigned int i = 0; table && level > 1 && i < nr; i++) {
		if (table[i] & OVM_PTE_PRESENT && !(table[i] & OVM_PTE_PSE))
			need_table(table[i], level - 1, OVM_TABLE_ENTRIES);
	}
}

/* The page at a virtual address of the kernel, and the tables on the way to it. */
static void need_kernel_page(uint64_t pgd, unsigned int levels, uint64_t va)
{
	uint64_t table = pgd;

	for (unsigned int level = levels; level; level--) {
		unsigned int shift = ovm_level_shift(level);
		const uint64_t *at;
		uint64_t raw;

		need(table);
		at = (const uint64_t *)test_snapshot_at(&hostile->snapshot,
							table & OVM_PTE_ADDRESS);
		if (!at)
			return;
		raw = at[va >> shift & (OVM_TABLE_ENTRIES - 1)];
		if (!(raw & OVM_PTE_PRESENT))
			return;
		table = raw & OVM_PTE_ADDRESS;
		if (level == 1 || raw & OVM_PTE_PSE) {
			need((table >> shift << shift) + va % (UINT64_C(1) << shift));
			return;
		}
	}
}

static void need_descriptors(const struct ovm_walk_request *request)
{
	const struct ovm_page_layout *page = request->page;
	const struct ovm_ram_range *ranges;
	size_t nr = ovm_memory_ranges(hostile->snapshot.memory, &ranges);

	for (size_t i = 0; page && i < nr; i++) {
		uint64_t first =
			page->vmemmap_base + (ranges[i].gpa >> OVM_PAGE_SHIFT) * page->page_size;
		uint64_t size = (ranges[i].size >> OVM_PAGE_SHIFT) * page->page_size;

		for (uint64_t at = 0; at < size + OVM_PAGE_SIZE; at += OVM_PAGE_SIZE)
			need_kernel_page(page->kernel_pgd, request->levels, first + at);
	}
}

static void need_copies(const struct ovm_copy_run *copies, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		for (uint64_t page = 0; page < copies[i].nr_pages; page++)
			need(copies[i].gpa + (page << OVM_PAGE_SHIFT));
	}
}

/* ---- calls of the engine --------------------------------------------------------------------- */

struct ovm_error *__real_ovm_engine_walk_batch(struct ovm_engine *engine,
					       const struct ovm_walk_request *requests, size_t nr,
					       struct ovm_walk_result **ret, size_t *failed);
struct ovm_error *__wrap_ovm_engine_walk_batch(struct ovm_engine *engine,
					       const struct ovm_walk_request *requests, size_t nr,
					       struct ovm_walk_result **ret, size_t *failed);
struct ovm_error *__wrap_ovm_engine_walk(struct ovm_engine *engine,
					 const struct ovm_walk_request *request,
					 struct ovm_walk_result **ret);
struct ovm_error *__real_ovm_engine_copy(struct ovm_engine *engine,
					 const struct ovm_copy_request *request);
struct ovm_error *__wrap_ovm_engine_copy(struct ovm_engine *engine,
					 const struct ovm_copy_request *request);
struct ovm_error *__real_ovm_engine_pack(struct ovm_engine *engine,
					 const struct ovm_pack_request *request,
					 struct ovm_pack_result **ret);
struct ovm_error *__wrap_ovm_engine_pack(struct ovm_engine *engine,
					 const struct ovm_pack_request *request,
					 struct ovm_pack_result **ret);

struct ovm_error *__wrap_ovm_engine_walk_batch(struct ovm_engine *engine,
					       const struct ovm_walk_request *requests, size_t nr,
					       struct ovm_walk_result **ret, size_t *failed)
{
	struct ovm_error *err = __real_ovm_engine_walk_batch(engine, requests, nr, ret, failed);

	if (err || !recording)
		return err;
	if (!recording_add_walk(recording, requests, nr, recording_digest_walk(ret, nr)))
		give_up("out of memory");
	for (size_t i = 0; i < nr; i++) {
		need_table(requests[i].pgd, requests[i].levels, OVM_TABLE_ENTRIES / 2);
		need_descriptors(&requests[i]);
	}
	return NULL;
}

struct ovm_error *__wrap_ovm_engine_walk(struct ovm_engine *engine,
					 const struct ovm_walk_request *request,
					 struct ovm_walk_result **ret)
{
	return __wrap_ovm_engine_walk_batch(engine, request, 1, ret, NULL);
}

static struct ovm_error *record_copy(struct ovm_engine *engine, const struct ovm_copy_run *copies,
				     size_t nr)
{
	size_t size = recording_copies_size(copies, nr);
	struct ovm_copy_request request = {
		.size = sizeof(request),
		.copies = copies,
		.nr_copies = nr,
	};
	uint8_t *buf = calloc(1, size + 1);
	struct ovm_error *err = ovm_page_sink_create_buffer(buf, size, &request.sink);

	if (!err) {
		err = __real_ovm_engine_copy(engine, &request);
		ovm_page_sink_destroy(request.sink);
	}
	if (!err && !recording_add_copy(recording, copies, nr, recording_digest(0, buf, size)))
		give_up("out of memory");
	if (!err)
		need_copies(copies, nr);
	free(buf);
	return err;
}

struct ovm_error *__wrap_ovm_engine_copy(struct ovm_engine *engine,
					 const struct ovm_copy_request *request)
{
	if (recording) {
		struct ovm_error *err = record_copy(engine, request->copies, request->nr_copies);

		if (err)
			return err;
	}
	return __real_ovm_engine_copy(engine, request);
}

struct ovm_error *__wrap_ovm_engine_pack(struct ovm_engine *engine,
					 const struct ovm_pack_request *request,
					 struct ovm_pack_result **ret)
{
	if (recording) {
		struct ovm_error *err = record_copy(engine, request->copies, request->nr_copies);

		if (err)
			return err;
	}
	return __real_ovm_engine_pack(engine, request, ret);
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* All that is mapped anywhere in each process, kinds that no dump asks for included. */
static void record_everything(void)
{
	size_t nr = recording->nr_ops;

	for (size_t i = 0; i < nr; i++) {
		if (recording->ops[i].kind != RECORDED_WALK)
			continue;
		for (size_t j = 0; j < recording->ops[i].nr; j++) {
			struct ovm_walk_request request = recording->ops[i].requests[j];
			const struct ovm_walk_range all = {
				.end = UINT64_C(1) << (ovm_level_shift(request.levels + 1) - 1),
			};
			struct ovm_walk_result *result = NULL;

			request.ranges = &all;
			request.nr_ranges = 1;
			if (__wrap_ovm_engine_walk(hostile->ovm.engine, &request, &result))
				give_up("can't walk everything");
			ovm_walk_result_free(result);
		}
	}
}

static bool is_zero(const uint8_t *page)
{
	return !page[0] && !memcmp(page, page + 1, OVM_PAGE_SIZE - 1);
}

static void write_pages(FILE *file)
{
	uint64_t pages = hostile->snapshot.ram_size >> OVM_PAGE_SHIFT, nr = 0;

	for (int pass = 0; pass < 2; pass++) {
		if (pass)
			recording_put(file, nr);
		for (uint64_t page = 0; page < pages; page++) {
			const uint8_t *at = hostile->snapshot.ram + (page << OVM_PAGE_SHIFT);

			if (!needed[page] || is_zero(at))
				continue;
			nr += !pass;
			if (!pass)
				continue;
			recording_put(file, page << OVM_PAGE_SHIFT);
			fwrite(at, OVM_PAGE_SIZE, 1, file);
		}
	}
}

int main(int argc, char **argv)
{
	struct recording whole = {.fd = -1};
	const struct ovm_ram_range *ranges;
	struct hostile_result result;
	char reason[640] = "";
	FILE *file;

	if (argc != 3)
		give_up("usage: record-snapshot NAME FILE");
	if (!hostile_open(argv[1], &hostile, reason, sizeof(reason)))
		give_up(reason);
	needed = calloc(hostile->snapshot.ram_size >> OVM_PAGE_SHIFT, 1);
	file = fopen(argv[2], "we");
	if (!needed || !file)
		give_up("can't write the file");
	whole.nr_ranges = ovm_memory_ranges(hostile->snapshot.memory, &ranges);
	if (whole.nr_ranges > RECORDING_MAX_RANGES)
		give_up("too many ranges of RAM");
	memcpy(whole.ranges, ranges, whole.nr_ranges * sizeof(*ranges));
	recording = &whole;
	hostile_round(hostile, NULL, 0, &result);
	if (!(result.stages & HOSTILE_WRITTEN))
		give_up("the process can't be dumped");
	record_everything();
	recording_write(&whole, file);
	recording = NULL;
	write_pages(file);
	if (fclose(file))
		give_up("can't write the file");
	recording_deinit(&whole);
	hostile_close(hostile);
	return 0;
}
