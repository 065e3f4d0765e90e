// SPDX-License-Identifier: GPL-2.0-only
/*
 * The test's hand inside a guest: runs shell commands that arrive on a virtio-serial port. It is
 * the guest's init, too, and reaps what is left to it.
 *
 * Frames, both ways: u8 kind, u32 length (little-endian), bytes.
 *	host to guest	'X' command line	'I' standard input of it (empty: end of input)
 *	guest to host	'O' output		'E' errors	'S' wait status, u32
 * One command at a time. A hang-up of the host ends the command.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FRAME_MAX = 1 << 16, HEADER = 5 };

struct agent {
	int port;
	int children;
	pid_t pid;
	int input, output, errors;
	int status;
	bool exited;
	/* What has arrived and was not used yet. */
	size_t have;
	size_t written;
	unsigned char frame[HEADER + FRAME_MAX + 1];
};

static int open_port(const char *name)
{
	for (;;) {
		DIR *ports = opendir("/sys/class/virtio-ports");
		struct dirent *entry;

		while (ports && (entry = readdir(ports))) {
			char path[512], found[64] = "";
			FILE *f;

			snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name",
				 entry->d_name);
			f = fopen(path, "re");
			if (!f)
				continue;
			if (!fgets(found, sizeof(found), f))
				found[0] = 0;
			fclose(f);
			found[strcspn(found, "\n")] = 0;
			if (strcmp(found, name))
				continue;
			snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
			closedir(ports);
			return open(path, O_RDWR | O_CLOEXEC);
		}
		if (ports)
			closedir(ports);
		usleep(10000);
	}
}

static void send_frame(struct agent *a, char kind, const void *data, uint32_t length)
{
	unsigned char buffer[HEADER + FRAME_MAX];
	size_t done = 0, total = HEADER + length;

	buffer[0] = kind;
	memcpy(buffer + 1, &length, sizeof(length));
	memcpy(buffer + HEADER, data, length);
	while (done < total) {
		ssize_t n = write(a->port, buffer + done, total - done);

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return;
		if (n > 0)
			done += n;
	}
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void start(struct agent *a, char *command)
{
	int in[2], out[2], err[2];

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
		return send_frame(a, 'S', "\0\177\0", 4);
	a->exited = false;
	a->pid = fork();
	if (!a->pid) {
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		setsid();
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(err[1], 2);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	close(err[1]);
	a->input = in[1];
	a->output = out[0];
	a->errors = err[0];
	fcntl(a->input, F_SETFL, O_NONBLOCK);
}

static void stop(struct agent *a)
{
	if (a->pid > 0)
		kill(-a->pid, SIGKILL);
	a->pid = 0;
	a->have = 0;
	a->written = 0;
	close_fd(&a->input);
	close_fd(&a->output);
	close_fd(&a->errors);
}

static uint32_t frame_length(const struct agent *a)
{
	uint32_t length;

	memcpy(&length, a->frame + 1, sizeof(length));
	return length;
}

static bool frame_complete(const struct agent *a)
{
	return a->have >= HEADER && a->have >= HEADER + frame_length(a);
}

/* One read that ends at the frame's end, so that frames stay apart. */
static void receive(struct agent *a)
{
	size_t want = a->have < HEADER ? HEADER : HEADER + frame_length(a);
	ssize_t n;

	if (want > HEADER + FRAME_MAX)
		return stop(a);
	n = read(a->port, a->frame + a->have, want - a->have);
	if (n > 0)
		a->have += n;
	else if (n == 0)
		usleep(20000);
}

static void handle_frame(struct agent *a)
{
	uint32_t length = frame_length(a);
	ssize_t n;

	switch (a->frame[0]) {
	case 'X':
		stop(a);
		a->frame[HEADER + length] = 0;
		start(a, (char *)a->frame + HEADER);
		break;
	case 'I':
		if (!length)
			close_fd(&a->input);
		if (a->input < 0 || !length)
			break;
		n = write(a->input, a->frame + HEADER + a->written, length - a->written);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			close_fd(&a->input);
		else if ((a->written += n) < length)
			return;
		break;
	}
	a->have = 0;
	a->written = 0;
}

static void forward(struct agent *a, int *fd, char kind)
{
	char buffer[FRAME_MAX];
	ssize_t n = read(*fd, buffer, sizeof(buffer));

	if (n > 0)
		send_frame(a, kind, buffer, n);
	else
		close_fd(fd);
}

static void reap(struct agent *a)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	if (read(a->children, &info, sizeof(info)) < 0)
		return;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != a->pid)
			continue;
		a->status = status;
		a->exited = true;
	}
}

static void step(struct agent *a)
{
	bool pending = frame_complete(a);
	struct pollfd fds[] = {
		{.fd = a->children, .events = POLLIN},
		{.fd = a->output, .events = POLLIN},
		{.fd = a->errors, .events = POLLIN},
		{.fd = pending ? a->input : -1, .events = POLLOUT},
		{.fd = a->port, .events = pending ? 0 : POLLIN},
	};

	if (poll(fds, 5, -1) < 0)
		return;
	if (fds[0].revents)
		reap(a);
	if (fds[1].revents)
		forward(a, &a->output, 'O');
	if (fds[2].revents)
		forward(a, &a->errors, 'E');
	if (fds[4].revents & POLLIN)
		receive(a);
	else if (fds[4].revents & POLLHUP) {
		stop(a);
		usleep(20000);
	}
	if (frame_complete(a) && (a->frame[0] != 'I' || a->input < 0 || !pending || fds[3].revents))
		handle_frame(a);
	if (a->pid > 0 && a->exited && a->output < 0 && a->errors < 0) {
		uint32_t status = a->status;

		a->pid = 0;
		close_fd(&a->input);
		send_frame(a, 'S', &status, sizeof(status));
	}
}

int main(int argc, char **argv)
{
	static struct agent a = {.input = -1, .output = -1, .errors = -1};
	sigset_t chld;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	signal(SIGPIPE, SIG_IGN);
	a.children = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
	a.port = open_port(argc > 1 ? argv[1] : "ovm.agent");
	if (a.children < 0 || a.port < 0) {
		perror("agent");
		reboot(RB_POWER_OFF);
	}
	for (;;)
		step(&a);
}
