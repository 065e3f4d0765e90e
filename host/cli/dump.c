// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

enum {
	MAX_EXTERNALS = 1024,
	/* Bytes of memory that are compressed at a time. */
	MIN_BLOCK = 4 << 10,
	DEFAULT_BLOCK = 256 << 10,
	MAX_BLOCK = 4 << 20,
};

static const char usage[] =
	"Usage: ovm-gpu dump --qmp SOCK -t PID -D DIR [-R|-s] [OPTIONS]\n"
	"\n"
	"Write CRIU images of a process of the guest and all its descendants, to be resumed\n"
	"by 'criu restore' in another VM. They are frozen, their memory is copied while the VM\n"
	"runs, and the VM is paused for a moment to take the rest. When the images are\n"
	"complete, they are killed, unless they are to be left. If the dump fails or is\n"
	"interrupted, they run on and there are no images.\n"
	"\n"
	"  --qmp SOCK             QMP socket of the VM\n"
	"  -t, --tree PID         process to dump, with its descendants: a pid in the\n"
	"                         guest's initial pid namespace\n"
	"  -D, --images-dir DIR   directory for the images: a new or an empty one; it appears\n"
	"                         when they are complete\n"
	"  -R, --leave-running    leave the processes running\n"
	"  -s, --leave-stopped    leave them frozen, for 'ovm-gpu thaw' or 'kill'\n"
	"  --shell-job            they were started from a terminal outside: they are restored to\n"
	"                         the one that 'criu restore --shell-job' runs in\n"
	"  --read-only            write nothing into the guest: the VM is paused while all is\n"
	"                         copied, and nothing can be killed or stopped (needs -R)\n"
	"  --tcp-established      save TCP connections, for 'criu restore --tcp-established';\n"
	"                         without it, a process that has some is refused\n"
	"  --external NAME        let a Unix socket (unix[INODE], its own) or a pipe\n"
	"                         (pipe[INODE]) lead to processes that are not dumped; may be\n"
	"                         given several times\n"
	"  --skip-zero            leave out pages that are all zero, where 'criu restore' makes\n"
	"                         zeroes of what is missing\n"
	"  --parent DIR           images of an earlier dump: leave pages to them that are the\n"
	"                         same there; DIR has to be kept beside the new images, which\n"
	"                         have a relative link to it\n"
	"  --compress[=SIZE]      compress memory by LZ4, SIZE at a time: 4K to 4M (default: "
	"256K),\n"
	"                         or 'page' for 4K. Meant for CRIU's development branch of August\n"
	"                         2026; not tried with it; releases up to 4.2 refuse such images\n"
	"  --backend NAME         page engine: auto (default), cpu or cuda\n"
	"  -j, --jobs N           worker threads (default: one per CPU)\n"
	"  --ghost-limit SIZE     save deleted files of up to this size, which may end with K, M\n"
	"                         or G (default: 1M)\n"
	"  --timeout SECONDS      wait at most so long for a consistent state (default: 5)\n"
	"  --json                 figures of the dump as JSON\n"
	"  -v, --verbose          say what is being done, each write of guest memory too;\n"
	"                         twice: in detail\n"
	"\n"
	"Exit status: 0 done, 2 usage, 3 guest out of reach, 4 guest kernel not understood,\n"
	"5 not dumpable, 6 no consistent state in time, 7 output or GPU failed, 130 interrupted.\n";

struct bar {
	bool shown;
	int percent;
};

static int show_progress(void *arg, const struct ovm_progress *progress)
{
	static const char *const phases[] = {
		[OVM_PHASE_FREEZE] = "freezing the process",
		[OVM_PHASE_WAIT] = "waiting for a consistent state",
		[OVM_PHASE_EXTRACT] = "reading the kernel's structures",
		[OVM_PHASE_PAGES] = "copying memory",
		[OVM_PHASE_WRITE] = "writing images",
	};
	struct bar *bar = arg;
	int percent = progress->total ? (int)(progress->done * 100 / progress->total) : 0;

	if (bar->shown && percent == bar->percent && progress->phase == OVM_PHASE_PAGES)
		return cli_interrupted();
	bar->shown = true;
	bar->percent = percent;
	fprintf(stderr, "\r\033[K%s", phases[progress->phase]);
	if (progress->phase == OVM_PHASE_PAGES)
		fprintf(stderr, " [%-25.*s] %3d%% of %lu MiB", percent / 4,
			"#########################", percent,
			(unsigned long)(progress->total >> 20));
	fflush(stderr);
	return cli_interrupted();
}

static void clear_bar(const struct bar *bar)
{
	if (bar->shown)
		fputs("\r\033[K", stderr);
}

/* What the process is after the dump. */
static const char *const outcomes[] = {
	[OVM_LEAVE_KILLED] = "killed",
	[OVM_LEAVE_RUNNING] = "running",
	[OVM_LEAVE_STOPPED] = "frozen",
};

static struct json_object *result_json(const struct ovm_dump_options *options,
				       const struct ovm_dump_result *result)
{
	struct json_object *o = json_object_new_object();
	const struct {
		const char *name;
		uint64_t value;
	} figures[] = {
		{"processes", result->nr_processes},
		{"threads", result->nr_threads},
		{"pages_scanned", result->pages_scanned},
		{"pages_written", result->pages_written},
		{"shmem_pages_written", result->shmem_pages_written},
		{"bytes_written", result->bytes_written},
		{"pages_recopied", result->pages_recopied},
		{"pages_paused", result->pages_paused},
		{"shmem_pages_paused", result->shmem_pages_paused},
		{"zero_pages", result->zero_pages},
		{"parent_pages", result->parent_pages},
		{"rounds", result->rounds},
		{"attempts", result->attempts},
		{"wait_us", result->wait_us},
		{"paused_us", result->paused_us},
		{"paused_total_us", result->paused_total_us},
		{"freeze_us", result->freeze_us},
		{"frozen_us", result->frozen_us},
		{"extract_us", result->extract_us},
		{"walk_us", result->walk_us},
		{"copy_us", result->copy_us},
		{"write_us", result->write_us},
		{"total_us", result->total_us},
	};

	json_object_object_add(o, "pid", json_object_new_int(options->pid));
	json_object_object_add(o, "directory", json_object_new_string(options->directory));
	json_object_object_add(o, "process", json_object_new_string(outcomes[options->leave]));
	json_object_object_add(o, "backend", json_object_new_string(result->backend));
	json_object_object_add(o, "method", json_object_new_string(result->method));
	for (size_t i = 0; i < sizeof(figures) / sizeof(*figures); i++)
		json_object_object_add(o, figures[i].name,
				       json_object_new_uint64(figures[i].value));
	return o;
}

static int report(const struct cli_common *common, const struct ovm_dump_options *options,
		  const struct ovm_dump_result *result)
{
	if (common->json)
		return cli_print_json(common, result_json(options, result));
	printf("%s: pid %d, %u process%s, %u thread%s, %lu pages (%.1f MiB), VM paused for "
	       "%.1f ms, ",
	       options->directory, options->pid, result->nr_processes,
	       result->nr_processes == 1 ? "" : "es", result->nr_threads,
	       result->nr_threads == 1 ? "" : "s",
	       (unsigned long)(result->pages_written + result->shmem_pages_written),
	       (double)result->bytes_written / (1 << 20), (double)result->paused_us / 1000);
	if (result->zero_pages)
		printf("%lu zero pages left out, ", (unsigned long)result->zero_pages);
	if (result->parent_pages)
		printf("%lu pages left to %s, ", (unsigned long)result->parent_pages,
		       options->parent_directory);
	if (result->frozen_us)
		printf("frozen for %.1f ms, ", (double)result->frozen_us / 1000);
	printf("now %s\n", outcomes[options->leave]);
	return cli_flush(common);
}

static bool parse_backend(const char *text, enum ovm_dump_backend *ret)
{
	static const char *const names[] = {"auto", "cpu", "cuda"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(text, names[i]))
			continue;
		*ret = (enum ovm_dump_backend)i;
		return true;
	}
	return false;
}

static bool parse_block_size(const char *text, uint32_t *ret)
{
	uint64_t size = DEFAULT_BLOCK;

	if (text && !strcmp(text, "page"))
		size = MIN_BLOCK;
	else if (text && !cli_parse_size(text, &size))
		return false;
	*ret = (uint32_t)size;
	return size && size % MIN_BLOCK == 0 && size <= MAX_BLOCK;
}

static int parse_option(const struct cli_common *common, int opt, struct ovm_dump_options *dump,
			const char **externals)
{
	long number;

	switch (opt) {
	case 't':
		if (!cli_parse_number(optarg, 1, INT_MAX, &number))
			return cli_usage_error(common, "'%s' is no pid", optarg);
		dump->pid = (int32_t)number;
		return -1;
	case 'D':
		dump->directory = optarg;
		return -1;
	case 'R':
		dump->leave = OVM_LEAVE_RUNNING;
		return -1;
	case 's':
		dump->leave = OVM_LEAVE_STOPPED;
		return -1;
	case 'j':
		if (!cli_parse_number(optarg, 1, 1024, &number))
			return cli_usage_error(common, "-j takes a number from 1 to 1024, not '%s'",
					       optarg);
		dump->nr_threads = (unsigned int)number;
		return -1;
	case CLI_OPT_SPECIFIC:
		if (!parse_backend(optarg, &dump->backend))
			return cli_usage_error(
				common, "--backend takes auto, cpu or cuda, not '%s'", optarg);
		return -1;
	case CLI_OPT_SPECIFIC + 3:
		dump->tcp_established = true;
		return -1;
	case CLI_OPT_SPECIFIC + 1:
		if (!cli_parse_timeout(optarg, &dump->timeout_ms))
			return cli_usage_error(
				common, "--timeout takes seconds up to 86400, not '%s'", optarg);
		return -1;
	case CLI_OPT_SPECIFIC + 2:
		if (!cli_parse_size(optarg, &dump->ghost_limit))
			return cli_usage_error(common,
					       "--ghost-limit takes bytes, or a number with K, M "
					       "or G behind it, not '%s'",
					       optarg);
		return -1;
	case CLI_OPT_SPECIFIC + 4:
		dump->shell_job = true;
		return -1;
	case CLI_OPT_SPECIFIC + 5:
		if (dump->nr_externals >= MAX_EXTERNALS)
			return cli_usage_error(common, "--external was given too often");
		externals[dump->nr_externals++] = optarg;
		return -1;
	case CLI_OPT_SPECIFIC + 6:
		dump->skip_zero = true;
		return -1;
	case CLI_OPT_SPECIFIC + 7:
		dump->parent_directory = optarg;
		return -1;
	case CLI_OPT_SPECIFIC + 8:
		if (!parse_block_size(optarg, &dump->block_size))
			return cli_usage_error(common,
					       "--compress takes a multiple of 4K up to 4M, or "
					       "'page', not '%s'",
					       optarg);
		return -1;
	}
	return -1;
}

static int dump(const struct cli_common *common, struct ovm_dump_options *options)
{
	struct ovm_dump_result result = {.size = sizeof(result)};
	struct ovm_attach_options attach = cli_attach_options(common);
	struct bar bar = {0};
	struct ovm *ovm;
	struct ovm_error *err = ovm_attach(&attach, &ovm);

	if (!err) {
		if (isatty(STDERR_FILENO)) {
			options->progress = show_progress;
			options->progress_arg = &bar;
		}
		cli_cancel_on_signal(ovm);
		err = ovm_dump(ovm, options, &result);
		clear_bar(&bar);
		cli_cancel_on_signal(NULL);
	}
	ovm_detach(ovm);
	return err ? cli_fail(common, err) : report(common, options, &result);
}

static int parse_all(int argc, char **argv, struct cli_common *common,
		     struct ovm_dump_options *options, const char **externals)
{
	static const struct option long_options[] = {
		CLI_COMMON_LONG{"tree", required_argument, NULL, 't'},
		{"images-dir", required_argument, NULL, 'D'},
		{"leave-running", no_argument, NULL, 'R'},
		{"leave-stopped", no_argument, NULL, 's'},
		{"jobs", required_argument, NULL, 'j'},
		{"backend", required_argument, NULL, CLI_OPT_SPECIFIC},
		{"timeout", required_argument, NULL, CLI_OPT_SPECIFIC + 1},
		{"ghost-limit", required_argument, NULL, CLI_OPT_SPECIFIC + 2},
		{"tcp-established", no_argument, NULL, CLI_OPT_SPECIFIC + 3},
		{"shell-job", no_argument, NULL, CLI_OPT_SPECIFIC + 4},
		{"external", required_argument, NULL, CLI_OPT_SPECIFIC + 5},
		{"skip-zero", no_argument, NULL, CLI_OPT_SPECIFIC + 6},
		{"parent", required_argument, NULL, CLI_OPT_SPECIFIC + 7},
		{"compress", optional_argument, NULL, CLI_OPT_SPECIFIC + 8},
		{NULL, 0, NULL, 0},
	};
	int opt, status = -1;

	while ((opt = getopt_long(argc, argv, CLI_COMMON_SHORT "t:D:Rsj:", long_options, NULL)) >=
	       0) {
		if (!cli_common_option(common, opt, usage, &status))
			status = parse_option(common, opt, options, externals);
		if (status >= 0)
			return status;
	}
	if (optind < argc)
		return cli_usage_error(common, "unexpected argument '%s'", argv[optind]);
	if (!common->qmp)
		return cli_usage_error(common, "which VM? Name its QMP socket with --qmp");
	if (!options->pid)
		return cli_usage_error(common, "which process? Name its pid with -t");
	if (!options->directory)
		return cli_usage_error(common, "where to? Name a directory with -D");
	if (common->read_only && options->leave != OVM_LEAVE_RUNNING)
		return cli_usage_error(common, "with --read-only, the process can't be killed or "
					       "stopped: add -R (--leave-running)");
	return -1;
}

int cli_dump(int argc, char **argv)
{
	const char *externals[MAX_EXTERNALS];
	struct cli_common common = {.command = "dump"};
	struct ovm_dump_options options = {.size = sizeof(options), .externals = externals};
	int status = parse_all(argc, argv, &common, &options, externals);

	options.read_only = common.read_only;
	return status < 0 ? dump(&common, &options) : status;
}
