// SPDX-License-Identifier: GPL-2.0-only
#include "cli.h"

static const char usage[] =
	"Usage: ovm-gpu thaw --qmp SOCK (-t PID | --cgroup PATH) [OPTIONS]\n"
	"\n"
	"Let processes of the guest go on that were frozen from outside, as 'dump -s' leaves\n"
	"them. What the guest itself has frozen, through its cgroups, stays frozen.\n"
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
	"Exit status: 0 done (also when nothing was frozen), 2 usage, 3 guest out of reach,\n"
	"4 guest kernel not understood, 5 no such process, 6 not done in time,\n"
	"130 interrupted.\n";

int cli_thaw(int argc, char **argv)
{
	static const struct cli_processes thaw = {
		.command = "thaw",
		.usage = usage,
		.done = "thawed",
		.nothing = "nothing was frozen from outside",
		.run = ovm_processes_thaw,
	};

	return cli_processes(&thaw, argc, argv);
}
