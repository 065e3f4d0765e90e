// SPDX-License-Identifier: GPL-2.0-only
/*
 * freeze-load SPEC FILE: threads as in SPEC ("spin:2,sleep:8"), each counting its turns in FILE.
 *
 * A call that is interrupted though nobody sent a signal is counted, too: FILE is an array of
 * struct slot, shared with whoever reads it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct slot {
	char kind[8];
	uint64_t turns, interrupted;
};

static struct slot *slots;

static void count(struct slot *slot, int failed)
{
	if (failed && errno == EINTR)
		slot->interrupted++;
	else if (failed) {
		perror(slot->kind);
		_exit(1);
	}
	slot->turns++;
}

static void spin(struct slot *slot)
{
	for (;;)
		__atomic_fetch_add(&slot->turns, 1, __ATOMIC_RELAXED);
}

static void sleep_a_bit(struct slot *slot)
{
	struct timespec t = {.tv_nsec = 20000000};

	for (;;) {
		int err = clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);

		errno = err;
		count(slot, err != 0);
	}
}

static void wait_futex(struct slot *slot)
{
	uint32_t word = 0;
	struct timespec t = {.tv_nsec = 20000000};

	for (;;) {
		long n = syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0);

		count(slot, n < 0 && errno != ETIMEDOUT);
	}
}

static void wait_epoll(struct slot *slot)
{
	int fd = epoll_create1(0);

	for (;;) {
		struct epoll_event event;

		count(slot, epoll_wait(fd, &event, 1, 20) < 0);
	}
}

static void wait_poll(struct slot *slot)
{
	for (;;)
		count(slot, poll(NULL, 0, 20) < 0);
}

/* A pair of processes' worth of ping-pong in one thread and a child: what is lost would hang. */
static void ping(struct slot *slot, int domain)
{
	int a[2], b[2];
	uint64_t n = 0, got;

	if (domain ? socketpair(domain, SOCK_STREAM, 0, a) || socketpair(domain, SOCK_STREAM, 0, b)
		   : pipe(a) || pipe(b))
		exit(1);
	if (!fork())
		while (read(a[0], &got, sizeof(got)) == sizeof(got)) {
			usleep(10000);
			if (write(b[1], &got, sizeof(got)) != sizeof(got))
				_exit(1);
		}
	for (;; n++) {
		if (write(a[1], &n, sizeof(n)) != sizeof(n) ||
		    read(b[0], &got, sizeof(got)) != sizeof(got) || got != n) {
			fprintf(stderr, "%s: sequence broken\n", slot->kind);
			_exit(1);
		}
		slot->turns++;
	}
}

static void wait_pipe(struct slot *slot)
{
	ping(slot, 0);
}

static void wait_socket(struct slot *slot)
{
	ping(slot, AF_UNIX);
}

static void churn(struct slot *slot)
{
	for (;;) {
		pid_t pid = fork();

		if (!pid)
			_exit(7);
		int status;

		if (pid < 0 || waitpid(pid, &status, 0) != pid || WEXITSTATUS(status) != 7) {
			perror("churn");
			_exit(1);
		}
		slot->turns++;
		usleep(20000);
	}
}

static void fault(struct slot *slot)
{
	for (;;) {
		size_t len = 1 << 20;
		char *p =
			mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			_exit(1);
		for (size_t i = 0; i < len; i += 4096)
			p[i] = 1;
		munmap(p, len);
		slot->turns++;
		usleep(20000);
	}
}

static const struct kind {
	const char *name;
	void (*run)(struct slot *slot);
} kinds[] = {
	{"sleep", sleep_a_bit}, {"futex", wait_futex}, {"epoll", wait_epoll},
	{"poll", wait_poll},	{"pipe", wait_pipe},   {"socket", wait_socket},
	{"churn", churn},	{"fault", fault},      {"spin", spin},
};

static void *thread(void *arg)
{
	struct slot *slot = arg;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(slot->kind, kinds[i].name))
			kinds[i].run(slot);
	return NULL;
}

int main(int argc, char **argv)
{
	size_t nr = 0;

	if (argc != 3)
		return 2;
	int fd = open(argv[2], O_RDWR | O_CREAT | O_TRUNC, 0644);

	if (fd < 0 || ftruncate(fd, 1 << 16))
		return 1;
	slots = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (slots == MAP_FAILED)
		return 1;
	for (char *word = strtok(argv[1], ","); word; word = strtok(NULL, ",")) {
		char *colon = strchr(word, ':');
		int n = colon ? atoi(colon + 1) : 1;

		if (colon)
			*colon = 0;
		for (; n-- > 0; nr++) {
			pthread_t id;

			snprintf(slots[nr].kind, sizeof(slots[nr].kind), "%s", word);
			if (pthread_create(&id, NULL, thread, &slots[nr]))
				return 1;
		}
	}
	for (;;)
		pause();
}
