// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: inotify instances keep their watches, and tell what happens from then on
 */
#include "workload.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>

enum { REMOVED = 2, DIRECTORY = 1, FILE_ = 3, ROOT = 4 };

static void prepare(void)
{
	CHECK_CALL(!mkdir(workload_path("dir"), 0755) || errno == EEXIST);
	workload_make_file("file", 100, 1);
}

static void check_event(int fd, int wd, uint32_t mask, const char *name)
{
	char buffer[512] __attribute__((aligned(8)));
	const struct inotify_event *event = (const struct inotify_event *)buffer;
	ssize_t length = read(fd, buffer, sizeof(buffer));

	CHECK(length >= (ssize_t)sizeof(*event), "watch %d: no event: %s", wd, strerror(errno));
	CHECK(event->wd == wd && event->mask == mask, "watch %d: event %#x of %d, not %#x", wd,
	      event->mask, event->wd, mask);
	CHECK((size_t)length == sizeof(*event) + event->len, "watch %d: there is another event",
	      wd);
	if (name)
		CHECK(!strcmp(event->name, name), "watch %d: event of %s, not %s", wd, event->name,
		      name);
}

static void add(int fd, const char *path, uint32_t mask, int wanted)
{
	int wd = inotify_add_watch(fd, path, mask);

	CHECK(wd == wanted, "watch of %s is %d: %s", path, wd, strerror(errno));
}

int main(int argc, char **argv)
{
	char inside[200];
	int fd, file, empty;

	workload_start(argc, argv, prepare);
	fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	empty = inotify_init();
	CHECK_CALL(fd >= 0 && empty >= 0);
	add(fd, workload_path("dir"), IN_CREATE | IN_DELETE | IN_ONLYDIR, DIRECTORY);
	add(fd, "/dev", IN_DELETE_SELF, REMOVED);
	add(fd, workload_path("file"), IN_MODIFY | IN_ATTRIB, FILE_);
	add(fd, "/", IN_MOVE_SELF, ROOT);
	CHECK_CALL(!inotify_rm_watch(fd, REMOVED));
	/* Tells that it was removed. */
	check_event(fd, REMOVED, IN_IGNORED, NULL);
	workload_ready();
	workload_wait();
	CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK && fcntl(fd, F_GETFD) & FD_CLOEXEC, "flags lost");
	CHECK(read(fd, inside, sizeof(inside)) < 0 && errno == EAGAIN, "there are events already");
	strcpy(inside, workload_path("dir"));
	strcat(inside, "/new");
	file = open(inside, O_CREAT | O_WRONLY, 0600);
	CHECK_CALL(file >= 0);
	check_event(fd, DIRECTORY, IN_CREATE, "new");
	CHECK_CALL(!unlink(inside));
	check_event(fd, DIRECTORY, IN_DELETE, "new");
	CHECK_CALL(!close(file));
	file = open(workload_path("file"), O_WRONLY);
	CHECK_CALL(file >= 0 && write(file, "x", 1) == 1);
	check_event(fd, FILE_, IN_MODIFY, NULL);
	CHECK_CALL(!inotify_rm_watch(fd, ROOT));
	check_event(fd, ROOT, IN_IGNORED, NULL);
	CHECK(inotify_rm_watch(fd, REMOVED) < 0, "a watch is back");
	add(empty, workload_path("file"), IN_OPEN, 1);
	workload_pass();
}
