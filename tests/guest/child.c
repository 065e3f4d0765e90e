// SPDX-License-Identifier: GPL-2.0-only
/*
 * Run a command as a child, and write how it ends, as its parent sees it, into
 * a file: "signal 9", "exit 0".
 *
 *	child FILE COMMAND [ARGUMENT...]
 *
 * The command's process id is written into FILE.pid before.
 */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static int write_file(const char *path, const char *what, int number)
{
	char temporary[256];

	snprintf(temporary, sizeof(temporary), "%s.new", path);
	FILE *file = fopen(temporary, "we");

	if (!file)
		return -1;
	fprintf(file, "%s%d\n", what, number);
	fclose(file);
	return rename(temporary, path);
}

int main(int argc, char **argv)
{
	char pid_file[256];
	int status;

	if (argc < 3)
		return 2;
	snprintf(pid_file, sizeof(pid_file), "%s.pid", argv[1]);
	pid_t pid = fork();

	if (!pid) {
		execvp(argv[2], argv + 2);
		_exit(127);
	}
	if (pid < 0 || write_file(pid_file, "", pid) || waitpid(pid, &status, 0) != pid)
		return 1;
	return WIFSIGNALED(status) ? write_file(argv[1], "signal ", WTERMSIG(status))
				   : write_file(argv[1], "exit ", WEXITSTATUS(status));
}
