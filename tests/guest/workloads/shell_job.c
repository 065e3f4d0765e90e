// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a job goes on in the terminal where criu restore --shell-job runs
 * @dump: --shell-job
 * @terminal
 *
 * As "NAME --terminal COMMAND...", it runs a command as the foreground job of a session with a new
 * terminal, into which somebody keeps typing, and which stays.
 */
#include "terminal.h"

#include <poll.h>
#include <sys/wait.h>

/* Hold the master: what comes out is lost, a line goes in now and then. */
static void type(int master)
{
	char buffer[4096];

	for (;;) {
		struct pollfd poll_fd = {.fd = master, .events = POLLIN};

		if (poll(&poll_fd, 1, 200) > 0 && read(master, buffer, sizeof(buffer)) <= 0)
			_exit(0);
		if (write(master, "typed\n", 6) < 0 && errno != EAGAIN)
			_exit(0);
	}
}

static void run_job(char **command)
{
	signal(SIGTTOU, SIG_IGN);
	setpgid(0, 0);
	tcsetpgrp(0, getpid());
	signal(SIGTTOU, SIG_DFL);
	execv(command[0], command);
	execvp(command[0], command);
	_exit(127);
}

/* The shell: tells how its job ended, and stays. */
static void lead(const char *path, char **command, int report)
{
	int status = 0, slave;
	pid_t job;

	setsid();
	slave = open(path, O_RDWR);
	if (slave < 0)
		_exit(126);
	for (int fd = 0; fd < 3; fd++)
		dup2(slave, fd);
	close(slave);
	job = fork();
	if (!job)
		run_job(command);
	if (waitpid(job, &status, 0) == job)
		status = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
	if (write(report, &status, sizeof(status)) < 0)
		_exit(126);
	close(report);
	for (;;)
		pause();
}

static int run_in_terminal(char **command)
{
	int report[2], status = 126;

	if (pipe2(report, O_CLOEXEC) || fork()) {
		close(report[1]);
		if (read(report[0], &status, sizeof(status)) != sizeof(status))
			status = 125;
		return status;
	}

	struct terminal t = terminal_open(10, "/dev/ptmx", O_RDWR);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	/* Whoever reads the output of the command is not to wait for this one. */
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	setsid();
	fcntl(t.master, F_SETFD, FD_CLOEXEC);
	fcntl(t.slave, F_SETFD, FD_CLOEXEC);
	if (!fork())
		lead(t.path, command, report[1]);
	close(report[0]);
	close(report[1]);
	close(t.slave);
	type(t.master);
	return 0;
}

static void check_restored(pid_t old_session, const struct termios *before)
{
	struct winsize size;
	struct termios now;
	char line[16];

	CHECK(getsid(0) != old_session, "the session is still the old one");
	CHECK(tcgetsid(10) == getsid(0), "the terminal is that of session %d, not %d", tcgetsid(10),
	      getsid(0));
	CHECK(tcgetpgrp(10) == getpgrp(), "the foreground group is %d, not %d", tcgetpgrp(10),
	      getpgrp());
	CHECK_CALL(!ioctl(10, TIOCGWINSZ, &size) && !tcgetattr(10, &now));
	CHECK(size.ws_row == 33 && size.ws_col == 121, "there are %d rows and %d columns",
	      size.ws_row, size.ws_col);
	CHECK(now.c_lflag == before->c_lflag && now.c_cc[VERASE] == 8,
	      "the settings of the terminal are others: %x", now.c_lflag);
	CHECK_CALL(!tcflush(10, TCIFLUSH));
	CHECK(read(10, line, sizeof(line)) == 6 && !memcmp(line, "typed\n", 6),
	      "what is typed doesn't arrive");
	CHECK(write(11, "seen\n", 5) == 5, "/dev/tty: %s", strerror(errno));
}

int main(int argc, char **argv)
{
	struct winsize size = {.ws_row = 33, .ws_col = 121};
	struct termios before;
	char path[64] = "";

	if (argc > 2 && !strcmp(argv[1], "--terminal"))
		return run_in_terminal(argv + 2);
	if (ttyname(0))
		snprintf(path, sizeof(path), "%s", ttyname(0));
	workload_start(argc, argv, NULL);

	int slave = open(path, O_RDWR | O_NOCTTY), tty = open("/dev/tty", O_RDWR);
	pid_t session = getsid(0);

	if (!path[0])
		workload_skip("its standard input is no terminal");
	CHECK(slave >= 0 && tty >= 0, "there is no terminal: %s", strerror(errno));
	CHECK_CALL(dup2(slave, 10) == 10 && dup2(tty, 11) == 11 && !close(slave) && !close(tty));
	CHECK_CALL(dup2(10, 0) == 0 && !tcgetattr(10, &before));
	before.c_lflag &= ~(tcflag_t)ECHO;
	before.c_cc[VERASE] = 8;
	CHECK_CALL(!tcsetattr(10, TCSANOW, &before) && !ioctl(10, TIOCSWINSZ, &size));
	workload_ready();
	workload_wait();
	check_restored(session, &before);
	workload_pass();
}
