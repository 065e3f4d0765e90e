// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: leases on files are held again, and whoever opens such a file is told of
 */
#include "workload.h"

#include <fcntl.h>

static volatile sig_atomic_t signals;

static void on_break(int signo)
{
	(void)signo;
	signals++;
}

static void prepare(void)
{
	workload_make_file("read", 1000, 91);
	workload_make_file("write", 1000, 92);
}

int main(int argc, char **argv)
{
	workload_start(argc, argv, prepare);

	int reading = open(workload_path("read"), O_RDONLY);
	int writing = open(workload_path("write"), O_RDWR);

	CHECK_CALL(reading >= 0 && writing >= 0 && signal(SIGUSR2, on_break) != SIG_ERR);
	CHECK_CALL(!fcntl(writing, F_SETSIG, SIGUSR2));
	CHECK_CALL(!fcntl(reading, F_SETLEASE, F_RDLCK) && !fcntl(writing, F_SETLEASE, F_WRLCK));
	workload_ready();
	workload_wait();
	CHECK(fcntl(reading, F_GETLEASE) == F_RDLCK && fcntl(writing, F_GETLEASE) == F_WRLCK,
	      "the leases are %d and %d", fcntl(reading, F_GETLEASE), fcntl(writing, F_GETLEASE));
	CHECK(open(workload_path("write"), O_RDONLY | O_NONBLOCK) == -1 && errno == EWOULDBLOCK,
	      "the lease keeps nobody out");
	CHECK(signals == 1, "the lease was broken with %d signals", (int)signals);
	CHECK_CALL(!fcntl(writing, F_SETLEASE, F_UNLCK));
	CHECK_CALL(open(workload_path("write"), O_RDONLY | O_NONBLOCK) >= 0);
	workload_pass();
}
