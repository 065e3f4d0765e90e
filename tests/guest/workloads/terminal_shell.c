// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: an interactive shell goes on in its terminal, with what nobody read yet
 * @pty
 */
#include "terminal.h"

#include <sys/wait.h>

static void shell(const char *path)
{
	static char *const arguments[] = {"sh", "-i", NULL};
	static char *const environment[] = {"PATH=/bin:/sbin:/usr/bin:/usr/sbin", "PS1=prompt> ",
					    "TERM=vt100", "HOME=/", NULL};
	int slave;

	/* Ignored in what shells start in the background. */
	signal(SIGINT, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);
	setsid();
	slave = open(path, O_RDWR);
	if (slave < 0 || dup2(slave, 0) || dup2(slave, 1) != 1 || dup2(slave, 2) != 2)
		_exit(99);
	if (slave > 2)
		close(slave);
	execve("/bin/sh", arguments, environment);
	_exit(98);
}

static void type(int master, const char *text)
{
	terminal_write(master, text, strlen(text));
}

/* Wait for a text, and take all up to its end. */
static void expect(int master, const char *text)
{
	static char seen[1 << 16];
	static size_t length;
	int64_t end = workload_now() + 30 * WORKLOAD_NS_PER_S;
	char *found;

	while (!(found = strstr(seen, text))) {
		ssize_t n = read(master, seen + length, sizeof(seen) - 1 - length);

		length += n > 0 ? (size_t)n : 0;
		seen[length] = '\0';
		CHECK(workload_now() < end && length < sizeof(seen) - 1,
		      "the shell did not say '%s', but '%s'", text,
		      terminal_show(seen + (length > 90 ? length - 90 : 0),
				    length > 90 ? 90 : length));
		if (n <= 0)
			nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	}
	found += strlen(text);
	length -= (size_t)(found - seen);
	memmove(seen, found, length + 1);
}

/* Wait until nothing more comes. */
static void settle(int master)
{
	int before = -1, now = 0;

	while (now != before) {
		before = now;
		nanosleep(&(struct timespec){.tv_nsec = 700000000}, NULL);
		CHECK_CALL(!ioctl(master, FIONREAD, &now));
	}
	CHECK(now > 0, "there is nothing to be read");
}

int main(int argc, char **argv)
{
	int status;
	pid_t pid;

	workload_start(argc, argv, NULL);

	struct terminal t = terminal_open(10, "/dev/ptmx", O_RDWR);

	pid = fork();
	CHECK_CALL(pid >= 0);
	if (!pid) {
		close(t.master);
		close(t.slave);
		shell(t.path);
	}
	close(t.slave);
	expect(t.master, "prompt> ");
	type(t.master, "x=41; f() { echo $((x + $1)); }\r");
	expect(t.master, "prompt> ");
	type(t.master, "sleep 1000 & echo started\r");
	expect(t.master, "started");
	type(t.master, "echo $((x + 1)) unread\r");
	settle(t.master);
	/* A command that isn't typed to its end. */
	type(t.master, "f 2");
	settle(t.master);
	workload_ready();
	workload_wait();

	expect(t.master, "42 unread");
	type(t.master, "00; jobs\r");
	expect(t.master, "241");
	expect(t.master, "sleep 1000");
	type(t.master, "sleep 500\r");
	expect(t.master, "sleep 500");
	nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
	type(t.master, "\x03");
	expect(t.master, "prompt> ");
	type(t.master, "echo back $?\r");
	expect(t.master, "back 130");
	type(t.master, "kill %1; exit 7\r");
	CHECK_CALL(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7, "the shell ended with status %x",
	      status);
	workload_pass();
}
