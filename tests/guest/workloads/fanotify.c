// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: fanotify instances keep their marks, and tell what happens from then on
 */
#include "workload.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/fanotify.h>
#include <sys/stat.h>

static void prepare(void)
{
	CHECK_CALL(!mkdir(workload_path("dir"), 0755) || errno == EEXIST);
	workload_make_file("file", 100, 1);
}

static void mark(int fd, unsigned int flags, uint64_t mask, const char *path)
{
	CHECK_CALL(!fanotify_mark(fd, FAN_MARK_ADD | flags, mask, AT_FDCWD, path));
}

static void check_event(int fd, uint64_t mask)
{
	char buffer[512] __attribute__((aligned(8)));
	const struct fanotify_event_metadata *event =
		(const struct fanotify_event_metadata *)buffer;
	ssize_t length = read(fd, buffer, sizeof(buffer));

	CHECK(length == (ssize_t)sizeof(*event), "%zd bytes of events: %s", length,
	      strerror(errno));
	CHECK(event->mask == mask && event->fd >= 0 && event->pid == getpid(),
	      "event %#llx, fd %d, of process %d", (unsigned long long)event->mask, event->fd,
	      event->pid);
	CHECK(fcntl(event->fd, F_GETFD) & FD_CLOEXEC, "its descriptor has no FD_CLOEXEC");
	CHECK_CALL(!close(event->fd));
}

static void check_nothing(int fd, const char *what)
{
	char byte;

	CHECK(read(fd, &byte, 1) < 0 && errno == EAGAIN, "%s: there are events: %s", what,
	      strerror(errno));
}

/* Flags and marks as the kernel shows them. */
static void show(int fd, char *text, size_t size)
{
	char name[32], all[4096];
	const char *line;

	snprintf(name, sizeof(name), "fdinfo/%d", fd);
	workload_proc(name, all, sizeof(all));
	line = strstr(all, "fanotify flags");
	CHECK(line, "no flags are shown");
	snprintf(text, size, "%s", line);
}

static void touch(const char *path)
{
	int fd = open(path, O_WRONLY);

	CHECK_CALL(fd >= 0 && write(fd, "x", 1) == 1 && !close(fd));
}

int main(int argc, char **argv)
{
	char before[2048], after[2048], ignored[200];
	int fd;

	workload_start(argc, argv, prepare);
	strcpy(ignored, workload_path("dir"));
	fd = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_UNLIMITED_QUEUE,
			   O_RDONLY | O_CLOEXEC | O_LARGEFILE);
	if (fd < 0)
		workload_skip("fanotify: %s", strerror(errno));
	mark(fd, 0, FAN_MODIFY, workload_path("file"));
	mark(fd, FAN_MARK_ONLYDIR, FAN_ONDIR | FAN_OPEN, ignored);
	mark(fd, FAN_MARK_MOUNT, FAN_CLOSE_WRITE, "/sys");
	show(fd, before, sizeof(before));
	workload_ready();
	workload_wait();
	show(fd, after, sizeof(after));
	CHECK(!strncmp(before, after, strcspn(before, "\n")), "was made with other flags:\n%s",
	      after);
	CHECK(strlen(before) == strlen(after) && strstr(after, "fanotify mnt_id:") &&
		      strstr(after, " mflags:0 mask:8 ignored_mask:0"),
	      "has other marks:\n%s", after);
	check_nothing(fd, "at first");
	touch(workload_path("file"));
	check_event(fd, FAN_MODIFY);

	int directory = open(ignored, O_RDONLY | O_DIRECTORY);

	CHECK_CALL(directory >= 0);
	check_event(fd, FAN_OPEN);
	workload_pass();
}
