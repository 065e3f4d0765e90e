// SPDX-License-Identifier: GPL-2.0-only
#include <getopt.h>
#include <stdio.h>

#include "cli.h"

static const char usage[] =
	"Usage: ovm-gpu ps --qmp SOCK [-a] [--json] [-v]\n"
	"\n"
	"List the processes of the guest, with the container that each belongs to.\n"
	"\n"
	"  --qmp SOCK     QMP socket of the VM\n"
	"  -a, --all      kernel threads too\n"
	"  --json         the list as JSON\n"
	"  -v, --verbose  say what is being done\n"
	"\n"
	"PID is the one in the guest's initial pid namespace, as 'dump -t' takes it; VPID is\n"
	"the one that the process itself sees. S is the state as in ps(1), or F: in the\n"
	"kernel's freezer, where 'dump -s' leaves a process until 'thaw' or 'kill'.\n";

static void print_list(const struct ovm_process_list *list, bool all)
{
	printf("%7s %7s %7s %6s %4s S %9s %-14s %s\n", "PID", "PPID", "VPID", "UID", "THR", "RSS",
	       "CONTAINER", "COMMAND");
	for (size_t i = 0; i < list->nr; i++) {
		const struct ovm_process *p = &list->processes[i];
		const char *container = *p->container		? p->container
					: p->initial_namespaces ? "-"
								: "(namespaces)";

		if (p->kernel_thread && !all)
			continue;
		printf("%7d %7d %7d %6u %4u %c %8luK %-14.12s ", p->pid, p->parent_pid,
		       p->namespace_pid, p->uid, p->nr_threads, p->state,
		       (unsigned long)(p->resident >> 10), container);
		if (*p->command_line)
			puts(p->command_line);
		else
			printf("[%s]\n", p->comm);
	}
}

static struct json_object *list_json(const struct ovm_process_list *list, bool all)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < list->nr; i++) {
		const struct ovm_process *p = &list->processes[i];
		struct json_object *o = json_object_new_object();
		const char state[] = {p->state, '\0'};

		if (p->kernel_thread && !all) {
			json_object_put(o);
			continue;
		}
		json_object_object_add(o, "pid", json_object_new_int(p->pid));
		json_object_object_add(o, "ppid", json_object_new_int(p->parent_pid));
		json_object_object_add(o, "vpid", json_object_new_int(p->namespace_pid));
		json_object_object_add(o, "uid", json_object_new_int64(p->uid));
		json_object_object_add(o, "threads", json_object_new_int64(p->nr_threads));
		json_object_object_add(o, "frozen_threads", json_object_new_int64(p->nr_frozen));
		json_object_object_add(o, "state", json_object_new_string(state));
		json_object_object_add(o, "rss", json_object_new_uint64(p->resident));
		json_object_object_add(o, "kernel_thread",
				       json_object_new_boolean(p->kernel_thread));
		json_object_object_add(o, "initial_namespaces",
				       json_object_new_boolean(p->initial_namespaces));
		json_object_object_add(o, "comm", json_object_new_string(p->comm));
		json_object_object_add(o, "command", json_object_new_string(p->command_line));
		json_object_object_add(o, "cgroup", json_object_new_string(p->cgroup));
		json_object_object_add(o, "container", json_object_new_string(p->container));
		json_object_array_add(array, o);
	}
	return array;
}

int cli_ps(int argc, char **argv)
{
	static const struct option options[] = {
		CLI_COMMON_LONG{"all", no_argument, NULL, 'a'},
		{NULL, 0, NULL, 0},
	};
	struct cli_common common = {.command = "ps"};
	bool all = false;
	int opt, status = -1;

	while ((opt = getopt_long(argc, argv, CLI_COMMON_SHORT "a", options, NULL)) >= 0) {
		if (!cli_common_option(&common, opt, usage, &status))
			all = true;
		if (status >= 0)
			return status;
	}
	if (optind < argc)
		return cli_usage_error(&common, "unexpected argument '%s'", argv[optind]);
	if (!common.qmp)
		return cli_usage_error(&common, "which VM? Name its QMP socket with --qmp");

	struct ovm_attach_options attach = cli_attach_options(&common);
	struct ovm_process_list *list = NULL;
	struct ovm *ovm;
	struct ovm_error *err = ovm_attach(&attach, &ovm);

	if (!err)
		err = ovm_ps(ovm, &list);
	ovm_detach(ovm);
	if (err)
		return cli_fail(&common, err);
	if (common.json) {
		status = cli_print_json(&common, list_json(list, all));
	} else {
		print_list(list, all);
		status = cli_flush(&common);
	}
	ovm_process_list_free(list);
	return status;
}
