// SPDX-License-Identifier: GPL-2.0-only
/* What thaw and kill have in common. */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

enum {
	OPT_CGROUP = CLI_OPT_SPECIFIC,
	OPT_TIMEOUT,
};

static int parse_option(const struct cli_common *common, int opt,
			struct ovm_processes_options *options)
{
	long number;

	switch (opt) {
	case 't':
		if (!cli_parse_number(optarg, 1, INT_MAX, &number))
			return cli_usage_error(common, "'%s' is no pid", optarg);
		options->pid = (int32_t)number;
		return -1;
	case OPT_CGROUP:
		options->cgroup = optarg;
		return -1;
	case OPT_TIMEOUT:
		if (!cli_parse_timeout(optarg, &options->timeout_ms))
			return cli_usage_error(
				common, "--timeout takes seconds up to 86400, not '%s'", optarg);
		return -1;
	}
	return -1;
}

static int check_usage(const struct cli_common *common, const struct ovm_processes_options *options)
{
	if (!common->qmp)
		return cli_usage_error(common, "which VM? Name its QMP socket with --qmp");
	if (!options->pid && !options->cgroup)
		return cli_usage_error(
			common, "which processes? Name a pid with -t, or a cgroup with --cgroup");
	if (options->pid && options->cgroup)
		return cli_usage_error(common, "either -t or --cgroup, not both");
	if (options->cgroup && options->cgroup[0] != '/')
		return cli_usage_error(common,
				       "'%s' is no cgroup: its path begins with '/', as 'ovm-gpu "
				       "ps --json' shows it",
				       options->cgroup);
	if (common->read_only)
		return cli_usage_error(common, "this writes guest memory, which --read-only "
					       "forbids");
	return -1;
}

static struct json_object *result_json(const struct ovm_processes_options *options,
				       const struct ovm_processes_result *result)
{
	struct json_object *o = json_object_new_object();
	const struct {
		const char *name;
		uint64_t value;
	} figures[] = {
		{"processes", result->nr_processes},
		{"threads", result->nr_threads},
		{"woken", result->nr_woken},
		{"writes", result->nr_writes},
		{"interrupts", result->nr_interrupts},
		{"pauses", result->nr_pauses},
		{"paused_max_us", result->paused_us_max},
		{"paused_total_us", result->paused_total_us},
		{"total_us", result->total_us},
	};

	if (options->cgroup)
		json_object_object_add(o, "cgroup", json_object_new_string(options->cgroup));
	else
		json_object_object_add(o, "pid", json_object_new_int(options->pid));
	json_object_object_add(o, "changed", json_object_new_boolean(result->nr_writes > 0));
	for (size_t i = 0; i < sizeof(figures) / sizeof(*figures); i++)
		json_object_object_add(o, figures[i].name,
				       json_object_new_uint64(figures[i].value));
	return o;
}

static void print_result(const struct cli_processes *what,
			 const struct ovm_processes_options *options,
			 const struct ovm_processes_result *result)
{
	if (options->cgroup)
		printf("cgroup %s: ", options->cgroup);
	else
		printf("pid %d: ", options->pid);
	printf("%s; %u process%s, %u thread%s, %.1f ms",
	       !result->nr_writes && what->nothing ? what->nothing : what->done,
	       result->nr_processes, result->nr_processes == 1 ? "" : "es", result->nr_threads,
	       result->nr_threads == 1 ? "" : "s", (double)result->total_us / 1000);
	if (result->nr_pauses)
		printf(", VM paused %u time%s for %.1f ms at most", result->nr_pauses,
		       result->nr_pauses == 1 ? "" : "s", (double)result->paused_us_max / 1000);
	putchar('\n');
}

static int run(const struct cli_processes *what, const struct cli_common *common,
	       const struct ovm_processes_options *options)
{
	struct ovm_processes_result result = {.size = sizeof(result)};
	struct ovm_attach_options attach = cli_attach_options(common);
	struct ovm *ovm;
	struct ovm_error *err = ovm_attach(&attach, &ovm);

	if (!err) {
		cli_cancel_on_signal(ovm);
		err = what->run(ovm, options, &result);
		cli_cancel_on_signal(NULL);
	}
	ovm_detach(ovm);
	if (err)
		return cli_fail(common, err);
	if (common->json)
		return cli_print_json(common, result_json(options, &result));
	print_result(what, options, &result);
	return cli_flush(common);
}

int cli_processes(const struct cli_processes *what, int argc, char **argv)
{
	static const struct option long_options[] = {
		CLI_COMMON_LONG{"tree", required_argument, NULL, 't'},
		{"cgroup", required_argument, NULL, OPT_CGROUP},
		{"timeout", required_argument, NULL, OPT_TIMEOUT},
		{NULL, 0, NULL, 0},
	};
	struct cli_common common = {.command = what->command};
	struct ovm_processes_options options = {.size = sizeof(options)};
	int opt, status = -1;

	while ((opt = getopt_long(argc, argv, CLI_COMMON_SHORT "t:", long_options, NULL)) >= 0) {
		if (!cli_common_option(&common, opt, what->usage, &status))
			status = parse_option(&common, opt, &options);
		if (status >= 0)
			return status;
	}
	if (optind < argc)
		return cli_usage_error(&common, "unexpected argument '%s'", argv[optind]);
	status = check_usage(&common, &options);
	return status >= 0 ? status : run(what, &common, &options);
}
