// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a session leader keeps its controlling terminal, whose master it has, and /dev/tty
 * @pty
 */
#include "terminal.h"

static volatile sig_atomic_t interrupts;

static void count(int sig)
{
	(void)sig;
	interrupts++;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = count};
	char name[64];
	pid_t session = 0;

	workload_start(argc, argv, NULL);
	sigaction(SIGINT, &action, NULL);

	struct terminal t = terminal_open(10, "/dev/ptmx", O_RDWR | O_NONBLOCK);

	CHECK_CALL(!ioctl(t.slave, TIOCSCTTY, 0));

	int tty = open("/dev/tty", O_RDWR | O_NONBLOCK);

	CHECK_CALL(tty >= 0 && dup2(tty, 15) == 15 && !close(tty));
	workload_ready();
	workload_wait();

	CHECK_CALL(!ioctl(t.master, TIOCGSID, &session));
	CHECK(session == getpid(), "the terminal is that of session %d", session);
	CHECK(tcgetpgrp(t.slave) == getpgrp(), "the foreground group is %d", tcgetpgrp(t.slave));
	terminal_write(t.master, "\x03", 1);
	for (int i = 0; i < 200 && !interrupts; i++)
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	CHECK(interrupts == 1, "^C was a signal %d times", (int)interrupts);
	terminal_read_all(t.master, name, sizeof(name), 100);
	terminal_write(15, "by name", 7);
	TERMINAL_CHECK_READ(t.master, "by name");
	tty = open("/dev/tty", O_RDWR);
	CHECK(tty >= 0, "/dev/tty: %s", strerror(errno));
	workload_pass();
}
