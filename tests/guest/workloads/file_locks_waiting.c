// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: children that wait for their parent's locks go on waiting, and get them
 * @frozen
 */
#include "workload.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { NR = 3 };

/* Which child has got its lock. */
static volatile int *got;

static void prepare(void)
{
	workload_make_file("posix", 1000, 81);
	workload_make_file("flock", 1000, 82);
}

static int open_name(const char *what)
{
	int fd = open(workload_path(what), O_RDWR);

	CHECK_CALL(fd >= 0);
	return fd;
}

static int lock(int fd, int command, short type)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = 100, .l_len = 100};

	return fcntl(fd, command, &l);
}

/* The second one waits for the first one, in the kernel's eyes. */
static pid_t start(int i)
{
	pid_t pid = fork();

	CHECK_CALL(pid >= 0);
	if (pid)
		return pid;

	int fd = open_name(i < 2 ? "posix" : "flock");

	CHECK_CALL(i < 2 ? !lock(fd, F_SETLKW, F_WRLCK) : !flock(fd, LOCK_EX));
	got[i] = 1;
	_exit(0);
}

int main(int argc, char **argv)
{
	pid_t pids[NR];
	int status;

	workload_start(argc, argv, prepare);
	got = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	int posix = open_name("posix"), flocked = open_name("flock");

	CHECK_CALL((void *)got != MAP_FAILED && !lock(posix, F_SETLK, F_WRLCK) &&
		   !flock(flocked, LOCK_EX));
	for (int i = 0; i < NR; i++)
		pids[i] = start(i);
	usleep(500000);
	workload_ready();
	workload_wait();
	usleep(300000);
	for (int i = 0; i < NR; i++)
		CHECK(!got[i] && !waitpid(pids[i], NULL, WNOHANG), "child %d doesn't wait", i);
	CHECK(!lock(posix, F_SETLK, F_WRLCK), "the lock is lost");
	CHECK_CALL(!lock(posix, F_SETLK, F_UNLCK) && !flock(flocked, LOCK_UN));
	for (int i = 0; i < NR; i++) {
		CHECK_CALL(waitpid(pids[i], &status, 0) == pids[i]);
		CHECK(!status && got[i], "child %d ended with status 0x%x", i, status);
	}
	workload_pass();
}
