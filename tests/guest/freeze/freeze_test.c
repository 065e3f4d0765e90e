// SPDX-License-Identifier: GPL-2.0-only
/*
 * Drive the freezer of a VM, one operation at a time or in cycles.
 *
 *	freeze-test [OPTIONS] --qmp SOCK
 *		Reads commands from standard input, a line each:
 *			freeze|thaw|kill pid PID
 *			freeze|thaw|kill cgroup PATH
 *			check		is what was frozen still frozen?
 *			keep		leave it frozen at the end
 *	freeze-test [OPTIONS] --qmp SOCK --pid PID|--cgroup PATH --cycles N [--hold MS] [--run MS]
 *		Freezes and thaws so often, for random times of at most so many milliseconds.
 *	--timeout MS	how long an operation may take
 *	--seed N	of the random times
 *	--log		show each write of guest memory
 *
 * Prints a line of JSON for each operation.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/context.h"
#include "vmi/freeze.h"
#include "vmi/json.h"

struct arguments {
	const char *qmp;
	struct ovm_freeze_set set;
	unsigned int cycles, hold_ms, run_ms, timeout_ms;
	bool log;
};

static const struct option long_options[] = {
	{"qmp", required_argument, NULL, 'q'},	   {"pid", required_argument, NULL, 'p'},
	{"cgroup", required_argument, NULL, 'g'},  {"cycles", required_argument, NULL, 'n'},
	{"hold", required_argument, NULL, 'h'},	   {"run", required_argument, NULL, 'r'},
	{"timeout", required_argument, NULL, 't'}, {"seed", required_argument, NULL, 's'},
	{"log", no_argument, NULL, 'l'},	   {NULL, 0, NULL, 0},
};

static void log_write(void *arg, const struct ovm_write *write)
{
	(void)arg;
	fprintf(stderr, "write %s.%s at 0x%llx: 0x%llx -> 0x%llx\n", write->type, write->member,
		(unsigned long long)write->address, (unsigned long long)write->from,
		(unsigned long long)write->to);
}

static void add_number(struct json_object *object, const char *key, uint64_t value)
{
	json_object_object_add(object, key, json_object_new_int64((int64_t)value));
}

/* Tell what an operation took and how it ended; whether it is done. */
static bool report(const char *operation, const struct ovm_freeze_stats *stats,
		   struct ovm_error *err)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();

	json_object_object_add(object, "op", json_object_new_string(operation));
	add_number(object, "us", stats->total_us);
	add_number(object, "processes", stats->nr_processes);
	add_number(object, "threads", stats->nr_threads);
	add_number(object, "woken", stats->nr_woken);
	add_number(object, "writes", stats->nr_writes);
	add_number(object, "interrupts", stats->nr_interrupts);
	add_number(object, "pauses", stats->nr_pauses);
	add_number(object, "pause_us_max", stats->pause_us_max);
	add_number(object, "pause_us_total", stats->pause_us_total);
	add_number(object, "work_us_max", stats->work_us_max);
	add_number(object, "code", err ? (uint64_t)err->code : 0);
	json_object_object_add(object, "error", err ? json_object_new_string(err->message) : NULL);
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
	fflush(stdout);
	bool done = !err;

	ovm_error_free(err);
	return done;
}

static bool operate(struct ovm_freezer *freezer, const char *operation,
		    const struct ovm_freeze_set *set)
{
	struct ovm_freeze_stats stats = {0};
	struct ovm_error *err = NULL;

	if (!strcmp(operation, "freeze"))
		err = ovm_freeze(freezer, set, &stats);
	else if (!strcmp(operation, "thaw"))
		err = ovm_thaw(freezer, set, &stats);
	else if (!strcmp(operation, "kill"))
		err = ovm_kill(freezer, set, &stats);
	else if (!strcmp(operation, "check"))
		err = ovm_freezer_check(freezer);
	else if (!strcmp(operation, "keep"))
		ovm_freezer_keep(freezer);
	else
		err = ovm_error_format(OVM_ERROR_USAGE, "there is no operation %s", operation);
	return report(operation, &stats, err);
}

static void sleep_randomly(unsigned int ms)
{
	usleep(ms ? (useconds_t)(rand() % (int)(ms * 1000)) : 0);
}

static bool run_cycles(struct ovm_freezer *freezer, const struct arguments *arguments)
{
	for (unsigned int i = 0; i < arguments->cycles; i++) {
		if (!operate(freezer, "freeze", &arguments->set))
			return false;
		sleep_randomly(arguments->hold_ms);
		if (!operate(freezer, "check", NULL) || !operate(freezer, "thaw", &arguments->set))
			return false;
		sleep_randomly(arguments->run_ms);
	}
	return true;
}

/* Failures are for the reader of the output to judge. */
static bool run_commands(struct ovm_freezer *freezer)
{
	char line[512];

	while (fgets(line, sizeof(line), stdin)) {
		const char *operation = strtok(line, " \n");
		const char *kind = strtok(NULL, " \n"), *name = strtok(NULL, " \n");
		struct ovm_freeze_set set = {0};

		if (kind && name && !strcmp(kind, "pid"))
			set.pid = atoi(name);
		else if (kind && name)
			set.cgroup = name;
		operate(freezer, operation ? operation : "", &set);
	}
	return true;
}

static struct ovm_error *run(struct ovm *ovm, const struct arguments *arguments, bool *done)
{
	struct ovm_freezer *freezer = NULL;
	const struct ovm_freezer_options options = {
		.size = sizeof(options),
		.vm = ovm->vm,
		.kernel = ovm->kernel,
		.llv = ovm->llv,
		.timeout_ms = arguments->timeout_ms,
		.log = arguments->log ? log_write : NULL,
	};
	struct ovm_error *err = ovm_freezer_create(&options, &freezer);

	if (err)
		return err;
	report("ready", &(struct ovm_freeze_stats){0}, NULL);
	*done = arguments->cycles ? run_cycles(freezer, arguments) : run_commands(freezer);
	ovm_freezer_destroy(freezer);
	return NULL;
}

static bool parse_option(struct arguments *arguments, int option)
{
	const unsigned int number = optarg ? (unsigned int)strtoul(optarg, NULL, 10) : 0;

	switch (option) {
	case 'q':
		arguments->qmp = optarg;
		return true;
	case 'p':
		arguments->set.pid = (pid_t)number;
		return true;
	case 'g':
		arguments->set.cgroup = optarg;
		return true;
	case 'n':
		arguments->cycles = number;
		return true;
	case 'h':
		arguments->hold_ms = number;
		return true;
	case 'r':
		arguments->run_ms = number;
		return true;
	case 't':
		arguments->timeout_ms = number;
		return true;
	case 's':
		srand(number);
		return true;
	case 'l':
		arguments->log = true;
		return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	struct arguments arguments = {0};
	struct ovm *ovm = NULL;
	bool done = false;
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) >= 0)
		if (!parse_option(&arguments, option))
			return 2;
	if (!arguments.qmp || optind != argc) {
		fprintf(stderr, "freeze-test: --qmp SOCK is needed, and no more than options\n");
		return 2;
	}
	const struct ovm_attach_options options = {.size = sizeof(options),
						   .qmp_path = arguments.qmp};
	struct ovm_error *err = ovm_attach(&options, &ovm);

	if (!err)
		err = run(ovm, &arguments, &done);
	if (err)
		report("attach", &(struct ovm_freeze_stats){0}, err);
	ovm_detach(ovm);
	return done ? 0 : 1;
}
