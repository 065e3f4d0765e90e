// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a signalfd is refused, by number and kind
 * @expect: refused fd 40; signalfd
 */
#include "workload.h"

#include <sys/signalfd.h>

int main(int argc, char **argv)
{
	struct signalfd_siginfo info;
	sigset_t set;
	int fd;

	workload_start(argc, argv, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, 0);
	CHECK_CALL(fd >= 0 && dup2(fd, 40) == 40 && !close(fd));
	workload_ready();
	workload_wait();
	raise(SIGUSR1);
	CHECK(read(40, &info, sizeof(info)) == sizeof(info) && info.ssi_signo == SIGUSR1,
	      "the signal is not to be read");
	workload_pass();
}
