// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a child keeps its controlling terminal, and the foreground group gets ^C
 * @pty
 */
#include "terminal.h"

#include <sys/wait.h>

static int slave;

static void tell(const char *text)
{
	terminal_write(slave, text, strlen(text));
}

static void interrupted(int sig)
{
	(void)sig;
	tell("interrupted;");
}

/* The foreground job: each ^C is told, ^\ ends it. */
static void job(void)
{
	signal(SIGINT, interrupted);
	/* Ignored in what shells start in the background. */
	signal(SIGQUIT, SIG_DFL);
	for (;;)
		pause();
}

/* The leader of the session: waits for the job, then takes the terminal back and reads a line. */
static void leader(const char *path)
{
	char line[64];
	pid_t pid;
	int status;

	CHECK_CALL(setsid() == getpid());
	slave = open(path, O_RDWR);
	CHECK_CALL(slave >= 0 && dup2(slave, 11) == 11);
	signal(SIGTTOU, SIG_IGN);
	pid = fork();
	CHECK_CALL(pid >= 0);
	if (!pid)
		job();
	CHECK_CALL(!setpgid(pid, pid) && !tcsetpgrp(slave, pid));
	tell("ready;");
	CHECK_CALL(waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGQUIT, "the job ended with status %x",
	      status);
	CHECK_CALL(!tcsetpgrp(slave, getpgrp()));
	tell("alone;");

	ssize_t n = read(slave, line, sizeof(line) - 1);

	CHECK(n == 6 && !memcmp(line, "hello\n", 6), "the leader read %zd bytes", n);
	n = open("/dev/tty", O_RDWR);
	CHECK(n >= 0, "/dev/tty: %s", strerror(errno));
	tell("read;");
	/* Until the terminal hangs up. */
	for (;;)
		pause();
}

static void expect(int master, const char *text)
{
	terminal_check_read(master, text, strlen(text));
}

static void check_owner(int master, pid_t session)
{
	pid_t sid = 0;

	CHECK_CALL(!ioctl(master, TIOCGSID, &sid));
	CHECK(sid == session, "the terminal is that of session %d, not %d", sid, session);
}

int main(int argc, char **argv)
{
	pid_t child, group;
	int status;

	workload_start(argc, argv, NULL);

	struct terminal t = terminal_open(10, "/dev/ptmx", O_RDWR);

	terminal_set(t.slave, 0, 0, OPOST, 0, ECHO, 0);
	child = fork();
	CHECK_CALL(child >= 0);
	if (!child) {
		close(t.master);
		close(t.slave);
		leader(t.path);
	}
	close(t.slave);
	expect(t.master, "ready;");
	group = tcgetpgrp(t.master);
	CHECK(group > 0 && group != child, "the foreground group is %d", group);
	nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
	workload_ready();
	workload_wait();

	check_owner(t.master, child);
	CHECK(tcgetpgrp(t.master) == group, "the foreground group is %d, not %d",
	      tcgetpgrp(t.master), group);
	terminal_write(t.master, "\x03", 1);
	expect(t.master, "interrupted;");
	terminal_write(t.master, "\x1c", 1);
	expect(t.master, "alone;");
	CHECK(tcgetpgrp(t.master) == child, "the foreground group became %d", tcgetpgrp(t.master));
	terminal_write(t.master, "hello\n", 6);
	expect(t.master, "read;");
	close(t.master);
	CHECK_CALL(waitpid(child, &status, 0) == child);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGHUP,
	      "the leader ended with status %x when the terminal hung up", status);
	workload_pass();
}
