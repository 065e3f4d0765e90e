// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: Unix sockets connected to a server outside, if named, are connected to the other VM's
 */
#include "unix.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

/* The server: what comes as datagrams it appends to a file, streams get back what they send. */
static const char streams[] = "\0ovm-gpu-external/streams", datagrams[] = "\0ovm-gpu-external";

static void serve(int listener, int receiver)
{
	char log[200], text[100];
	int fd;

	strcpy(log, workload_path("log"));
	for (;;) {
		ssize_t length = recv(receiver, text, sizeof(text), MSG_DONTWAIT);

		if (length > 0) {
			fd = open(log, O_CREAT | O_APPEND | O_WRONLY, 0600);
			CHECK_CALL(write(fd, text, (size_t)length) == length && !close(fd));
		}
		fd = accept(listener, NULL, NULL);
		if (fd >= 0 && !fork()) {
			while ((length = recv(fd, text, sizeof(text), 0)) > 0)
				CHECK_CALL(send(fd, text, (size_t)length, 0) == length);
			_exit(0);
		}
		usleep(20000);
	}
}

/* In every VM. */
static void prepare(void)
{
	int fd = open(workload_path("restore"), O_CREAT | O_WRONLY, 0600);

	CHECK_CALL(fd >= 0 && write(fd, "--ext-unix-sk", 13) == 13 && !close(fd));
	if (fork())
		return;
	setsid();

	int listener = unix_bound(SOCK_STREAM | SOCK_NONBLOCK, streams, sizeof(streams));
	int receiver = unix_bound(SOCK_DGRAM, datagrams, sizeof(datagrams));

	CHECK_CALL(!listen(listener, 5));
	/* Nobody waits for what it could say. */
	close(0);
	close(1);
	close(2);
	alarm(1200);
	serve(listener, receiver);
}

static void check_stream(int fd, const char *text)
{
	char back[100] = "";
	size_t length = strlen(text);

	CHECK_CALL(send(fd, text, length, 0) == (ssize_t)length);
	CHECK(recv(fd, back, sizeof(back), 0) == (ssize_t)length && !strcmp(back, text),
	      "the server sent back \"%s\"", back);
}

static bool is_logged(const char *text)
{
	char log[400] = "";
	int fd = open(workload_path("log"), O_RDONLY);

	if (fd < 0)
		return false;
	CHECK_CALL(read(fd, log, sizeof(log) - 1) >= 0 && !close(fd));
	return strstr(log, text);
}

static unsigned long inode(int fd)
{
	struct stat st;

	CHECK_CALL(!fstat(fd, &st));
	return st.st_ino;
}

/* For the dump. */
static void name_externals(const int *fds, unsigned int nr)
{
	char text[200] = "";
	int fd = open(workload_path("options"), O_CREAT | O_WRONLY | O_TRUNC, 0600);

	for (unsigned int i = 0; i < nr; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "--external unix[%lu] ",
			 inode(fds[i]));
	CHECK_CALL(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && !close(fd));
}

int main(int argc, char **argv)
{
	int fds[3];
	int64_t end;

	workload_start(argc, argv, prepare);
	fds[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	fds[1] = socket(AF_UNIX, SOCK_DGRAM, 0);
	fds[2] = socket(AF_UNIX, SOCK_DGRAM, 0);
	unix_connect(fds[0], streams, sizeof(streams));
	unix_connect(fds[1], datagrams, sizeof(datagrams));
	unix_connect(fds[2], datagrams, sizeof(datagrams));
	check_stream(fds[0], "before");
	name_externals(fds, 3);
	workload_ready();
	workload_wait();
	check_stream(fds[0], "after");
	CHECK_CALL(send(fds[1], "first", 5, 0) == 5 && send(fds[2], "second", 6, 0) == 6);
	end = workload_now() + WORKLOAD_LATE;
	while (!is_logged("first") || !is_logged("second"))
		CHECK(workload_now() < end, "the server did not get all datagrams");
	workload_pass();
}
