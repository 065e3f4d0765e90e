// SPDX-License-Identifier: GPL-2.0-only
#include "pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "../vmi/cleanup.h"
#include "placement.h"

enum {
	/* How often the waiting thread calls poll. */
	POLL_INTERVAL_NS = 20 * 1000 * 1000,
};

/* The items of one node, to be taken from the front. */
struct queue {
	size_t first;
	size_t end;
	atomic_size_t next;
};

struct worker {
	struct ovm_pool *pool;
	pthread_t thread;
	unsigned int index;
	int node;
};

struct ovm_pool {
	pthread_mutex_t lock;
	pthread_cond_t work;
	pthread_cond_t done;
	unsigned int nr_threads;
	unsigned int nr_started;
	/* Under the lock: counts jobs, so that a worker sees each once. */
	unsigned long generation;
	unsigned int nr_running;
	bool stop;
	/* The job; constant while workers run. */
	const struct ovm_pool_job *job;
	size_t *order;
	struct queue queues[OVM_MAX_NODES];
	atomic_bool abandon;
	/* Under the lock. */
	struct ovm_error *err;
	size_t err_item;
	struct worker workers[];
};

/* Take the next item of a node; false when there is none left. */
static bool queue_take(struct ovm_pool *pool, unsigned int node, size_t *ret)
{
	struct queue *queue = &pool->queues[node];

	if (atomic_load_explicit(&queue->next, memory_order_relaxed) >= queue->end)
		return false;

	size_t i = atomic_fetch_add_explicit(&queue->next, 1, memory_order_relaxed);

	if (i >= queue->end)
		return false;
	*ret = pool->order ? pool->order[i] : i;
	return true;
}

/* Take an item of the own node, or else of another one. */
static bool pool_take(struct ovm_pool *pool, int own_node, size_t *ret)
{
	unsigned int own = own_node < 0 ? 0 : (unsigned int)own_node % OVM_MAX_NODES;

	if (atomic_load_explicit(&pool->abandon, memory_order_relaxed))
		return false;
	for (unsigned int i = 0; i < OVM_MAX_NODES; i++) {
		if (queue_take(pool, (own + i) % OVM_MAX_NODES, ret))
			return true;
	}
	return false;
}

/* Keep the error of the lowest item. */
static void pool_fail(struct ovm_pool *pool, size_t item, struct ovm_error *err)
{
	pthread_mutex_lock(&pool->lock);
	if (!pool->err || item < pool->err_item) {
		struct ovm_error *old = pool->err;

		pool->err = err;
		pool->err_item = item;
		err = old;
	}
	pthread_mutex_unlock(&pool->lock);
	ovm_error_free(err);
	atomic_store(&pool->abandon, true);
}

static bool pool_run_one(struct ovm_pool *pool, unsigned int worker)
{
	size_t item;

	if (!pool_take(pool, pool->workers[worker].node, &item))
		return false;

	struct ovm_error *err = pool->job->run(pool->job->arg, worker, item);

	if (err)
		pool_fail(pool, item, err);
	return true;
}

static void *worker_main(void *arg)
{
	struct worker *worker = arg;
	struct ovm_pool *pool = worker->pool;
	unsigned long seen = 0;

	ovm_placement_bind(worker->node);
	pthread_mutex_lock(&pool->lock);
	for (;;) {
		while (!pool->stop && pool->generation == seen)
			pthread_cond_wait(&pool->work, &pool->lock);
		if (pool->stop)
			break;
		seen = pool->generation;
		pthread_mutex_unlock(&pool->lock);
		while (pool_run_one(pool, worker->index))
			;
		pthread_mutex_lock(&pool->lock);
		if (--pool->nr_running == 0)
			pthread_cond_signal(&pool->done);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* Start the threads with all signals blocked: signals are the program's, not the library's. */
static int pool_start(struct ovm_pool *pool)
{
	sigset_t all, old;
	int ret = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (pool->nr_started < pool->nr_threads && !ret) {
		struct worker *worker = &pool->workers[pool->nr_started];

		ret = pthread_create(&worker->thread, NULL, worker_main, worker);
		if (!ret)
			pool->nr_started++;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ret;
}

static void pool_init(struct ovm_pool *pool, unsigned int nr_threads)
{
	pthread_condattr_t attr;

	pool->nr_threads = nr_threads;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&pool->done, &attr);
	pthread_condattr_destroy(&attr);
	for (unsigned int i = 0; i < nr_threads; i++) {
		struct worker *worker = &pool->workers[i];

		worker->pool = pool;
		worker->index = i;
		worker->node = ovm_placement_worker_node(i);
	}
}

struct ovm_error *ovm_pool_create(unsigned int nr_threads, struct ovm_pool **ret)
{
	struct ovm_pool *pool = calloc(1, sizeof(*pool) + nr_threads * sizeof(pool->workers[0]));

	if (!pool)
		return ovm_error_no_memory();
	pool_init(pool, nr_threads);

	/* A single unbound worker would only take turns with the thread that waits for it. */
	if (nr_threads > 1 || pool->workers[0].node >= 0) {
		int errnum = pool_start(pool);

		if (errnum) {
			ovm_pool_destroy(pool);
			return ovm_error_errno(OVM_ERROR_NO_MEMORY, errnum, NULL,
					       "can't start %u threads, use fewer", nr_threads);
		}
	}
	*ret = pool;
	return NULL;
}

void ovm_pool_destroy(struct ovm_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stop = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned int i = 0; i < pool->nr_started; i++)
		pthread_join(pool->workers[i].thread, NULL);
	pthread_cond_destroy(&pool->work);
	pthread_cond_destroy(&pool->done);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

unsigned int ovm_pool_nr_threads(const struct ovm_pool *pool)
{
	return pool->nr_threads;
}

int ovm_pool_node(const struct ovm_pool *pool, unsigned int worker)
{
	return pool->workers[worker].node;
}

/* Sort the items by node, keeping their order within each; without nodes all are in queue 0. */
static void pool_fill_queues(struct ovm_pool *pool)
{
	const struct ovm_pool_job *job = pool->job;
	size_t count[OVM_MAX_NODES] = {0};
	size_t first = 0;

	for (size_t i = 0; pool->order && i < job->nr; i++)
		count[job->nodes[i] % OVM_MAX_NODES]++;
	if (!pool->order)
		count[0] = job->nr;
	for (unsigned int node = 0; node < OVM_MAX_NODES; node++) {
		pool->queues[node].first = first;
		first += count[node];
		pool->queues[node].end = pool->queues[node].first;
	}
	for (size_t i = 0; pool->order && i < job->nr; i++)
		pool->order[pool->queues[job->nodes[i] % OVM_MAX_NODES].end++] = i;
	if (!pool->order)
		pool->queues[0].end = job->nr;
	for (unsigned int node = 0; node < OVM_MAX_NODES; node++)
		atomic_store(&pool->queues[node].next, pool->queues[node].first);
}

static bool job_poll(const struct ovm_pool_job *job)
{
	return job->poll && job->poll(job->poll_arg);
}

static void deadline_after(struct timespec *deadline, long ns)
{
	clock_gettime(CLOCK_MONOTONIC, deadline);
	deadline->tv_nsec += ns;
	if (deadline->tv_nsec >= 1000000000) {
		deadline->tv_nsec -= 1000000000;
		deadline->tv_sec++;
	}
}

/* Let the workers do the job, polling now and then; false when poll said stop. */
static bool pool_run_workers(struct ovm_pool *pool)
{
	bool stopped = false;

	pthread_mutex_lock(&pool->lock);
	pool->nr_running = pool->nr_threads;
	pool->generation++;
	pthread_cond_broadcast(&pool->work);
	while (pool->nr_running) {
		struct timespec deadline;

		deadline_after(&deadline, POLL_INTERVAL_NS);
		if (pthread_cond_timedwait(&pool->done, &pool->lock, &deadline) != ETIMEDOUT)
			continue;
		pthread_mutex_unlock(&pool->lock);
		if (!stopped && job_poll(pool->job)) {
			stopped = true;
			atomic_store(&pool->abandon, true);
		}
		pthread_mutex_lock(&pool->lock);
	}
	pthread_mutex_unlock(&pool->lock);
	return !stopped;
}

/* Do the job in this thread. */
static bool pool_run_here(struct ovm_pool *pool)
{
	while (pool_run_one(pool, 0)) {
		if (job_poll(pool->job))
			return false;
	}
	return true;
}

struct ovm_error *ovm_pool_run(struct ovm_pool *pool, const struct ovm_pool_job *job)
{
	_cleanup_free_ size_t *order = NULL;

	if (job_poll(job))
		return ovm_error_format(OVM_ERROR_CANCELLED, "stopped on request");
	if (job->nodes) {
		order = calloc(job->nr ? job->nr : 1, sizeof(*order));
		if (!order)
			return ovm_error_no_memory();
	}
	pool->job = job;
	pool->order = order;
	pool->err = NULL;
	atomic_store(&pool->abandon, false);
	pool_fill_queues(pool);

	bool here = !pool->nr_started || job->nr <= 1;
	bool finished = here ? pool_run_here(pool) : pool_run_workers(pool);
	struct ovm_error *err = pool->err;

	pool->job = NULL;
	pool->order = NULL;
	pool->err = NULL;
	if (!err && !finished)
		err = ovm_error_format(OVM_ERROR_CANCELLED, "stopped on request");
	return err;
}
