// SPDX-License-Identifier: GPL-2.0-only
/*
 * Asks a back end what the dump of a recorded guest has asked (see record_snapshot.c) and compares
 * with the CPU, and with what the CPU said when it was recorded. Copied pages are packed, too.
 *
 * usage: replay-snapshot [--device NAME] FILE...
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "backend.h"
#include "recording.h"
#include "report.h"
#include "unpack.h"

struct replay {
	const char *device;
	const char *path;
	struct recording recording;
	struct ovm_memory *memory;
	struct ovm_engine *cpu, *other;
	struct report report;
	uint64_t walks, runs, copies, bytes, packs, packed_bytes;
	/* Seconds on each. */
	double cpu_seconds, other_seconds;
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/* Whether there was an error, which is told and freed. */
static bool failed(struct replay *r, const char *what, struct ovm_error *err)
{
	if (!err)
		return false;
	report_failure(&r->report, "%s: %s: %s", r->path, what, err->message);
	ovm_error_free(err);
	return true;
}

static uint64_t walk_on(struct replay *r, struct ovm_engine *engine, const struct recorded_op *op,
			uint64_t *runs)
{
	struct ovm_walk_result **results = calloc(op->nr + 1, sizeof(*results));
	uint64_t digest = 0;

	*runs = 0;
	if (!failed(r, "walk", ovm_engine_walk_batch(engine, op->requests, op->nr, results, NULL)))
		digest = recording_digest_walk(results, op->nr);
	for (size_t i = 0; i < op->nr; i++) {
		*runs += results[i] ? results[i]->nr_runs : 0;
		ovm_walk_result_free(results[i]);
	}
	free(results);
	return digest;
}

static void replay_walk(struct replay *r, size_t index, const struct recorded_op *op)
{
	uint64_t runs, cpu, other;
	double start = now(), middle;

	cpu = walk_on(r, r->cpu, op, &runs);
	middle = now();
	other = walk_on(r, r->other, op, &runs);
	r->other_seconds += now() - middle;
	r->cpu_seconds += middle - start;
	r->walks++;
	r->runs += runs;
	if (cpu != op->digest)
		report_failure(&r->report,
			       "%s: operation %zu: the CPU walks otherwise than when "
			       "it was recorded",
			       r->path, index);
	if (other != cpu)
		report_failure(&r->report, "%s: operation %zu: the walks differ", r->path, index);
}

static void copy_on(struct replay *r, struct ovm_engine *engine, const struct recorded_op *op,
		    uint8_t *buf, size_t size)
{
	struct ovm_copy_request request = {
		.size = sizeof(request),
		.copies = op->copies,
		.nr_copies = op->nr,
	};

	memset(buf, 0, size);
	if (failed(r, "copy", ovm_page_sink_create_buffer(buf, size, &request.sink)))
		return;
	failed(r, "copy", ovm_engine_copy(engine, &request));
	ovm_page_sink_destroy(request.sink);
}

/* Pack what was copied, with all operations, and read it back. */
static void replay_pack(struct replay *r, size_t index, const struct recorded_op *op,
			const uint8_t *pages, size_t size)
{
	const struct ovm_pack_extent extent = {
		.nr_pages = size >> OVM_PAGE_SHIFT,
		.parent = OVM_PACK_NO_PARENT,
		.ops = OVM_PACK_DROP_ZERO | OVM_PACK_LZ4,
	};
	struct ovm_pack_request request = {
		.size = sizeof(request),
		.copies = op->copies,
		.nr_copies = op->nr,
		.extents = &extent,
		.nr_extents = 1,
		.block_pages = index % 2 ? 1 : 64,
		.find_duplicates = true,
	};
	struct ovm_pack_result *result = NULL;
	/* What is left out is zero: there is no parent. */
	uint8_t *out = calloc(2, size + 1), *back = calloc(1, size + 1);
	uint8_t *states = calloc(1, extent.nr_pages + 1);

	if (!failed(r, "pack", ovm_page_sink_create_buffer(out, 2 * size, &request.sink))) {
		if (!failed(r, "pack", ovm_engine_pack(r->other, &request, &result)) &&
		    !failed(r, "unpack",
			    unpack(&request, result, out, 2 * size, back, states,
				   extent.nr_pages))) {
			r->packs++;
			r->packed_bytes += result->bytes;
			if (memcmp(back, pages, size))
				report_failure(&r->report, "%s: operation %zu: packed pages differ",
					       r->path, index);
		}
		ovm_page_sink_destroy(request.sink);
	}
	ovm_pack_result_free(result);
	free(out);
	free(back);
	free(states);
}

static void replay_copy(struct replay *r, size_t index, const struct recorded_op *op)
{
	size_t size = recording_copies_size(op->copies, op->nr);
	uint8_t *cpu = malloc(size + 1), *other = malloc(size + 1);
	double start = now(), middle;

	copy_on(r, r->cpu, op, cpu, size);
	middle = now();
	copy_on(r, r->other, op, other, size);
	r->other_seconds += now() - middle;
	r->cpu_seconds += middle - start;
	r->copies++;
	r->bytes += size;
	if (recording_digest(0, cpu, size) != op->digest)
		report_failure(&r->report,
			       "%s: operation %zu: the CPU copies otherwise than when "
			       "it was recorded",
			       r->path, index);
	if (memcmp(cpu, other, size))
		report_failure(&r->report, "%s: operation %zu: the copies differ", r->path, index);
	if (size)
		replay_pack(r, index, op, cpu, size);
	free(cpu);
	free(other);
}

static struct ovm_error *attach(struct replay *r)
{
	struct ovm_ram_range ranges[RECORDING_MAX_RANGES];
	struct ovm_error *err;

	memcpy(ranges, r->recording.ranges, sizeof(ranges));
	for (size_t i = 0; i < r->recording.nr_ranges; i++)
		ranges[i].fd = dup(r->recording.fd);
	err = ovm_memory_create(ranges, r->recording.nr_ranges, &r->memory);
	if (!err)
		err = ovm_engine_attach(r->cpu, r->memory);
	if (!err)
		err = ovm_engine_attach(r->other, r->memory);
	return err;
}

static void replay(struct replay *r)
{
	if (!recording_read(r->path, &r->recording)) {
		report_failure(&r->report, "%s: can't be read", r->path);
		return;
	}
	if (!failed(r, "attach", attach(r))) {
		for (size_t i = 0; i < r->recording.nr_ops; i++) {
			const struct recorded_op *op = &r->recording.ops[i];

			if (op->kind == RECORDED_WALK)
				replay_walk(r, i, op);
			else
				replay_copy(r, i, op);
		}
	}
	if (!strcmp(ovm_engine_backend_name(r->other), "cpu") && strcmp(r->device, "cpu"))
		report_failure(&r->report, "%s: the device was given up", r->path);
}

/* A line for each file; takes the engines, and returns whether all was well. */
static bool replay_file(const char *device, const char *path, struct ovm_engine *cpu,
			struct ovm_engine *other)
{
	struct replay r = {.device = device, .path = path, .cpu = cpu, .other = other};
	struct ovm_engine_device_stats stats;
	bool good;

	replay(&r);
	ovm_engine_device_stats(other, &stats);
	if (!stats.mapped && strcmp(device, "cpu"))
		report_failure(&r.report, "%s: the device sees nothing of the guest's RAM: %s",
			       path, stats.reason ? stats.reason : "without a reason");
	good = !report_failures(&r.report);
	printf("{\"program\": \"replay-snapshot\", \"device\": \"%s\", \"recording\": ", device);
	report_print_string(strrchr(path, '/') ? strrchr(path, '/') + 1 : path);
	printf(", \"pages_of_ram\": %" PRIu64 ", \"walks\": %" PRIu64 ", \"runs\": %" PRIu64
	       ", \"copies\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"packs\": %" PRIu64
	       ", \"packed_bytes\": %" PRIu64 ", \"cpu_s\": %.4f, \"device_s\": %.4f",
	       r.recording.nr_pages, r.walks, r.runs, r.copies, r.bytes, r.packs, r.packed_bytes,
	       r.cpu_seconds, r.other_seconds);
	report_print_device(&stats);
	report_print(&r.report);
	printf("}\n");
	ovm_engine_destroy(cpu);
	ovm_engine_destroy(other);
	ovm_memory_destroy(r.memory);
	recording_deinit(&r.recording);
	return good;
}

int main(int argc, char **argv)
{
	static const struct option names[] = {{"device", required_argument, NULL, 'd'},
					      {NULL, 0, NULL, 0}};
	const char *device = "cuda";
	struct ovm_error *err;
	int status = 0, c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c != 'd')
			return 2;
		device = optarg;
	}
	if (optind == argc) {
		fprintf(stderr, "usage: replay-snapshot [--device NAME] FILE...\n");
		return 2;
	}
	for (int i = optind; i < argc; i++) {
		struct ovm_engine *cpu = NULL, *other = NULL;

		err = test_engine_create("cpu", 0, &cpu);
		if (!err)
			err = test_engine_create(device, 0, &other);
		if (err) {
			fprintf(stderr, "%s\n", err->message);
			ovm_error_free(err);
			ovm_engine_destroy(cpu);
			return 77;
		}
		if (!replay_file(device, argv[i], cpu, other))
			status = 1;
	}
	return status;
}
