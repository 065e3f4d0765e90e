// SPDX-License-Identifier: GPL-2.0-only
#include "cli.h"

#include <errno.h>
#include <getopt.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool cli_common_option(struct cli_common *common, int opt, const char *usage, int *status)
{
	switch (opt) {
	case CLI_OPT_QMP:
		common->qmp = optarg;
		return true;
	case CLI_OPT_JSON:
		common->json = true;
		return true;
	case CLI_OPT_READ_ONLY:
		common->read_only = true;
		return true;
	case 'v':
		common->verbose++;
		return true;
	case 'h':
		fputs(usage, stdout);
		*status = CLI_OK;
		return true;
	case '?':
	case ':':
		/* getopt_long() has said what is wrong. */
		fprintf(stderr, "Try 'ovm-gpu %s --help'.\n", common->command);
		*status = CLI_USAGE;
		return true;
	}
	return false;
}

int cli_usage_error(const struct cli_common *common, const char *format, ...)
{
	va_list ap;

	fprintf(stderr, "ovm-gpu %s: ", common->command);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fprintf(stderr, "\nTry 'ovm-gpu %s --help'.\n", common->command);
	return CLI_USAGE;
}

bool cli_parse_number(const char *text, long min, long max, long *ret)
{
	char *end;

	errno = 0;
	*ret = strtol(text, &end, 10);
	return !errno && end != text && !*end && *ret >= min && *ret <= max;
}

bool cli_parse_size(const char *text, uint64_t *ret)
{
	static const char suffixes[] = "KMG";
	const char *suffix;
	char *end;
	unsigned long number;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (errno || *text < '0' || *text > '9' || !number)
		return false;
	suffix = *end ? strchr(suffixes, *end) : NULL;
	if (*end && (!suffix || end[1]))
		return false;
	return !__builtin_mul_overflow(
		number, suffix ? UINT64_C(1024) << 10 * (suffix - suffixes) : 1, ret);
}

bool cli_parse_timeout(const char *text, unsigned int *ret)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end || !(seconds > 0 && seconds <= 86400))
		return false;
	*ret = (unsigned int)(seconds * 1000 + 0.5);
	return *ret > 0;
}

static void print_message(void *arg, enum ovm_log_level level, const char *message)
{
	const struct cli_common *common = arg;

	if ((int)level > common->verbose + OVM_LOG_WARNING)
		return;
	fprintf(stderr, "ovm-gpu: %s%s\n", level == OVM_LOG_WARNING ? "warning: " : "", message);
}

/* $XDG_CACHE_HOME/ovm-gpu, or ~/.cache/ovm-gpu; NULL when there is no home. */
static const char *cache_directory(void)
{
	static char path[4096];
	const char *cache = getenv("XDG_CACHE_HOME");
	const char *home = getenv("HOME");
	int n;

	if (cache && *cache == '/')
		n = snprintf(path, sizeof(path), "%s/ovm-gpu", cache);
	else if (home && *home == '/')
		n = snprintf(path, sizeof(path), "%s/.cache/ovm-gpu", home);
	else
		return NULL;
	return n > 0 && (size_t)n < sizeof(path) ? path : NULL;
}

struct ovm_attach_options cli_attach_options(const struct cli_common *common)
{
	return (struct ovm_attach_options){
		.size = sizeof(struct ovm_attach_options),
		.qmp_path = common->qmp,
		.cache_directory = cache_directory(),
		.log = print_message,
		.log_arg = (void *)common,
		.read_only = common->read_only,
	};
}

int cli_status_of(const struct ovm_error *err)
{
	switch (err->code) {
	case OVM_ERROR_USAGE:
		return CLI_USAGE;
	case OVM_ERROR_UNREACHABLE:
		return CLI_UNREACHABLE;
	case OVM_ERROR_KERNEL:
	case OVM_ERROR_FAULT:
	case OVM_ERROR_CORRUPT:
	case OVM_ERROR_BUDGET:
		return CLI_KERNEL;
	case OVM_ERROR_NOT_FOUND:
	case OVM_ERROR_NOT_DUMPABLE:
		return CLI_NOT_DUMPABLE;
	case OVM_ERROR_INCONSISTENT:
		return CLI_INCONSISTENT;
	case OVM_ERROR_NO_MEMORY:
	case OVM_ERROR_OUTPUT:
	case OVM_ERROR_DEVICE:
		return CLI_OUTPUT;
	case OVM_ERROR_CANCELLED:
		return CLI_INTERRUPTED;
	}
	return CLI_OUTPUT;
}

static const char *error_name(const struct ovm_error *err)
{
	static const char *const names[] = {
		[OVM_ERROR_NO_MEMORY] = "no-memory",
		[OVM_ERROR_USAGE] = "usage",
		[OVM_ERROR_UNREACHABLE] = "unreachable",
		[OVM_ERROR_KERNEL] = "kernel",
		[OVM_ERROR_FAULT] = "fault",
		[OVM_ERROR_CORRUPT] = "corrupt",
		[OVM_ERROR_BUDGET] = "budget",
		[OVM_ERROR_NOT_FOUND] = "not-found",
		[OVM_ERROR_NOT_DUMPABLE] = "not-dumpable",
		[OVM_ERROR_INCONSISTENT] = "inconsistent",
		[OVM_ERROR_OUTPUT] = "output",
		[OVM_ERROR_CANCELLED] = "cancelled",
		[OVM_ERROR_DEVICE] = "device",
	};

	return names[err->code];
}

int cli_fail(const struct cli_common *common, struct ovm_error *err)
{
	int status = cli_status_of(err);

	if (common->json) {
		struct json_object *object = json_object_new_object();

		json_object_object_add(object, "error", json_object_new_string(err->message));
		json_object_object_add(object, "kind", json_object_new_string(error_name(err)));
		json_object_object_add(object, "status", json_object_new_int(status));
		if (err->errnum)
			json_object_object_add(object, "errno", json_object_new_int(err->errnum));
		if (err->pid)
			json_object_object_add(object, "pid", json_object_new_int(err->pid));
		if (err->has_address)
			json_object_object_add(object, "address",
					       json_object_new_uint64(err->address));
		if (err->path)
			json_object_object_add(object, "path", json_object_new_string(err->path));
		cli_print_json(common, object);
	} else {
		fprintf(stderr, "ovm-gpu %s: %s\n", common->command, err->message);
	}
	ovm_error_free(err);
	return status;
}

int cli_flush(const struct cli_common *common)
{
	if (!fflush(stdout) && !ferror(stdout))
		return CLI_OK;
	fprintf(stderr, "ovm-gpu %s: can't write to standard output: %s\n", common->command,
		strerror(errno));
	return CLI_OUTPUT;
}

int cli_print_json(const struct cli_common *common, struct json_object *object)
{
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY |
							    JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(object);
	return cli_flush(common);
}

static struct ovm *volatile cancel_target;
static volatile sig_atomic_t interrupted;

static void on_signal(int signo)
{
	struct ovm *ovm = cancel_target;

	interrupted = signo;
	if (ovm)
		ovm_cancel(ovm);
}

void cli_cancel_on_signal(struct ovm *ovm)
{
	struct sigaction action = {.sa_handler = ovm ? on_signal : SIG_DFL};

	cancel_target = ovm;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

bool cli_interrupted(void)
{
	return interrupted;
}
