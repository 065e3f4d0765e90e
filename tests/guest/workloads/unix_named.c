// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: sockets in the file system keep their names, permissions and connections
 */
#include "unix.h"

#include <stdio.h>
#include <sys/stat.h>

enum { MODE = 0642, OWNER = 12, GROUP = 34 };

static void check_receives(int receiver, int sender, size_t length, uint64_t seed, const char *what)
{
	unix_send_message(sender, length, seed);
	unix_message(receiver, length, seed, what);
}

static int connected(const char *path, size_t length)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	CHECK_CALL(fd >= 0);
	unix_connect(fd, path, length);
	return fd;
}

static void check_place(const char *path)
{
	struct stat st;

	CHECK_CALL(!stat(path, &st));
	CHECK(S_ISSOCK(st.st_mode) && (st.st_mode & 07777) == MODE && st.st_uid == OWNER &&
		      st.st_gid == GROUP,
	      "%s has mode %o and belongs to %u:%u", path, st.st_mode, st.st_uid, st.st_gid);
}

static void check_name(int fd, const char *name)
{
	struct sockaddr_un address;
	socklen_t size = sizeof(address);

	memset(&address, 0, sizeof(address));
	CHECK_CALL(!getsockname(fd, (struct sockaddr *)&address, &size));
	CHECK(!strcmp(address.sun_path, name), "the name is %s, not %s", address.sun_path, name);
}

int main(int argc, char **argv)
{
	static char path[108], relative[] = "unix_named.relative", gone[108];

	workload_start(argc, argv, NULL);
	snprintf(path, sizeof(path), "%s", workload_path("socket"));
	snprintf(gone, sizeof(gone), "%s", workload_path("gone"));
	unlink(path);
	unlink(gone);
	CHECK_CALL(!chdir(argv[1]));
	unlink(relative);

	/* The sender has the lower number: restore must take the receiver first all the same. */
	int sender = socket(AF_UNIX, SOCK_DGRAM, 0);
	int named = unix_bound(SOCK_DGRAM, path, strlen(path));
	int here = unix_bound(SOCK_DGRAM, relative, strlen(relative));
	int deleted = unix_bound(SOCK_DGRAM, gone, strlen(gone));

	CHECK_CALL(!chown(path, OWNER, GROUP) && !chmod(path, MODE));
	unix_connect(sender, path, strlen(path));

	int to_here = connected(relative, strlen(relative));
	int to_deleted = connected(gone, strlen(gone));

	CHECK_CALL(!unlink(gone));
	unix_send_message(sender, 500, 1);
	unix_send_message(to_here, 600, 2);
	unix_send_message(to_deleted, 700, 3);
	workload_ready();
	workload_wait();
	unix_message(named, 500, 1, "named");
	unix_message(here, 600, 2, "relative");
	unix_message(deleted, 700, 3, "deleted");
	check_receives(named, sender, 50, 4, "named, later");
	check_receives(here, to_here, 60, 5, "relative, later");
	check_receives(deleted, to_deleted, 70, 6, "deleted, later");
	check_receives(named, connected(path, strlen(path)), 80, 7, "named, by another");
	check_place(path);
	check_name(named, path);
	check_name(here, relative);
	check_name(deleted, gone);
	CHECK(access(gone, F_OK) < 0, "a deleted socket has come back");
	workload_pass();
}
