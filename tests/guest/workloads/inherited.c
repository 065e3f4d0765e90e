// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: open files that parent and child share since fork are still the same ones
 */
#include "workload.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

enum { LENGTH = 9000 };

static int turns[2], replies[2], data[2], pair[2];
static int file, event, event_only_child, epoll, timer, signals;

static void prepare(void)
{
	workload_make_file("data", LENGTH, 5);
}

static char take_turn(void)
{
	char c;

	CHECK_CALL(read(turns[0], &c, 1) == 1);
	return c;
}

static void reply(char c)
{
	CHECK_CALL(write(replies[1], &c, 1) == 1);
}

static void child(void)
{
	char buffer[100];
	uint64_t value = 40;
	struct epoll_event got;

	/* The write end for this process alone. */
	event_only_child = eventfd(3, EFD_NONBLOCK);
	CHECK_CALL(event_only_child >= 0);
	reply('r');
	CHECK(take_turn() == 'f', "not this turn");
	CHECK_CALL(read(file, buffer, 100) == 100);
	CHECK_CALL(write(event, &value, sizeof(value)) == sizeof(value));
	CHECK_CALL(read(pair[1], buffer, sizeof(buffer)) == 7 && !memcmp(buffer, "to them", 7));
	CHECK_CALL(write(pair[1], "to you", 6) == 6);
	CHECK_CALL(epoll_wait(epoll, &got, 1, 0) == 1);
	CHECK(got.data.u64 == 4242, "the child's epoll instance tells %llx",
	      (unsigned long long)got.data.u64);
	CHECK_CALL(read(event_only_child, &value, sizeof(value)) == sizeof(value));
	CHECK(value == 3, "the child's own eventfd holds %llu", (unsigned long long)value);
	reply('d');
	CHECK(take_turn() == 'e', "not this turn");
	_exit(0);
}

static void open_all(void)
{
	struct epoll_event event_in = {.events = EPOLLIN, .data.u64 = 4242};
	struct itimerspec hour = {.it_value.tv_sec = 3600};
	sigset_t set;

	file = open(workload_path("data"), O_RDONLY);
	event = eventfd(2, EFD_NONBLOCK);
	epoll = epoll_create1(0);
	timer = timerfd_create(CLOCK_MONOTONIC, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	signals = signalfd(-1, &set, SFD_NONBLOCK);
	CHECK_CALL(file >= 0 && event >= 0 && epoll >= 0 && timer >= 0 && signals >= 0);
	CHECK_CALL(!pipe(turns) && !pipe(replies) && !pipe(data));
	CHECK_CALL(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
	CHECK_CALL(!epoll_ctl(epoll, EPOLL_CTL_ADD, data[0], &event_in));
	CHECK_CALL(!timerfd_settime(timer, 0, &hour, NULL));
	CHECK_CALL(lseek(file, 1000, SEEK_SET) == 1000);
	CHECK_CALL(!flock(file, LOCK_SH));
	CHECK_CALL(write(data[1], "waits", 5) == 5);
	CHECK_CALL(write(pair[0], "to them", 7) == 7);
}

int main(int argc, char **argv)
{
	char c, buffer[100];
	struct itimerspec left;
	uint64_t value;
	int status;

	workload_start(argc, argv, prepare);
	open_all();

	pid_t pid = fork();

	CHECK_CALL(pid >= 0);
	if (!pid)
		child();
	CHECK_CALL(read(replies[0], &c, 1) == 1);
	usleep(100000);
	workload_ready();
	workload_wait();
	CHECK_CALL(write(turns[1], "f", 1) == 1 && read(replies[0], &c, 1) == 1);
	CHECK(c == 'd', "the child says %c", c);
	CHECK(lseek(file, 0, SEEK_CUR) == 1100, "the position is %lld",
	      (long long)lseek(file, 0, SEEK_CUR));
	CHECK_CALL(read(event, &value, sizeof(value)) == sizeof(value));
	CHECK(value == 42, "the eventfd holds %llu", (unsigned long long)value);
	CHECK_CALL(read(data[0], buffer, sizeof(buffer)) == 5 && !memcmp(buffer, "waits", 5));
	CHECK_CALL(read(pair[0], buffer, sizeof(buffer)) == 6 && !memcmp(buffer, "to you", 6));
	CHECK_CALL(!timerfd_gettime(timer, &left));
	CHECK(left.it_value.tv_sec > 3000, "the timer has %lld s left",
	      (long long)left.it_value.tv_sec);
	CHECK_CALL(write(turns[1], "e", 1) == 1 && waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && !WEXITSTATUS(status), "the child ended with 0x%x", status);
	workload_pass();
}
