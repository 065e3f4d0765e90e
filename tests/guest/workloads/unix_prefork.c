// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a listening socket that several processes have goes on to be one
 */
#include "unix.h"

#include <sys/wait.h>

enum { NR_SERVERS = 3, LENGTH = 2000 };

static const char name[] = "\0ovm-gpu/prefork";
static int listener;

static int connected(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	CHECK_CALL(fd >= 0);
	unix_connect(fd, name, sizeof(name));
	return fd;
}

/* What comes goes back, with the number of who had it. */
static void serve(uint8_t number)
{
	char data[LENGTH];
	int fd;

	workload_wait();
	fd = accept(listener, NULL, NULL);
	CHECK_CALL(fd >= 0 && recv(fd, data, LENGTH, MSG_WAITALL) == LENGTH);
	CHECK_CALL(send(fd, &number, 1, 0) == 1 && send(fd, data, LENGTH, 0) == LENGTH);
	_exit(number);
}

static int check_served(int fd, uint64_t seed)
{
	uint8_t number = 0, data[LENGTH];

	unix_send(fd, 0, LENGTH, LENGTH, seed);
	CHECK_CALL(recv(fd, &number, 1, 0) == 1);
	CHECK_CALL(recv(fd, data, LENGTH, MSG_WAITALL) == LENGTH);
	workload_check_fill(data, LENGTH, seed, "what came back");
	return 1 << number;
}

int main(int argc, char **argv)
{
	pid_t pids[NR_SERVERS];
	int served = 0, status, waiting;

	workload_start(argc, argv, NULL);
	listener = unix_bound(SOCK_STREAM, name, sizeof(name));
	CHECK_CALL(!listen(listener, 10));
	for (int i = 0; i < NR_SERVERS; i++) {
		pids[i] = fork();
		CHECK_CALL(pids[i] >= 0);
		if (!pids[i])
			serve((uint8_t)(1 + i));
	}
	waiting = connected();
	usleep(300000);
	workload_ready();
	workload_wait();
	served |= check_served(waiting, 1);
	for (int i = 1; i < NR_SERVERS; i++)
		served |= check_served(connected(), (uint64_t)(1 + i));
	CHECK(served == 14, "served by others than each once: %#x", served);
	for (int i = 0; i < NR_SERVERS; i++)
		CHECK_CALL(waitpid(pids[i], &status, 0) == pids[i] && WIFEXITED(status) &&
			   WEXITSTATUS(status) == 1 + i);
	workload_pass();
}
