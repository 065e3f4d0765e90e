// SPDX-License-Identifier: GPL-2.0-only
/* The back end on a device: batches, prefix sums, what can't be mapped, and failures at any call.
 */
#include <stddef.h>

#include "kernels-cuda/cuda.h"
#include "kernels-cuda/scan.h"
#include "device_model.h"
#include "test.h"
#include "test_engine_guest.h"

enum {
	MIB = 1 << 20,
	RAM_SIZE = 128 * MIB,
	NR_PROCESSES = 3,
};

#define GIB UINT64_C(0x40000000)

/* Processes of one guest, and what the CPU finds of them. */
struct fixture {
	struct guest guest;
	struct ovm_walk_range ranges[NR_PROCESSES][3];
	struct ovm_walk_request requests[NR_PROCESSES];
	struct ovm_walk_result *expected[NR_PROCESSES];
	struct ovm_copy_run copies[3];
	uint8_t *copied;
	size_t size;
	struct ovm_engine *engine;
};

static void fixture_deinit(struct fixture *f)
{
	for (size_t i = 0; i < NR_PROCESSES; i++)
		ovm_walk_result_free(f->expected[i]);
	ovm_engine_destroy(f->engine);
	guest_destroy(&f->guest);
	free(f->copied);
	device_model_settings = (struct device_model_settings){0};
}

#define _cleanup_fixture_ __attribute__((cleanup(fixture_deinit)))

/* Pages here and there, huge ones, and a table that another process has too. */
static void make_process(struct fixture *f, size_t index)
{
	struct guest *guest = &f->guest;
	uint64_t va = GIB * (index + 1);

	guest->pgd = guest_table(guest);
	for (uint64_t i = 0; i < 3000; i++) {
		uint64_t gpa = (8 + i % 50) * MIB + (i % 7 << 12) + (i << 12) % MIB;

		guest_set_anon(guest, gpa, i % 5 != 0);
		if (i % 11)
			guest_map(guest, va + (i << 12), 1, gpa);
	}
	guest_map(guest, va + 64 * MIB, 2, 16 * MIB);
	guest_map_none(guest, va + 66 * MIB, 2, 18 * MIB);
	guest_set(guest, va + 70 * MIB, 1, guest_swap(1, 77));
	f->ranges[index][0] = (struct ovm_walk_range){.start = va, .end = va + 5 * MIB};
	f->ranges[index][1] = (struct ovm_walk_range){.start = va + 5 * MIB, .end = va + 65 * MIB};
	f->ranges[index][2] = (struct ovm_walk_range){
		.start = va + 65 * MIB,
		.end = va + 80 * MIB,
		.flags = OVM_RANGE_ANON,
	};
	f->requests[index] = guest_request(guest, f->ranges[index], 3);
	f->requests[index].nr_swap_types = 2;
}

static struct ovm_error *copy_with(struct ovm_engine *engine, const struct fixture *f, uint8_t *out)
{
	struct ovm_copy_request request = {
		.size = sizeof(request),
		.copies = f->copies,
		.nr_copies = sizeof(f->copies) / sizeof(*f->copies),
		.chunk = 64 << 10,
	};
	struct ovm_error *err = ovm_page_sink_create_buffer(out, f->size, &request.sink);

	if (!err)
		err = ovm_engine_copy(engine, &request);
	ovm_page_sink_destroy(request.sink);
	return err;
}

static struct ovm_error *fixture_init(struct fixture *f)
{
	struct ovm_error *err = guest_create(&f->guest, RAM_SIZE, 4, OVM_RAM_MAPPED, 2);
	struct ovm_engine *engine = NULL;
	const struct ovm_engine_options options = {.size = sizeof(options),
						   .backend = OVM_BACKEND_CPU};
	size_t failed;

	if (err)
		return err;
	for (size_t i = 0; i < NR_PROCESSES; i++)
		make_process(f, i);
	for (uint64_t i = 0; i < 200; i++)
		*guest_words(&f->guest, 16 * MIB + (i << 12)) = ~i;
	f->copies[0] = (struct ovm_copy_run){.gpa = 16 * MIB, .nr_pages = 200};
	/* Holes. */
	f->copies[1] = (struct ovm_copy_run){.gpa = MIB, .nr_pages = 30, .offset = 200 << 12};
	f->copies[2] = (struct ovm_copy_run){.gpa = 16 * MIB, .nr_pages = 1, .offset = 230 << 12};
	f->size = 231 << 12;
	f->copied = calloc(1, f->size);
	err = ovm_engine_create(&options, &engine);
	if (!err)
		err = ovm_engine_attach(engine, f->guest.memory);
	if (!err)
		err = ovm_engine_walk_batch(engine, f->requests, NR_PROCESSES, f->expected,
					    &failed);
	if (!err)
		err = copy_with(engine, f, f->copied);
	ovm_engine_destroy(engine);
	return err;
}

static struct ovm_error *make_engine(struct fixture *f, enum ovm_backend backend)
{
	const struct ovm_engine_options options = {
		.size = sizeof(options),
		.backend = backend,
		.nr_threads = 2,
	};
	struct ovm_error *err = ovm_engine_create_on(&options, device_model_open, &f->engine);

	return err ? err : ovm_engine_attach(f->engine, f->guest.memory);
}

static void destroy_engine(struct fixture *f)
{
	ovm_engine_destroy(f->engine);
	f->engine = NULL;
}

static bool same_result(const struct ovm_walk_result *a, const struct ovm_walk_result *b)
{
	return a->nr_runs == b->nr_runs &&
	       !memcmp(a->runs, b->runs, a->nr_runs * sizeof(*a->runs)) &&
	       !memcmp(a->pages, b->pages, sizeof(a->pages)) &&
	       a->prot_none_pages == b->prot_none_pages && a->tables == b->tables;
}

/* Walk and copy, and compare with what the CPU found. */
static struct ovm_error *compare(struct fixture *f, bool *same)
{
	struct ovm_walk_result *results[NR_PROCESSES];
	uint8_t *out = calloc(1, f->size);
	struct ovm_error *err =
		ovm_engine_walk_batch(f->engine, f->requests, NR_PROCESSES, results, NULL);

	*same = true;
	for (size_t i = 0; i < NR_PROCESSES && !err; i++)
		*same &= same_result(results[i], f->expected[i]);
	for (size_t i = 0; i < NR_PROCESSES; i++)
		ovm_walk_result_free(results[i]);
	if (!err)
		err = copy_with(f->engine, f, out);
	*same &= !memcmp(out, f->copied, f->size);
	free(out);
	return err;
}

OVM_TEST(engine_device, walks_all_processes_at_once)
{
	_cleanup_fixture_ struct fixture f = {0};
	bool same;

	ASSERT_OK(fixture_init(&f));
	ASSERT_TRUE(f.expected[0]->nr_runs > 100);
	ASSERT_OK(make_engine(&f, OVM_BACKEND_CUDA));
	ASSERT_STREQ(ovm_engine_backend_name(f.engine), "cuda");
	ASSERT_OK(compare(&f, &same));
	ASSERT_TRUE(same);
	/* And again, with all that is kept. */
	ASSERT_OK(compare(&f, &same));
	ASSERT_TRUE(same);
	ASSERT_STREQ(ovm_engine_backend_name(f.engine), "cuda");
	destroy_engine(&f);
	ASSERT_TRUE(device_model_released());
}

OVM_TEST(engine_device, gives_the_same_runs_whatever_the_batches)
{
	_cleanup_fixture_ struct fixture f = {0};
	const uint32_t sizes[] = {1, 2, 3, 5, 64};
	bool same;

	ASSERT_OK(fixture_init(&f));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		device_model_settings.order = (enum device_model_order)(i % 3);
		ASSERT_OK(make_engine(&f, OVM_BACKEND_CUDA));
		((struct ovm_cuda *)f.engine->state)->max_items = sizes[i];
		ASSERT_OK(compare(&f, &same));
		ASSERT_TRUE(same);
		destroy_engine(&f);
	}
}

/* Whether the device sees all of the guest that has data, or nothing. */
static bool sees(const struct fixture *f, bool all)
{
	struct ovm_engine_device_stats stats;
	struct device_model_stats model;

	ovm_engine_device_stats(f->engine, &stats);
	device_model_stats(f->engine->device, &model);
	if (stats.mapped != model.mapped || stats.nr_pieces != model.mappings)
		return false;
	return all ? stats.mapped && !stats.staged && !stats.reason
		   : !stats.mapped && stats.staged && stats.reason;
}

OVM_TEST(engine_device, tells_how_much_of_the_guest_the_device_sees)
{
	_cleanup_fixture_ struct fixture f = {0};
	struct ovm_engine_device_stats stats = {.mapped = 1, .reason = "none"};

	ASSERT_OK(fixture_init(&f));
	ASSERT_OK(make_engine(&f, OVM_BACKEND_CPU));
	ovm_engine_device_stats(f.engine, &stats);
	ASSERT_EQ_U64(stats.mapped + stats.staged + stats.nr_pieces, 0);
	ASSERT_TRUE(stats.reason == NULL);
	destroy_engine(&f);
	ASSERT_OK(make_engine(&f, OVM_BACKEND_CUDA));
	ASSERT_TRUE(sees(&f, true));
}

static bool refuse_all(const void *host, size_t size)
{
	(void)host;
	(void)size;
	return true;
}

OVM_TEST(engine_device, stages_what_can_not_be_mapped)
{
	_cleanup_fixture_ struct fixture f = {0};
	struct device_model_stats stats;
	bool same;

	ASSERT_OK(fixture_init(&f));
	device_model_settings.refuse = refuse_all;
	ASSERT_OK(make_engine(&f, OVM_BACKEND_CUDA));
	ASSERT_OK(compare(&f, &same));
	ASSERT_TRUE(same);
	ASSERT_STREQ(ovm_engine_backend_name(f.engine), "cuda");
	device_model_stats(f.engine->device, &stats);
	ASSERT_EQ_U64(stats.mapped, 0);
	ASSERT_TRUE(stats.launches > 0);
	ASSERT_TRUE(sees(&f, false));
}

OVM_TEST(engine_device, maps_ram_for_a_device_that_wants_it_writable)
{
	_cleanup_fixture_ struct fixture f = {0};
	struct device_model_stats stats;
	bool same;

	ASSERT_OK(fixture_init(&f));
	device_model_settings.needs_writable = true;
	ASSERT_OK(make_engine(&f, OVM_BACKEND_AUTO));
	ASSERT_STREQ(ovm_engine_backend_name(f.engine), "cuda");
	ASSERT_OK(compare(&f, &same));
	ASSERT_TRUE(same);
	device_model_stats(f.engine->device, &stats);
	ASSERT_TRUE(stats.mapped > 0);
	ASSERT_EQ_U64(stats.refusals, 0);
}

OVM_TEST(engine_device, leaves_to_the_cpu_what_takes_more_memory_than_there_is)
{
	_cleanup_fixture_ struct fixture f = {0};
	bool same;

	ASSERT_OK(fixture_init(&f));
	/* From too little to attach to nearly enough. */
	for (uint64_t memory = 1 * MIB; memory < 128 * MIB; memory *= 2) {
		device_model_settings.memory = memory;
		ASSERT_OK(make_engine(&f, OVM_BACKEND_AUTO));
		ASSERT_OK(compare(&f, &same));
		ASSERT_TRUE(same);
		ASSERT_FALSE(ovm_engine_gave_up(f.engine));
		destroy_engine(&f);
		ASSERT_TRUE(device_model_released());
	}
}

OVM_TEST(engine_device, leaves_it_to_the_cpu_if_nothing_can_be_mapped)
{
	_cleanup_fixture_ struct fixture f = {0};
	bool same;

	ASSERT_OK(fixture_init(&f));
	device_model_settings.refuse = refuse_all;
	ASSERT_OK(make_engine(&f, OVM_BACKEND_AUTO));
	ASSERT_STREQ(ovm_engine_backend_name(f.engine), "cpu");
	ASSERT_TRUE(strstr(ovm_engine_reason(f.engine), "can't be mapped into the GPU") != NULL);
	ASSERT_FALSE(ovm_engine_gave_up(f.engine));
	ASSERT_TRUE(device_model_released());
	ASSERT_OK(compare(&f, &same));
	ASSERT_TRUE(same);
}

OVM_TEST(engine_device, does_without_a_device_that_fails_at_any_call)
{
	_cleanup_fixture_ struct fixture f = {0};
	uint64_t calls = UINT64_MAX, to_attach = 0;
	struct device_model_stats stats;
	bool same;

	ASSERT_OK(fixture_init(&f));
	for (uint64_t n = 0; n <= calls; n += n < 100 ? 1 : 7) {
		device_model_settings.fail_at = n;
		ASSERT_OK(make_engine(&f, OVM_BACKEND_AUTO));
		if (!n) {
			device_model_stats(f.engine->device, &stats);
			to_attach = stats.calls;
		}
		ASSERT_OK(compare(&f, &same));
		ASSERT_TRUE(same);
		if (n) {
			ASSERT_STREQ(ovm_engine_backend_name(f.engine), "cpu");
			ASSERT_TRUE(ovm_engine_reason(f.engine) != NULL);
			/* A device that could not be attached never worked. */
			ASSERT_EQ_U64(ovm_engine_gave_up(f.engine), n > to_attach);
		} else {
			ASSERT_STREQ(ovm_engine_backend_name(f.engine), "cuda");
			device_model_stats(f.engine->device, &stats);
			calls = stats.calls;
		}
		destroy_engine(&f);
		ASSERT_TRUE(device_model_released());
	}
	ASSERT_TRUE(calls > 50);
}

OVM_TEST(engine_device, tells_who_insists_on_it_that_the_device_failed)
{
	_cleanup_fixture_ struct fixture f = {0};
	bool same;

	ASSERT_OK(fixture_init(&f));
	device_model_settings.fail_at = 1;
	ASSERT_ERROR(make_engine(&f, OVM_BACKEND_CUDA), OVM_ERROR_USAGE, "use cpu or auto");
	destroy_engine(&f);
	device_model_settings.fail_at = 0;
	ASSERT_OK(make_engine(&f, OVM_BACKEND_CUDA));

	struct device_model_stats stats;

	device_model_stats(f.engine->device, &stats);
	destroy_engine(&f);
	device_model_settings.fail_at = stats.calls + 1;
	ASSERT_OK(make_engine(&f, OVM_BACKEND_CUDA));
	ASSERT_ERROR(compare(&f, &same), OVM_ERROR_DEVICE, "GPU failed");
	/* Whoever asks again gets the CPU, which does not fail. */
	ASSERT_OK(compare(&f, &same));
	ASSERT_TRUE(same);
}

/* ---- prefix sums ----------------------------------------------------------------------------- */

static void check_scan(uint32_t nr)
{
	uint32_t *in = calloc(nr + 1, sizeof(*in));
	uint64_t *out = calloc(nr + 1, sizeof(*out)), sum = 0;
	uint64_t *sums = calloc(nr / OVM_SCAN_BLOCK + 1, sizeof(*sums));
	const struct ovm_scan_args args = {
		.in = in,
		.nr = nr,
		.sums = sums,
		.nr_blocks = nr / OVM_SCAN_BLOCK + 1,
		.out = out,
	};
	uint32_t wrong = 0;

	for (uint32_t i = 0; i < nr; i++)
		in[i] = i % 1000 ? i * 2654435761u >> 20 : UINT32_MAX;
	for (uint32_t i = 0; i < args.nr_blocks; i++)
		ovm_scan_sums_body(&args, i);
	ovm_scan_tops_body(&args, 0);
	for (uint32_t i = args.nr_blocks; i; i--)
		ovm_scan_body(&args, i - 1);
	for (uint32_t i = 0; i <= nr; i++) {
		wrong += out[i] != sum;
		sum += in[i];
	}
	ASSERT_EQ_U64(wrong, 0);
	free(in);
	free(out);
	free(sums);
}

OVM_TEST(engine_device, makes_prefix_sums)
{
	const uint32_t sizes[] = {0,	1,    15,   16,	   255,	    4095,
				  4096, 4097, 8192, 70000, 1048576, 1300001};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		check_scan(sizes[i]);
}
