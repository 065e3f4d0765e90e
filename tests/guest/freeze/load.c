// SPDX-License-Identifier: GPL-2.0-only
/*
 * freeze-load NAME AREA: be that load until AREA says to stop; see load.h.
 * freeze-load exit STATUS: what children become.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

struct area *area;
const char *program;

enum { STACK = 64 << 10 };

static const struct load {
	const char *name;
	void (*run)(void);
} loads[] = {
	{"spin", load_spin},	     {"sleepers", load_sleepers}, {"signals", load_signals},
	{"churn", load_churn},	     {"spawn", load_spawn},	  {"faults", load_faults},
	{"pipeline", load_pipeline}, {"plain", load_plain},	  {"vfork", load_vfork},
	{"ptrace", load_ptrace},     {"traced", load_traced},	  {"seccomp", load_seccomp},
	{"stopped", load_stopped},
};

void load_fail(const char *format, ...)
{
	va_list ap;

	if (!__atomic_exchange_n(&area->failed, 1, __ATOMIC_SEQ_CST)) {
		va_start(ap, format);
		vsnprintf(area->message, sizeof(area->message), format, ap);
		va_end(ap);
	}
	_exit(1);
}

struct slot *load_slot(const char *kind)
{
	uint32_t i = __atomic_fetch_add(&area->nr_slots, 1, __ATOMIC_SEQ_CST);

	CHECK(i < LOAD_SLOTS, "more slots than expected");
	struct slot *slot = &area->slots[i];

	snprintf(slot->name, sizeof(slot->name), "%s-%u", kind, i);
	return slot;
}

uint64_t load_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void load_sleep_us(unsigned int us)
{
	struct timespec time = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
	uint64_t start = load_now_us();
	int err = clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);

	CHECK(!err, "nanosleep: %s", strerror(err));
	uint64_t took = load_now_us() - start;

	CHECK(took >= us, "a sleep of %u us took %llu", us, (unsigned long long)took);
}

pthread_t load_thread(void *(*run)(void *arg), void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	int err = pthread_create(&thread, &attr, run, arg);

	CHECK(!err, "a thread can't be made: %s", strerror(err));
	pthread_attr_destroy(&attr);
	return thread;
}

void load_join(pthread_t thread)
{
	int err = pthread_join(thread, NULL);

	CHECK(!err, "a thread can't be joined: %s", strerror(err));
}

pid_t load_fork(int (*run)(void *arg), void *arg)
{
	pid_t pid = fork();

	CHECK(pid >= 0, "fork: %s", strerror(errno));
	if (pid)
		return pid;
	_exit(run(arg));
}

void load_reap(pid_t pid, int status)
{
	int found = 0;
	pid_t got = waitpid(pid, &found, WUNTRACED | WCONTINUED | __WALL);

	CHECK(got == pid, "waiting for %d gave %d: %s", pid, got, strerror(errno));
	CHECK(found == status, "the status of %d is 0x%x, not 0x%x", pid, found, status);
}

void *load_shared(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(memory != MAP_FAILED, "mmap: %s", strerror(errno));
	return memory;
}

static struct area *map_area(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		perror(path);
		exit(2);
	}
	void *memory = mmap(NULL, sizeof(struct area), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	close(fd);
	if (memory == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
	return memory;
}

static int be_child(const char *status)
{
	return atoi(status);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	if (!strcmp(argv[1], "exit"))
		return be_child(argv[2]);
	program = "/proc/self/exe";
	area = map_area(argv[2]);
	for (size_t i = 0; i < sizeof(loads) / sizeof(*loads); i++) {
		if (strcmp(argv[1], loads[i].name))
			continue;
		loads[i].run();
		__atomic_store_n(&area->done, 1, __ATOMIC_SEQ_CST);
		for (;;)
			pause();
	}
	fprintf(stderr, "there is no load %s\n", argv[1]);
	return 2;
}
