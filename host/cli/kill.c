// SPDX-License-Identifier: GPL-2.0-only
#include "cli.h"

static const char usage[] =
	"Usage: ovm-gpu kill --qmp SOCK (-t PID | --cgroup PATH) [OPTIONS]\n"
	"\n"
	"Kill processes of the guest with SIGKILL, frozen or not, and wait until they are\n"
	"gone. Their parents see them end by signal 9.\n"
	"\n"
	"  --qmp SOCK         QMP socket of the VM\n"
	"  -t, --tree PID     a process (pid in the guest's initial pid namespace) with all\n"
	"                     its descendants\n"
	"  --cgroup PATH      the processes of a cgroup v2 and of those below it, by its path\n"
	"                     in the hierarchy, which begins with '/'\n"
	"  --timeout SECONDS  take at most so long (default: 10)\n"
	"  --json             figures as JSON\n"
	"  -v, --verbose      say what is being done, each write of guest memory too\n"
	"\n"
	"Exit status: 0 done, 2 usage, 3 guest out of reach, 4 guest kernel not understood,\n"
	"5 no such process, 6 not done in time, 130 interrupted.\n";

int cli_kill(int argc, char **argv)
{
	static const struct cli_processes kill = {
		.command = "kill",
		.usage = usage,
		.done = "killed",
		.run = ovm_processes_kill,
	};

	return cli_processes(&kill, argc, argv);
}
