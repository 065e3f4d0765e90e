// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: open files on their way from parent to child and back arrive
 */
#include "unix.h"

#include <fcntl.h>
#include <sys/wait.h>

enum { LENGTH = 5000, POSITION = 777 };

static int down[2], up[2], steps[2];

static void prepare(void)
{
	workload_make_file("data", LENGTH, 1);
}

static int open_file(void)
{
	int fd = open(workload_path("data"), O_RDWR);

	CHECK_CALL(fd >= 0 && lseek(fd, POSITION, SEEK_SET) == POSITION);
	return fd;
}

static void check_file(int fd, const char *what)
{
	CHECK(lseek(fd, 0, SEEK_CUR) == POSITION, "%s: position %ld", what,
	      (long)lseek(fd, 0, SEEK_CUR));
}

static void pass_and_close(int fd, uint8_t byte, int passed)
{
	unix_pass(fd, byte, &passed, 1);
	CHECK_CALL(!close(passed));
}

static int take(int fd, uint8_t byte, const char *what)
{
	int taken;

	unix_take(fd, byte, &taken, 1, what);
	return taken;
}

static void child(void)
{
	char text[8] = "";
	int fd, ends[2];

	CHECK_CALL(!close(down[0]) && !close(up[0]));
	pass_and_close(up[1], 1, open_file());
	CHECK_CALL(!pipe(ends));
	pass_and_close(up[1], 2, ends[1]);
	CHECK_CALL(write(steps[1], "x", 1) == 1);
	workload_wait();
	check_file(take(down[1], 3, "down"), "down");
	fd = take(down[1], 4, "down");
	CHECK_CALL(write(fd, "down", 4) == 4);
	fd = take(down[1], 5, "down");
	CHECK_CALL(send(fd, "socket", 6, 0) == 6);
	CHECK_CALL(write(steps[1], "y", 1) == 1);
	CHECK(read(ends[0], text, sizeof(text)) == 2 && !memcmp(text, "up", 2),
	      "the pipe from above: %s", text);
	_exit(7);
}

int main(int argc, char **argv)
{
	int ends[2], sockets[2], status, fd;
	char text[8] = "";
	pid_t pid;

	workload_start(argc, argv, prepare);
	CHECK_CALL(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, down));
	CHECK_CALL(!socketpair(AF_UNIX, SOCK_STREAM, 0, up) && !pipe(steps));
	pid = fork();
	CHECK_CALL(pid >= 0);
	if (!pid)
		child();
	CHECK_CALL(!close(down[1]) && !close(up[1]));
	CHECK_CALL(read(steps[0], text, 1) == 1);
	pass_and_close(down[0], 3, open_file());
	CHECK_CALL(!pipe(ends) && !socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	pass_and_close(down[0], 4, ends[1]);
	pass_and_close(down[0], 5, sockets[1]);
	usleep(300000);
	workload_ready();
	workload_wait();
	check_file(take(up[0], 1, "up"), "up");
	fd = take(up[0], 2, "up");
	CHECK_CALL(write(fd, "up", 2) == 2);
	CHECK_CALL(read(steps[0], text, 1) == 1);
	CHECK(read(ends[0], text, sizeof(text)) == 4 && !memcmp(text, "down", 4), "the pipe: %s",
	      text);
	CHECK(recv(sockets[0], text, sizeof(text), 0) == 6 && !memcmp(text, "socket", 6),
	      "the socket: %s", text);
	CHECK_CALL(waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
		   WEXITSTATUS(status) == 7);
	workload_pass();
}
