// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: processes hold the POSIX locks again that each had, and share flock(2) and OFD locks
 */
#include "workload.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>

static void prepare(void)
{
	workload_make_file("posix", 1000, 71);
	workload_make_file("flock", 1000, 72);
	workload_make_file("ofd", 1000, 73);
}

static int open_name(const char *what)
{
	int fd = open(workload_path(what), O_RDWR);

	CHECK_CALL(fd >= 0);
	return fd;
}

static void lock(int fd, int command, short type, off_t start, off_t len)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};

	CHECK_CALL(!fcntl(fd, command, &l));
}

/* What another process has locked from @from on. */
static void expect(int fd, off_t from, short type, off_t start, off_t len, pid_t pid)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = from, .l_len = 1};

	CHECK_CALL(!fcntl(fd, F_GETLK, &l));
	CHECK(l.l_type == type, "at %ld, there is lock %d, not %d", (long)from, l.l_type, type);
	if (type != F_UNLCK)
		CHECK(l.l_start == start && l.l_len == len && l.l_pid == pid,
		      "at %ld, a lock of %d is at %ld, %ld bytes", (long)from, l.l_pid,
		      (long)l.l_start, (long)l.l_len);
}

static bool is_free(const char *what, bool flocked)
{
	int fd = open_name(what);
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	bool ret = flocked ? !flock(fd, LOCK_EX | LOCK_NB) : !fcntl(fd, F_OFD_SETLK, &l);

	CHECK(ret || errno == EWOULDBLOCK, "%s: %s", what, strerror(errno));
	close(fd);
	return ret;
}

static void child(int inherited, int mine, int flocked, int *turns)
{
	char byte;

	lock(inherited, F_SETLK, F_WRLCK, 300, 50);
	lock(mine, F_SETLK, F_RDLCK, 500, 10);
	CHECK_CALL(write(turns[1], "l", 1) == 1);
	workload_wait();
	expect(mine, 100, F_WRLCK, 100, 100, getppid());
	expect(mine, 300, F_UNLCK, 0, 0, 0);
	CHECK_CALL(read(turns[0], &byte, 1) == 1);
	CHECK_CALL(!flock(flocked, LOCK_UN));
	_exit(0);
}

int main(int argc, char **argv)
{
	int turns[2], back[2], status;
	char byte;

	workload_start(argc, argv, prepare);
	CHECK_CALL(!pipe(turns) && !pipe(back));

	int posix = open_name("posix"), again = open_name("posix");
	int flocked = open_name("flock"), ofd = open_name("ofd");
	int for_child[2] = {turns[0], back[1]};

	lock(posix, F_SETLK, F_WRLCK, 100, 100);
	lock(ofd, F_OFD_SETLK, F_RDLCK, 10, 20);
	CHECK_CALL(!flock(flocked, LOCK_EX));

	pid_t pid = fork();

	CHECK_CALL(pid >= 0);
	if (!pid)
		child(posix, again, flocked, for_child);
	CHECK_CALL(read(back[0], &byte, 1) == 1);
	usleep(300000);
	workload_ready();
	workload_wait();
	expect(posix, 300, F_WRLCK, 300, 50, pid);
	expect(again, 500, F_RDLCK, 500, 10, pid);
	expect(posix, 100, F_UNLCK, 0, 0, 0);
	CHECK(!is_free("flock", true) && !is_free("ofd", false), "a lock is lost");
	/* They go with the last descriptor, not with the first. */
	CHECK_CALL(!close(flocked) && !close(ofd));
	CHECK(!is_free("flock", true) && !is_free("ofd", false), "a lock isn't the child's, too");
	CHECK_CALL(write(turns[1], "u", 1) == 1);
	CHECK_CALL(waitpid(pid, &status, 0) == pid);
	CHECK(!status, "the child ended with status 0x%x", status);
	CHECK(is_free("flock", true) && is_free("ofd", false), "a lock is held by nobody");
	workload_pass();
}
