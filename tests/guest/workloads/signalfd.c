// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a signalfd reads the signals that it read before, also those that were pending
 */
#include "workload.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>

static sigset_t set_of(int first, int second)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, first);
	if (second)
		sigaddset(&set, second);
	return set;
}

static void check_read(int fd, int signo, int value)
{
	struct signalfd_siginfo info = {0};

	CHECK(read(fd, &info, sizeof(info)) == sizeof(info), "signal %d is not to be read: %s",
	      signo, strerror(errno));
	CHECK(info.ssi_signo == (uint32_t)signo && info.ssi_int == value,
	      "signal %u with %d was read, not %d with %d", info.ssi_signo, info.ssi_int, signo,
	      value);
}

static void check_empty(int fd)
{
	struct signalfd_siginfo info;

	CHECK(read(fd, &info, sizeof(info)) == -1 && errno == EAGAIN,
	      "fd %d reads a signal that is none of its own", fd);
}

static void send(int signo, int value)
{
	CHECK_CALL(!sigqueue(getpid(), signo, (union sigval){.sival_int = value}));
}

int main(int argc, char **argv)
{
	sigset_t all, set;

	workload_start(argc, argv, NULL);
	sigfillset(&all);
	CHECK_CALL(!sigprocmask(SIG_BLOCK, &all, NULL));
	set = set_of(SIGUSR1, SIGRTMAX);

	int pair = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC), changed, none;

	set = set_of(SIGINT, 0);
	changed = signalfd(-1, &set, SFD_NONBLOCK);
	set = set_of(SIGUSR2, SIGHUP);
	CHECK_CALL(pair >= 0 && signalfd(changed, &set, 0) == changed);
	sigemptyset(&set);
	none = signalfd(-1, &set, SFD_NONBLOCK);
	CHECK_CALL(none >= 0 && dup2(pair, 40) == 40);
	send(SIGRTMAX, 11);
	send(SIGRTMAX, 12);
	send(SIGUSR2, 13);
	workload_ready();
	workload_wait();

	struct pollfd fds[] = {{pair, POLLIN, 0}, {changed, POLLIN, 0}, {none, POLLIN, 0}};

	CHECK(poll(fds, 3, 0) == 2 && !fds[2].revents, "poll finds %x, %x and %x", fds[0].revents,
	      fds[1].revents, fds[2].revents);
	check_read(40, SIGRTMAX, 11);
	check_read(pair, SIGRTMAX, 12);
	check_read(changed, SIGUSR2, 13);
	send(SIGINT, 1);
	check_empty(pair);
	check_empty(changed);
	check_empty(none);
	send(SIGUSR1, 2);
	send(SIGHUP, 3);
	check_read(pair, SIGUSR1, 2);
	check_read(changed, SIGHUP, 3);
	CHECK(fcntl(pair, F_GETFD) == FD_CLOEXEC && !fcntl(changed, F_GETFD) &&
		      fcntl(40, F_GETFL) & O_NONBLOCK,
	      "the flags of a signalfd are lost");
	workload_pass();
}
