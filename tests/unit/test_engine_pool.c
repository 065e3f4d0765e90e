// SPDX-License-Identifier: GPL-2.0-only
/* The page engine's worker threads. */
#include <stdatomic.h>
#include <unistd.h>

#include "kernels-cuda/placement.h"
#include "kernels-cuda/pool.h"
#include "test.h"

enum {
	NR_ITEMS = 5000,
};

struct work {
	atomic_uint done[NR_ITEMS];
	atomic_uint total;
	size_t fail_from;
	unsigned int nr_threads;
	atomic_bool bad_worker;
	unsigned int polls;
	unsigned int polls_left;
};

static struct ovm_error *do_item(void *arg, unsigned int worker, size_t item)
{
	struct work *work = arg;

	if (worker >= work->nr_threads)
		atomic_store(&work->bad_worker, true);
	atomic_fetch_add(&work->done[item], 1);
	atomic_fetch_add(&work->total, 1);
	if (work->fail_from && item >= work->fail_from)
		return ovm_error_format(OVM_ERROR_CORRUPT, "item %zu", item);
	return NULL;
}

static void check_all_done(unsigned int nr_threads, bool with_nodes)
{
	static unsigned char nodes[NR_ITEMS];
	struct work work = {.nr_threads = nr_threads};
	const struct ovm_pool_job job = {
		.nr = NR_ITEMS,
		.nodes = with_nodes ? nodes : NULL,
		.run = do_item,
		.arg = &work,
	};
	struct ovm_pool *pool;

	/* Nodes that exist and nodes that don't: the queues don't care. */
	for (unsigned int i = 0; i < NR_ITEMS; i++)
		nodes[i] = (unsigned char)(i * 7 % 70);
	ASSERT_OK(ovm_pool_create(nr_threads, &pool));
	ASSERT_EQ_U64(ovm_pool_nr_threads(pool), nr_threads);
	for (unsigned int round = 1; round <= 3; round++) {
		ASSERT_OK(ovm_pool_run(pool, &job));
		for (unsigned int i = 0; i < NR_ITEMS; i++)
			ASSERT_EQ_U64(work.done[i], round);
	}
	ASSERT_FALSE(work.bad_worker);
	ovm_pool_destroy(pool);
}

OVM_TEST(engine_pool, does_each_item_once)
{
	check_all_done(1, false);
	check_all_done(2, false);
	check_all_done(7, false);
}

OVM_TEST(engine_pool, does_each_item_once_whatever_its_node)
{
	check_all_done(1, true);
	check_all_done(3, true);
}

OVM_TEST(engine_pool, does_nothing_when_there_is_nothing)
{
	const struct ovm_pool_job job = {.run = do_item};
	struct ovm_pool *pool;

	ASSERT_OK(ovm_pool_create(2, &pool));
	ASSERT_OK(ovm_pool_run(pool, &job));
	ovm_pool_destroy(pool);
	ovm_pool_destroy(NULL);
}

OVM_TEST(engine_pool, stops_at_an_error_and_can_be_used_again)
{
	struct work work = {.nr_threads = 4, .fail_from = 100};
	struct ovm_pool_job job = {.nr = NR_ITEMS, .run = do_item, .arg = &work};
	struct ovm_pool *pool;

	ASSERT_OK(ovm_pool_create(4, &pool));
	ASSERT_ERROR(ovm_pool_run(pool, &job), OVM_ERROR_CORRUPT, "item 10");
	ASSERT_TRUE(work.total < 110);
	job.nr = 100;
	ASSERT_OK(ovm_pool_run(pool, &job));
	ovm_pool_destroy(pool);
}

static struct ovm_error *do_slow_item(void *arg, unsigned int worker, size_t item)
{
	usleep(2000);
	return do_item(arg, worker, item);
}

static bool poll_work(void *arg)
{
	struct work *work = arg;

	work->polls++;
	return !work->polls_left--;
}

static void check_stop(unsigned int nr_threads)
{
	struct work work = {.nr_threads = nr_threads, .polls_left = 2};
	const struct ovm_pool_job job = {
		.nr = NR_ITEMS,
		.run = do_slow_item,
		.arg = &work,
		.poll = poll_work,
		.poll_arg = &work,
	};
	struct ovm_pool *pool;

	ASSERT_OK(ovm_pool_create(nr_threads, &pool));
	ASSERT_ERROR(ovm_pool_run(pool, &job), OVM_ERROR_CANCELLED, NULL);
	ASSERT_EQ_U64(work.polls, 3);
	ASSERT_TRUE(work.total > 0 && work.total < NR_ITEMS / 2);
	ovm_pool_destroy(pool);
}

OVM_TEST(engine_pool, stops_when_polled)
{
	check_stop(1);
	check_stop(3);
}

OVM_TEST(engine_pool, works_on_machines_with_one_node)
{
	uint8_t *buf = ovm_placement_alloc(1 << 20, -1);

	ASSERT_TRUE(buf);
	buf[(1 << 20) - 1] = 1;
	ovm_placement_free(buf, 1 << 20);
	ovm_placement_free(NULL, 0);
	ovm_placement_bind(-1);
	ASSERT_TRUE(ovm_placement_worker_node(5) >= -1);
	/* A node that can't be bound to changes nothing. */
	ovm_placement_bind(63);
	buf = ovm_placement_alloc(4096, 63);
	ASSERT_TRUE(buf);
	buf[0] = 1;
	ovm_placement_free(buf, 4096);
}
