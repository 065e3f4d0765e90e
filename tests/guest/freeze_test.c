// SPDX-License-Identifier: GPL-2.0-only
/*
 * freeze-test QMP PID freeze|thaw|kill: do that once.
 * freeze-test QMP PID CYCLES: freeze and thaw that often; prints what it took, as JSON.
 *
 * With OVM_LOG set, each write is shown.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host/context.h"
#include "vmi/freeze.h"
#include "vmi/pause.h"

enum { MAX_CYCLES = 100000 };

/* Microseconds of one kind of operation, one value a cycle. */
struct series {
	uint64_t us[MAX_CYCLES];
	unsigned int nr;
};

static struct series freezing, thawing, pauses;

static void add(struct series *series, uint64_t us)
{
	if (series->nr < MAX_CYCLES)
		series->us[series->nr++] = us;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void print_series(const char *name, struct series *series, const char *end)
{
	qsort(series->us, series->nr, sizeof(*series->us), compare);
	if (!series->nr)
		add(series, 0);
	printf("  \"%s\": {\"p50\": %llu, \"p99\": %llu, \"max\": %llu}%s\n", name,
	       (unsigned long long)series->us[series->nr / 2],
	       (unsigned long long)series->us[series->nr * 99 / 100],
	       (unsigned long long)series->us[series->nr - 1], end);
}

static void log_write(void *arg, const struct ovm_write *write, uint64_t address)
{
	(void)arg;
	fprintf(stderr, "write %s.%s at 0x%llx: 0x%llx -> 0x%llx\n", write->type, write->member,
		(unsigned long long)address, (unsigned long long)write->expected,
		(unsigned long long)write->value);
}

static void print_stats(const char *what, const struct ovm_freezer_stats *stats)
{
	printf("{\"%s_us\": %llu, \"threads\": %u, \"woken\": %u, \"writes\": %u, \"pauses\": %u, "
	       "\"pause_max_us\": %llu}\n",
	       what, (unsigned long long)stats->total_us, stats->nr_threads, stats->nr_woken,
	       stats->nr_writes, stats->nr_pauses, (unsigned long long)stats->pause_us_max);
}

static void pause_randomly(void)
{
	usleep((useconds_t)(rand() % 5000));
}

static struct ovm_error *cycles(struct ovm_freezer *freezer, pid_t pid, unsigned int nr)
{
	struct ovm_freezer_stats stats;
	struct ovm_error *err = NULL;
	unsigned int i;

	for (i = 0; i < nr && !err; i++) {
		err = ovm_freeze(freezer, pid, &stats);
		if (err)
			break;
		add(&freezing, stats.total_us);
		add(&pauses, stats.pause_us_max);
		pause_randomly();
		err = ovm_thaw(freezer, pid, &stats);
		add(&thawing, stats.total_us);
		add(&pauses, stats.pause_us_max);
		pause_randomly();
	}
	printf("{\n  \"cycles\": %u,\n  \"threads\": %u,\n", i, stats.nr_threads);
	print_series("freeze_us", &freezing, ",");
	print_series("thaw_us", &thawing, ",");
	print_series("pause_us", &pauses, "\n}");
	return err;
}

static struct ovm_error *operate(struct ovm_freezer *freezer, pid_t pid, const char *what)
{
	struct ovm_freezer_stats stats = {0};
	struct ovm_error *err;

	if (!strcmp(what, "freeze"))
		err = ovm_freeze(freezer, pid, &stats);
	else if (!strcmp(what, "thaw"))
		err = ovm_thaw(freezer, pid, &stats);
	else if (!strcmp(what, "kill"))
		err = ovm_kill(freezer, pid, &stats);
	else
		return cycles(freezer, pid, (unsigned int)atoi(what));
	print_stats(what, &stats);
	return err;
}

static struct ovm_error *test(struct ovm *ovm, pid_t pid, const char *what)
{
	struct ovm_pause *pause = NULL;
	struct ovm_freezer *freezer = NULL;
	struct ovm_error *err = ovm_pause_create(ovm->vm, &pause);
	struct ovm_freezer_options options = {
		.size = sizeof(options),
		.vm = ovm->vm,
		.kernel = ovm->kernel,
		.llv = ovm->llv,
		.pause = pause,
		.read_only = getenv("OVM_READ_ONLY") != NULL,
		.log = getenv("OVM_LOG") ? log_write : NULL,
	};

	if (!err)
		err = ovm_freezer_create(&options, &freezer);
	if (!err)
		err = operate(freezer, pid, what);
	ovm_freezer_destroy(freezer);
	ovm_pause_destroy(pause);
	return err;
}

int main(int argc, char **argv)
{
	struct ovm_attach_options options = {.size = sizeof(options), .qmp_path = argv[1]};
	struct ovm *ovm = NULL;

	if (argc != 4) {
		fprintf(stderr, "usage: freeze-test QMP PID freeze|thaw|kill|CYCLES\n");
		return 2;
	}
	struct ovm_error *err = ovm_attach(&options, &ovm);

	if (!err)
		err = test(ovm, atoi(argv[2]), argv[3]);
	if (err)
		fprintf(stderr, "freeze-test: %s\n", err->message);
	ovm_detach(ovm);
	int status = err ? 1 : 0;

	ovm_error_free(err);
	return status;
}
