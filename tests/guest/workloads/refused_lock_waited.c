// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a lock that another process waits for is refused, by number
 * @expect: refused fd 40; is locked; waits
 */
#include "workload.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/syscall.h>

static void prepare(void)
{
	workload_make_file("data", 1000, 93);
}

/* Nobody's child: its parent ends, after it has told its id. */
static void start_waiter(int to)
{
	pid_t waiter = fork();

	if (!waiter) {
		int other = open(workload_path("data"), O_RDWR);

		close(40);
		flock(other, LOCK_EX);
		_exit(0);
	}
	CHECK_CALL(waiter > 0 && write(to, &waiter, sizeof(waiter)) == sizeof(waiter));
	_exit(0);
}

static void until_it_waits(pid_t waiter)
{
	char path[64], text[64] = "";

	snprintf(path, sizeof(path), "/proc/%d/syscall", (int)waiter);
	while (strtol(text, NULL, 10) != SYS_flock) {
		int fd = open(path, O_RDONLY);

		CHECK_CALL(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 && !close(fd));
		usleep(10000);
	}
}

int main(int argc, char **argv)
{
	pid_t middle, waiter;
	int ends[2];

	workload_start(argc, argv, prepare);

	int fd = open(workload_path("data"), O_RDWR);

	CHECK_CALL(fd >= 0 && dup2(fd, 40) == 40 && !close(fd) && !flock(40, LOCK_EX));
	CHECK_CALL(!pipe(ends) && (middle = fork()) >= 0);
	if (!middle)
		start_waiter(ends[1]);
	CHECK_CALL(read(ends[0], &waiter, sizeof(waiter)) == sizeof(waiter));
	CHECK_CALL(syscall(SYS_wait4, middle, NULL, 0, NULL) == middle);
	CHECK_CALL(!close(ends[0]) && !close(ends[1]));
	until_it_waits(waiter);
	workload_ready();
	workload_wait();
	workload_pass();
}
