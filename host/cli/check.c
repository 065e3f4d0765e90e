// SPDX-License-Identifier: GPL-2.0-only
#include <getopt.h>
#include <stdio.h>

#include "cli.h"

static const char usage[] =
	"Usage: ovm-gpu check --qmp SOCK [--read-only] [--json] [-v]\n"
	"\n"
	"Tell whether processes of a VM can be dumped: one line per requirement, with the\n"
	"remedy where one is not met. The VM is not changed and runs on.\n"
	"\n"
	"  --qmp SOCK     QMP socket of the VM\n"
	"  --read-only    ask for 'dump --read-only', which freezes nothing\n"
	"  --json         the answer as JSON\n"
	"  -v, --verbose  say what is being done\n"
	"\n"
	"Exit status: 0 yes, 1 no, 2 usage.\n";

static void print_item(void *arg, const struct ovm_check_item *item)
{
	printf("%-4s %-28s %s\n", item->ok ? "ok" : "NO", item->requirement, item->finding);
	if (item->remedy)
		printf("     %-28s -> %s\n", "", item->remedy);
}

static void add_item(void *arg, const struct ovm_check_item *item)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "requirement", json_object_new_string(item->requirement));
	json_object_object_add(object, "ok", json_object_new_boolean(item->ok));
	json_object_object_add(object, "finding", json_object_new_string(item->finding));
	if (item->remedy)
		json_object_object_add(object, "remedy", json_object_new_string(item->remedy));
	json_object_array_add(arg, object);
}

static int check_json(const struct cli_common *common)
{
	struct ovm_attach_options options = cli_attach_options(common);
	struct json_object *items = json_object_new_array();
	bool ok;
	struct ovm_error *err = ovm_check(&options, add_item, items, &ok);

	if (err) {
		json_object_put(items);
		return cli_fail(common, err);
	}

	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "ok", json_object_new_boolean(ok));
	json_object_object_add(object, "requirements", items);

	int status = cli_print_json(common, object);

	return status ? status : ok ? CLI_OK : CLI_NO;
}

static int check_text(const struct cli_common *common)
{
	struct ovm_attach_options options = cli_attach_options(common);
	bool ok;
	struct ovm_error *err = ovm_check(&options, print_item, NULL, &ok);

	if (err)
		return cli_fail(common, err);

	int status = cli_flush(common);

	return status ? status : ok ? CLI_OK : CLI_NO;
}

int cli_check(int argc, char **argv)
{
	static const struct option options[] = {CLI_COMMON_LONG{NULL, 0, NULL, 0}};
	struct cli_common common = {.command = "check"};
	int opt, status = -1;

	while ((opt = getopt_long(argc, argv, CLI_COMMON_SHORT, options, NULL)) >= 0) {
		cli_common_option(&common, opt, usage, &status);
		if (status >= 0)
			return status;
	}
	if (optind < argc)
		return cli_usage_error(&common, "unexpected argument '%s'", argv[optind]);
	if (!common.qmp)
		return cli_usage_error(&common, "which VM? Name its QMP socket with --qmp");
	return common.json ? check_json(&common) : check_text(&common);
}
