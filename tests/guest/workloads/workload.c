// SPDX-License-Identifier: GPL-2.0-only
#include "workload.h"

#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { EXIT_SKIP = 77, POLL_MS = 50 };

static char directory[PATH_MAX - 128];
static char name[64];
static char go_path[PATH_MAX];

static void write_all(int fd, const void *data, size_t length)
{
	for (size_t done = 0; done < length;) {
		ssize_t n = write(fd, (const char *)data + done, length - done);

		if (n <= 0)
			_exit(2);
		done += (size_t)n;
	}
}

/* The file appears with all of its content, or not at all. */
static void publish(const char *what, const char *text)
{
	char new_path[PATH_MAX], path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s.%s", directory, name, what);
	snprintf(new_path, sizeof(new_path), "%s/%s.%s.new", directory, name, what);
	int fd = open(new_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0)
		_exit(2);
	write_all(fd, text, strlen(text));
	close(fd);
	if (rename(new_path, path))
		_exit(2);
}

static void report(const char *verdict, const char *format, va_list args)
{
	char text[1024];
	int used = snprintf(text, sizeof(text), "%s: ", verdict);

	vsnprintf(text + used, sizeof(text) - (size_t)used - 1, format, args);
	strcat(text, "\n");
	publish("result", text);
}

void workload_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report("FAIL", format, args);
	va_end(args);
	_exit(1);
}

void workload_skip(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report("SKIP", format, args);
	va_end(args);
	_exit(EXIT_SKIP);
}

void workload_pass(void)
{
	publish("result", "PASS\n");
	_exit(0);
}

static void standard_files(void)
{
	int null = open("/dev/null", O_RDWR);

	if (null < 0)
		_exit(2);
	for (int fd = 0; fd <= 2; fd++)
		if (fd != null && dup2(null, fd) < 0)
			_exit(2);
	if (null > 2)
		close(null);
}

/* What the starter had open is no part of the workload. */
static void close_others(void)
{
	for (int fd = 3; fd < 256; fd++)
		close(fd);
}

void workload_start(int argc, char **argv, void (*prepare)(void))
{
	const char *slash = strrchr(argv[0], '/');
	bool only_prepare = argc == 3 && !strcmp(argv[1], "--prepare");

	if (argc != 2 && !only_prepare) {
		dprintf(2, "usage: %s [--prepare] DIRECTORY\n", argv[0]);
		_exit(2);
	}
	snprintf(name, sizeof(name), "%s", slash ? slash + 1 : argv[0]);
	if (!realpath(argv[argc - 1], directory)) {
		dprintf(2, "%s: %s\n", argv[argc - 1], strerror(errno));
		_exit(2);
	}
	snprintf(go_path, sizeof(go_path), "%s/go", directory);
	/* Some workloads go on as another user, and write their result as that one. */
	if (!geteuid())
		chmod(directory, 01777);
	if (only_prepare) {
		if (prepare)
			prepare();
		_exit(0);
	}
	unlink(workload_path("ready"));
	unlink(workload_path("result"));
	setsid();
	standard_files();
	close_others();
}

void workload_chroot(void)
{
	CHECK_CALL(!chroot(directory) && !chdir("/"));
	directory[0] = 0;
	strcpy(go_path, "/go");
}

const char *workload_path(const char *what)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s.%s", directory, name, what);
	return path;
}

void workload_make_file(const char *what, size_t length, uint64_t seed)
{
	uint8_t *data = malloc(length);
	int fd = open(workload_path(what), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	CHECK(data && fd >= 0, "can't make %s: %s", workload_path(what), strerror(errno));
	workload_fill(data, length, seed);
	write_all(fd, data, length);
	/* What restore compares must not hang on the umask. */
	fchmod(fd, 0644);
	close(fd);
	free(data);
}

void workload_ready(void)
{
	char text[32];

	snprintf(text, sizeof(text), "%d\n", getpid());
	publish("ready", text);
}

bool workload_go(void)
{
	return !access(go_path, F_OK);
}

void workload_wait(void)
{
	while (!workload_go())
		nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
}

int64_t workload_clock(clockid_t clock)
{
	struct timespec ts;

	CHECK_CALL(!clock_gettime(clock, &ts));
	return workload_ns(ts);
}

int64_t workload_now(void)
{
	return workload_clock(CLOCK_MONOTONIC);
}

int64_t workload_timeout(void)
{
	const char *seconds = getenv("WORKLOAD_SECONDS");

	return (seconds ? atoi(seconds) : 60) * WORKLOAD_NS_PER_S;
}

struct timespec workload_timespec(int64_t ns)
{
	return (struct timespec){ns / WORKLOAD_NS_PER_S, ns % WORKLOAD_NS_PER_S};
}

int64_t workload_ns(struct timespec ts)
{
	return ts.tv_sec * WORKLOAD_NS_PER_S + ts.tv_nsec;
}

void workload_check_deadline(int64_t deadline)
{
	int64_t late = workload_now() - deadline;

	CHECK(late >= -WORKLOAD_EARLY, "ended %lld ms too early", (long long)-late / 1000000);
	CHECK(late <= WORKLOAD_LATE, "ended %lld ms too late", (long long)late / 1000000);
	CHECK(workload_go(), "ended before there was a go file: nothing was tested");
}

pthread_t workload_thread(void *(*run)(void *), void *arg)
{
	pthread_t thread;
	int error = pthread_create(&thread, NULL, run, arg);

	CHECK(!error, "pthread_create: %s", strerror(error));
	return thread;
}

void workload_until_in_call(pid_t tid, long nr)
{
	char file[64], text[64];

	snprintf(file, sizeof(file), "task/%d/syscall", tid);
	for (int tries = 0; tries < 1000; tries++) {
		size_t length = workload_proc(file, text, sizeof(text));

		if (length && text[0] != 'r' && atol(text) == nr)
			return;
		nanosleep(&(struct timespec){.tv_nsec = 10 * 1000000}, NULL);
	}
	workload_fail("thread %d doesn't sleep in system call %ld: %s", tid, nr, text);
}

/* splitmix64 (Steele, Lea, Flood 2014): neighbouring words have nothing in common. */
uint64_t workload_word(uint64_t seed, uint64_t index)
{
	uint64_t z = (seed << 40) + (index + 1) * 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

void workload_fill(void *memory, size_t length, uint64_t seed)
{
	for (size_t i = 0; i < length; i += sizeof(uint64_t)) {
		uint64_t word = workload_word(seed, i / sizeof(word));
		size_t left = length - i;

		memcpy((char *)memory + i, &word, left < sizeof(word) ? left : sizeof(word));
	}
}

void workload_check_fill(const void *memory, size_t length, uint64_t seed, const char *what)
{
	for (size_t i = 0; i < length; i += sizeof(uint64_t)) {
		uint64_t word = workload_word(seed, i / sizeof(word));
		size_t left = length - i;

		CHECK(!memcmp((const char *)memory + i, &word,
			      left < sizeof(word) ? left : sizeof(word)),
		      "%s: what is at offset 0x%zx is not what was there", what, i);
	}
}

size_t workload_proc(const char *file, char *buffer, size_t size)
{
	char path[PATH_MAX];
	size_t length = 0;
	ssize_t n = 0;

	snprintf(path, sizeof(path), "/proc/self/%s", file);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0, "%s: %s", path, strerror(errno));
	while (length < size - 1 && (n = read(fd, buffer + length, size - 1 - length)) > 0)
		length += (size_t)n;
	close(fd);
	CHECK(n >= 0, "reading %s: %s", path, strerror(errno));
	buffer[length] = 0;
	return length;
}

static void parse_flags(FILE *smaps, struct workload_vma *vma)
{
	char line[512];

	while (fgets(line, sizeof(line), smaps))
		if (sscanf(line, "VmFlags: %127[^\n]", vma->flags) == 1)
			return;
}

struct workload_vma workload_vma(const void *address)
{
	struct workload_vma vma = {0};
	char line[512];
	FILE *smaps = fopen("/proc/self/smaps", "re");

	CHECK(smaps, "/proc/self/smaps: %s", strerror(errno));
	while (fgets(line, sizeof(line), smaps)) {
		vma.path[0] = 0;
		if (sscanf(line, "%lx-%lx %4s %llx %*s %*s %255s", &vma.start, &vma.end, vma.prot,
			   &vma.offset, vma.path) < 4)
			continue;
		if ((unsigned long)address >= vma.end || (unsigned long)address < vma.start)
			continue;
		parse_flags(smaps, &vma);
		fclose(smaps);
		return vma;
	}
	workload_fail("nothing is mapped at %p", address);
}
