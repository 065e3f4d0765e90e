// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: POSIX, flock(2) and OFD locks are held again, on the same bytes
 */
#include "workload.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>

enum { WHOLE = 0, BEHIND = 1 << 20 };

static void prepare(void)
{
	workload_make_file("posix", 1000, 91);
	workload_make_file("flock", 1000, 92);
	workload_make_file("shared", 1000, 93);
	workload_make_file("ofd", 1000, 94);
	workload_make_file("free", 1000, 95);
}

static int open_at(const char *what, int fd)
{
	int found = open(workload_path(what), O_RDWR);

	CHECK_CALL(found >= 0 && dup2(found, fd) == fd && !close(found));
	return fd;
}

static void lock(int fd, int command, short type, off_t start, off_t len)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};

	CHECK_CALL(!fcntl(fd, command, &l));
}

/* Who else may not have a lock for writing, where, and as what. */
static void expect(int fd, int command, off_t from, struct flock expected)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = from};

	CHECK_CALL(!fcntl(fd, command, &l));
	CHECK(l.l_type == expected.l_type, "from %ld on, there is lock %d, not %d", (long)from,
	      l.l_type, expected.l_type);
	if (l.l_type != F_UNLCK)
		CHECK(l.l_start == expected.l_start && l.l_len == expected.l_len &&
			      l.l_pid == expected.l_pid,
		      "the lock is at %ld, %ld bytes, of %d, not at %ld, %ld bytes, of %d",
		      (long)l.l_start, (long)l.l_len, l.l_pid, (long)expected.l_start,
		      (long)expected.l_len, expected.l_pid);
}

/* POSIX locks never keep the process out that holds them: another one looks. */
static void check_posix(void)
{
	pid_t holder = getpid(), child = fork();
	int status = 0;

	CHECK_CALL(child >= 0);
	if (!child) {
		int fd = open(workload_path("posix"), O_RDWR);

		CHECK_CALL(fd >= 0);
		expect(fd, F_GETLK, 0,
		       (struct flock){
			       .l_type = F_WRLCK, .l_start = 10, .l_len = 20, .l_pid = holder});
		expect(fd, F_GETLK, 30,
		       (struct flock){
			       .l_type = F_RDLCK, .l_start = 50, .l_len = 7, .l_pid = holder});
		expect(fd, F_GETLK, 57,
		       (struct flock){
			       .l_type = F_WRLCK, .l_start = BEHIND, .l_len = 0, .l_pid = holder});
		close(fd);
		fd = open(workload_path("free"), O_RDWR);
		expect(fd, F_GETLK, 0, (struct flock){.l_type = F_UNLCK});
		_exit(0);
	}
	CHECK_CALL(waitpid(child, &status, 0) == child);
	if (status)
		workload_fail("the other process ended with %x", status);
}

static void check_flock(void)
{
	int whole = open(workload_path("flock"), O_RDWR);
	int shared = open(workload_path("shared"), O_RDONLY);

	CHECK_CALL(whole >= 0 && shared >= 0);
	CHECK(flock(whole, LOCK_SH | LOCK_NB) == -1 && errno == EWOULDBLOCK,
	      "the exclusive lock is lost");
	CHECK(flock(shared, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK,
	      "the shared lock is lost");
	CHECK(!flock(shared, LOCK_SH | LOCK_NB), "the shared lock is exclusive");
	CHECK_CALL(!flock(43, LOCK_UN) && !flock(whole, LOCK_EX | LOCK_NB));
}

static void check_ofd(void)
{
	int other = open(workload_path("ofd"), O_RDWR);

	CHECK_CALL(other >= 0);
	expect(other, F_OFD_GETLK, 0,
	       (struct flock){.l_type = F_WRLCK, .l_start = 5, .l_len = 5, .l_pid = -1});
	expect(other, F_OFD_GETLK, 10,
	       (struct flock){.l_type = F_RDLCK, .l_start = 100, .l_len = WHOLE, .l_pid = -1});
	lock(45, F_OFD_SETLK, F_UNLCK, 0, WHOLE);
	lock(other, F_OFD_SETLK, F_WRLCK, 0, WHOLE);
}

int main(int argc, char **argv)
{
	workload_start(argc, argv, prepare);
	open_at("posix", 41);
	open_at("posix", 42);
	lock(41, F_SETLK, F_WRLCK, 10, 20);
	lock(42, F_SETLK, F_RDLCK, 50, 7);
	lock(41, F_SETLK, F_WRLCK, BEHIND, WHOLE);
	lock(open_at("free", 46), F_SETLK, F_WRLCK, 3, 4);
	lock(46, F_SETLK, F_UNLCK, 0, WHOLE);
	/* By a second descriptor of the same file, too. */
	CHECK_CALL(!flock(open_at("flock", 43), LOCK_EX) && dup2(43, 50) == 50);
	CHECK_CALL(!flock(open_at("shared", 44), LOCK_SH));
	lock(open_at("ofd", 45), F_OFD_SETLK, F_WRLCK, 5, 5);
	lock(45, F_OFD_SETLK, F_RDLCK, 100, WHOLE);
	workload_ready();
	workload_wait();
	check_posix();
	check_flock();
	check_ofd();
	workload_pass();
}
