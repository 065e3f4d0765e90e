// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: Unix sockets that lead to another process are refused, by what they lead to
 * @expect: refused fd 40; without a name) that another process has; fd 41; @ovm-gpu-outside; fd 42;
 * connection waiting
 */
#include "unix.h"

#include <sys/wait.h>

static const char outside[] = "\0ovm-gpu-outside", inside[] = "\0ovm-gpu-inside";

/* A child of init's, so that it is not one of this process. */
static void start_other(void (*run)(int fd), int fd)
{
	pid_t pid = fork();

	CHECK_CALL(pid >= 0);
	if (pid) {
		CHECK_CALL(waitpid(pid, NULL, 0) == pid);
		return;
	}
	if (fork())
		_exit(0);
	setsid();
	run(fd);
	alarm(600);
	for (;;)
		pause();
}

static void hold(int fd)
{
	for (int other = 3; other < 64; other++)
		if (other != fd && other != 43)
			close(other);
	unix_bound(SOCK_DGRAM, outside, sizeof(outside) - 1);

	int client = socket(AF_UNIX, SOCK_STREAM, 0);

	unix_connect(client, inside, sizeof(inside) - 1);
	CHECK_CALL(send(fd, "ready", 5, 0) == 5);
}

int main(int argc, char **argv)
{
	char text[6] = "";
	int ends[2], shared[2];

	workload_start(argc, argv, NULL);
	CHECK_CALL(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends));
	CHECK_CALL(!socketpair(AF_UNIX, SOCK_STREAM, 0, shared));
	CHECK_CALL(dup2(shared[0], 43) == 43 && !close(shared[0]));

	int listener = unix_bound(SOCK_STREAM, inside, sizeof(inside) - 1);
	int connected = socket(AF_UNIX, SOCK_DGRAM, 0);

	CHECK_CALL(!listen(listener, 5));
	start_other(hold, ends[1]);
	CHECK_CALL(!close(ends[1]) && recv(ends[0], text, 5, 0) == 5);
	unix_connect(connected, outside, sizeof(outside) - 1);
	CHECK_CALL(dup2(ends[0], 40) == 40 && !close(ends[0]));
	CHECK_CALL(dup2(connected, 41) == 41 && !close(connected));
	CHECK_CALL(dup2(listener, 42) == 42 && !close(listener));
	workload_ready();
	workload_wait();
	workload_pass();
}
