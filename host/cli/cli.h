/* SPDX-License-Identifier: GPL-2.0-only */
/* What the subcommands of ovm-gpu share. */
#ifndef OVM_HOST_CLI_CLI_H
#define OVM_HOST_CLI_CLI_H

#include <stdbool.h>

#include <json-c/json.h>

#include "host/ovm-gpu.h"

/** Exit statuses, as the manual page lists them. */
enum cli_status {
	CLI_OK = 0,
	CLI_NO = 1,
	CLI_USAGE = 2,
	CLI_UNREACHABLE = 3,
	CLI_KERNEL = 4,
	CLI_NOT_DUMPABLE = 5,
	CLI_INCONSISTENT = 6,
	CLI_OUTPUT = 7,
	CLI_INTERRUPTED = 130,
};

/** Options that every subcommand takes. */
struct cli_common {
	const char *command;
	const char *qmp;
	bool json;
	bool read_only;
	int verbose;
};

/** Short and long options that go with struct cli_common, for getopt_long(3). */
#define CLI_COMMON_SHORT "hv"
enum {
	CLI_OPT_QMP = 0x100,
	CLI_OPT_JSON,
	CLI_OPT_READ_ONLY,
	CLI_OPT_SPECIFIC, /* the first value that a subcommand may use */
};
#define CLI_COMMON_LONG                                                                           \
	{"qmp", required_argument, NULL, CLI_OPT_QMP}, {"json", no_argument, NULL, CLI_OPT_JSON}, \
		{"read-only", no_argument, NULL, CLI_OPT_READ_ONLY},                              \
		{"verbose", no_argument, NULL, 'v'}, {"help", no_argument, NULL, 'h'},

/**
 * Take one of the common options; false if @opt is none of them. For -h, prints @usage and sets
 * *@status to CLI_OK; for a usage error to CLI_USAGE; else leaves it at -1.
 */
bool cli_common_option(struct cli_common *common, int opt, const char *usage, int *status);

/** Complain about the command line and return CLI_USAGE. */
int cli_usage_error(const struct cli_common *common, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** Read a decimal number in @min..@max; false for anything else. */
bool cli_parse_number(const char *text, long min, long max, long *ret);

/** Read a number of bytes, not 0, that may end with K, M or G; false for anything else. */
bool cli_parse_size(const char *text, uint64_t *ret);

/** Read seconds, up to a day, as milliseconds; false for anything else. */
bool cli_parse_timeout(const char *text, unsigned int *ret);

/** Fill attach options from the common ones. */
struct ovm_attach_options cli_attach_options(const struct cli_common *common);

/** Report @err (with --json as an object on stdout), free it and return the exit status. */
int cli_fail(const struct cli_common *common, struct ovm_error *err);

/** Exit status for an error. */
int cli_status_of(const struct ovm_error *err);

/** Print @object and a newline on stdout and free it; status is that of the output. */
int cli_print_json(const struct cli_common *common, struct json_object *object);

/** Flush stdout; CLI_OK, or CLI_OUTPUT after complaining. */
int cli_flush(const struct cli_common *common);

/** Let SIGINT and SIGTERM cancel what @ovm does; NULL undoes it. */
void cli_cancel_on_signal(struct ovm *ovm);

/** Whether a signal asked to stop. */
bool cli_interrupted(void);

int cli_check(int argc, char **argv);
int cli_ps(int argc, char **argv);
int cli_dump(int argc, char **argv);
int cli_thaw(int argc, char **argv);
int cli_kill(int argc, char **argv);

/** What thaw and kill differ in. */
struct cli_processes {
	const char *command, *usage;
	/** "thawed" */
	const char *done;
	/** Said when no guest memory was written; may be NULL. */
	const char *nothing;
	struct ovm_error *(*run)(struct ovm *ovm, const struct ovm_processes_options *options,
				 struct ovm_processes_result *result);
};

/** A command on a tree of processes or a cgroup. */
int cli_processes(const struct cli_processes *what, int argc, char **argv);

#endif /* OVM_HOST_CLI_CLI_H */
