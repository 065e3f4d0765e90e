// SPDX-License-Identifier: GPL-2.0-only
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

static const char usage[] =
	"Usage: ovm-gpu COMMAND [OPTIONS]\n"
	"\n"
	"Save processes out of a running virtual machine, from outside.\n"
	"\n"
	"Commands:\n"
	"  check   can this VM be dumped? one line per requirement, with the remedy\n"
	"  ps      containers and processes of the guest\n"
	"  dump    write CRIU images of a process and its descendants\n"
	"  thaw    let processes go on that were left frozen\n"
	"  kill    kill processes, frozen or not\n"
	"\n"
	"  --help, --version\n"
	"\n"
	"'ovm-gpu COMMAND --help' tells more; see also ovm-gpu(1).\n";

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"check", cli_check}, {"ps", cli_ps},	  {"dump", cli_dump},
	{"thaw", cli_thaw},   {"kill", cli_kill},
};

int main(int argc, char **argv)
{
	/* A reader that goes away is an error of the output, not a way to die while the VM is
	 * paused. */
	signal(SIGPIPE, SIG_IGN);
	if (argc < 2) {
		fputs(usage, stderr);
		return CLI_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		fputs(usage, stdout);
		return CLI_OK;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		printf("ovm-gpu %s\n", ovm_version());
		return CLI_OK;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	fprintf(stderr, "ovm-gpu: there is no command '%s'\nTry 'ovm-gpu --help'.\n", argv[1]);
	return CLI_USAGE;
}
