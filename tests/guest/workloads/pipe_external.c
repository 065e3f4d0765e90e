// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a pipe to a process outside is saved if it is named
 * @criu: no it takes --inherit-fd
 */
#include "workload.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

int main(int argc, char **argv)
{
	char text[100];
	struct stat st;
	int ends[2], fd, status;
	pid_t pid;

	workload_start(argc, argv, NULL);
	CHECK_CALL(!pipe(ends) && !fstat(ends[0], &st));
	pid = fork();
	CHECK_CALL(pid >= 0);
	if (!pid) {
		/* Init's child, and none of this process. */
		if (fork())
			_exit(0);
		close(ends[0]);
		alarm(600);
		for (;;)
			pause();
	}
	CHECK_CALL(waitpid(pid, &status, 0) == pid && !close(ends[1]));
	snprintf(text, sizeof(text), "--external pipe[%lu]", st.st_ino);
	fd = open(workload_path("options"), O_CREAT | O_WRONLY | O_TRUNC, 0600);
	CHECK_CALL(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && !close(fd));
	workload_ready();
	workload_wait();
	workload_pass();
}
