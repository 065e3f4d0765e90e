// SPDX-License-Identifier: GPL-2.0-only
/*
 * A tree of processes that hold files, and wait.
 *
 *	family PROCESSES FILES DIRECTORY
 *
 * Processes have up to eight children each. FILES descriptors each are of several kinds, by turns;
 * the first three are the same files in all. DIRECTORY/ready appears when all of them are there.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { CHILDREN = 8, INHERITED = 3 };

static int open_file(const char *directory, int process, int number)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%d.%d", directory, process, number);
	return open(path, O_RDWR | O_CREAT, 0600);
}

/* How many descriptors came of it. */
static int open_some(const char *directory, int process, int number, int left)
{
	int pair[2], event, epoll;
	sigset_t set;

	switch (number % 6) {
	case 0:
	case 3:
		return open_file(directory, process, number) >= 0 ? 1 : -1;
	case 1:
		if (left < 2)
			return dup(0) >= 0 ? 1 : -1;
		if (pipe(pair) || write(pair[1], "waiting", 7) != 7)
			return -1;
		return 2;
	case 2:
		if (left < 2)
			return dup(1) >= 0 ? 1 : -1;
		event = eventfd(number, 0);
		epoll = epoll_create1(0);
		if (event < 0 || epoll < 0 ||
		    epoll_ctl(epoll, EPOLL_CTL_ADD, event,
			      &(struct epoll_event){.events = EPOLLIN, .data.u32 = number}))
			return -1;
		return 2;
	case 4:
		if (left < 2)
			return dup(2) >= 0 ? 1 : -1;
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || write(pair[0], "queued", 6) != 6)
			return -1;
		return 2;
	default:
		sigemptyset(&set);
		sigaddset(&set, SIGUSR1);
		return (number % 4 ? timerfd_create(CLOCK_MONOTONIC, 0) : signalfd(-1, &set, 0)) >=
				       0
			       ? 1
			       : -1;
	}
}

static void settle_down(int process, int files, const char *directory, unsigned int *there)
{
	int have = INHERITED;

	for (int number = 0; have < files; number++) {
		int got = open_some(directory, process, number, files - have);

		if (got < 0) {
			perror("family");
			exit(1);
		}
		have += got;
	}
	__atomic_add_fetch(there, 1, __ATOMIC_RELEASE);
}

int main(int argc, char **argv)
{
	int processes = argc > 3 ? atoi(argv[1]) : 0, files = argc > 3 ? atoi(argv[2]) : 0;
	int process = 0;
	unsigned int *there =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char path[512];

	if (processes < 1 || there == MAP_FAILED)
		return 2;
	setsid();
	/* Numbered as a heap: the children of p are 8p+1 to 8p+8. */
again:
	for (int child = process * CHILDREN + 1; child <= (process + 1) * CHILDREN; child++) {
		if (child >= processes)
			break;
		pid_t pid = fork();
		if (pid < 0) {
			perror("family: fork");
			return 1;
		}
		if (!pid) {
			process = child;
			goto again;
		}
	}
	settle_down(process, files, argv[3], there);
	if (!process) {
		while (__atomic_load_n(there, __ATOMIC_ACQUIRE) < (unsigned int)processes)
			usleep(20000);
		snprintf(path, sizeof(path), "%s/ready", argv[3]);
		close(open(path, O_WRONLY | O_CREAT, 0600));
	}
	for (;;)
		pause();
}
