// SPDX-License-Identifier: GPL-2.0-only
#include "qemu.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	MAX_ARGUMENTS = 64,
	START_MS = 20000,
};

static const char *find_qemu(void)
{
	const char *program = getenv("OVM_QEMU");

	return program ? program : "qemu-system-x86_64";
}

/* Replace each "@" by the directory. */
static char *expand(const char *arguments, const char *directory)
{
	size_t len = 0, size = strlen(arguments) + 1;

	for (const char *c = arguments; *c; c++)
		size += *c == '@' ? strlen(directory) : 0;
	char *text = malloc(size);

	for (const char *c = arguments; text && *c; c++) {
		if (*c == '@')
			len += (size_t)sprintf(text + len, "%s", directory);
		else
			text[len++] = *c;
	}
	if (text)
		text[len] = '\0';
	return text;
}

static void run_qemu(const struct test_qemu *qemu, char *arguments)
{
	char qmp[128], *argv[MAX_ARGUMENTS] = {(char *)find_qemu()};
	int argc = 1;

	snprintf(qmp, sizeof(qmp), "unix:%s,server=on,wait=off", qemu->socket);
	for (char *word; (word = strsep(&arguments, " ")) && argc < MAX_ARGUMENTS - 8;) {
		if (*word)
			argv[argc++] = word;
	}
	argv[argc++] = "-display";
	argv[argc++] = "none";
	argv[argc++] = "-nodefaults";
	argv[argc++] = "-qmp";
	argv[argc++] = qmp;
	/* No test may leave a virtual machine behind. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int null = open("/dev/null", O_RDWR);

	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	execvp(argv[0], argv);
	_exit(127);
}

/*
 * Whether somebody listens at @path.  Connecting would take the monitor's only
 * seat, so look in /proc/net/unix: "Num RefCount Protocol Flags Type St Inode Path",
 * where flag 0x10000 is __SO_ACCEPTCON.
 */
static bool socket_listens(const char *path)
{
	FILE *file = fopen("/proc/net/unix", "re");
	char line[512], name[256];
	unsigned int flags;
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file))
		found = sscanf(line, "%*s %*s %*s %x %*s %*s %*s %255s", &flags, name) == 2 &&
			flags & 0x10000 && !strcmp(name, path);
	if (file)
		fclose(file);
	return found;
}

bool test_qemu_start(struct test_qemu *qemu, const char *arguments)
{
	memset(qemu, 0, sizeof(*qemu));
	strcpy(qemu->directory, "/dev/shm/ovm-test-XXXXXX");
	if (!mkdtemp(qemu->directory)) {
		snprintf(qemu->reason, sizeof(qemu->reason), "no directory on /dev/shm");
		qemu->directory[0] = '\0';
		return false;
	}
	snprintf(qemu->socket, sizeof(qemu->socket), "%s/qmp", qemu->directory);
	char *expanded = expand(arguments, qemu->directory);

	qemu->pid = fork();
	if (!qemu->pid)
		run_qemu(qemu, expanded);
	free(expanded);
	for (int ms = 0; ms < START_MS; ms += 5) {
		int status;

		if (socket_listens(qemu->socket))
			return true;
		if (qemu->pid > 0 && waitpid(qemu->pid, &status, WNOHANG) == qemu->pid) {
			snprintf(qemu->reason, sizeof(qemu->reason),
				 WEXITSTATUS(status) == 127 ? "%s is not installed"
							    : "%s refuses its arguments",
				 find_qemu());
			qemu->pid = 0;
			test_qemu_stop(qemu);
			return false;
		}
		usleep(5000);
	}
	snprintf(qemu->reason, sizeof(qemu->reason), "QEMU makes no QMP socket");
	test_qemu_stop(qemu);
	return false;
}

void test_qemu_stop(struct test_qemu *qemu)
{
	char command[128];

	if (qemu->pid > 0) {
		kill(qemu->pid, SIGKILL);
		waitpid(qemu->pid, NULL, 0);
		qemu->pid = 0;
	}
	if (qemu->directory[0]) {
		snprintf(command, sizeof(command), "rm -rf '%s'", qemu->directory);
		if (system(command))
			fprintf(stderr, "can't remove %s\n", qemu->directory);
		qemu->directory[0] = '\0';
	}
}
