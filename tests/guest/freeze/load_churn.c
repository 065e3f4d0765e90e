// SPDX-License-Identifier: GPL-2.0-only
/* Processes that come and go: every end is waited for, and has to be the one that was meant. */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "load.h"

enum { BRANCHES = 4, SPAWN_BRANCHES = 2, LINES = 300, LINE = 16 };

extern char **environ;

static int exit_with(void *arg)
{
	return (int)(uintptr_t)arg;
}

static int exec_with(void *arg)
{
	char status[16];

	snprintf(status, sizeof(status), "%d", (int)(uintptr_t)arg);
	execl(program, "freeze-load", "exit", status, NULL);
	return 99;
}

static int die_by_signal(void *arg)
{
	kill(getpid(), (int)(uintptr_t)arg);
	return 99;
}

static int fork_again(void *arg)
{
	for (uintptr_t i = 0; i < 2; i++)
		load_reap(load_fork(exit_with, (void *)(i + 3)), (int)(i + 3) << 8);
	return (int)(uintptr_t)arg;
}

static void *nothing(void *arg)
{
	return arg;
}

static int make_threads(void *arg)
{
	pthread_t threads[3];

	for (int i = 0; i < 3; i++)
		threads[i] = load_thread(nothing, NULL);
	for (int i = 0; i < 3; i++)
		load_join(threads[i]);
	return (int)(uintptr_t)arg;
}

static void *wait_for_ever(void *arg)
{
	for (;;)
		pause();
	return arg;
}

/* The end of one thread is that of all. */
static int die_with_threads(void *arg)
{
	for (int i = 0; i < 3; i++)
		load_thread(wait_for_ever, NULL);
	_exit((int)(uintptr_t)arg);
}

static int branch(void *arg)
{
	static const struct {
		int (*run)(void *arg);
		int argument, status;
	} children[] = {
		{exit_with, 7, 7 << 8},
		{exec_with, 8, 8 << 8},
		{die_by_signal, SIGKILL, SIGKILL},
		{fork_again, 10, 10 << 8},
		{make_threads, 11, 11 << 8},
		{die_by_signal, SIGTERM, SIGTERM},
		{die_with_threads, 12, 12 << 8},
	};
	enum { NR = sizeof(children) / sizeof(*children) };
	struct slot *slot = arg;
	unsigned int at = (unsigned int)(slot - area->slots);

	slot->tid = gettid();
	while (!load_stopping()) {
		pid_t pids[3];

		for (unsigned int i = 0; i < 3; i++)
			pids[i] = load_fork(children[(at + i) % NR].run,
					    (void *)(uintptr_t)children[(at + i) % NR].argument);
		for (unsigned int i = 0; i < 3; i++)
			load_reap(pids[i], children[(at + i) % NR].status);
		CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD,
		      "%s: there is a child that was not forked", slot->name);
		at++;
		load_turn(slot);
	}
	return 0;
}

static void run_branches(int nr, int (*run)(void *arg), const char *name)
{
	pid_t pids[BRANCHES];

	for (int i = 0; i < nr; i++)
		pids[i] = load_fork(run, load_slot(name));
	area->ready = 1;
	for (int i = 0; i < nr; i++)
		load_reap(pids[i], 0);
}

void load_churn(void)
{
	run_branches(BRANCHES, branch, "churn");
}

/* As libraries start programs: the parent waits, uninterruptibly but for kills, until exec. */
static int spawn_branch(void *arg)
{
	char *arguments[] = {"freeze-load", "exit", "5", NULL};
	struct slot *slot = arg;

	slot->tid = gettid();
	while (!load_stopping()) {
		pid_t pid;
		int err = posix_spawn(&pid, program, NULL, NULL, arguments, environ);

		CHECK(!err, "posix_spawn: %s", strerror(err));
		load_reap(pid, 5 << 8);
		load_turn(slot);
		load_sleep_us(1000);
	}
	return 0;
}

void load_spawn(void)
{
	run_branches(SPAWN_BRANCHES, spawn_branch, "spawn");
}

/* ---- a pipeline of the shell ----------------------------------------------------------------- */

static int compare_lines(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* What the pipeline below has to print. */
static size_t expected_output(char *text)
{
	static char lines[LINES][LINE];
	size_t length = 0;

	for (int i = 0; i < LINES; i++) {
		snprintf(lines[i], LINE, "%d", i + 1);
		for (char *c = lines[i]; *c; c++)
			*c = (char)('a' + (*c - '0'));
	}
	qsort(lines, LINES, LINE, compare_lines);
	for (int i = 0; i < LINES; i++) {
		length = (size_t)(stpcpy(text + length, lines[i]) - text);
		text[length++] = '\n';
	}
	return length;
}

static int run_shell(void *arg)
{
	static const char script[] = "seq 1 300 | tr 0-9 a-j | sort | cat | uniq";
	int fd = *(int *)arg;

	dup2(fd, 1);
	execl("/bin/sh", "sh", "-c", script, NULL);
	return 99;
}

static void run_pipeline(struct slot *slot, const char *expected, size_t length)
{
	char output[LINES * LINE];
	size_t have = 0;
	ssize_t n;
	int fds[2];

	CHECK(!pipe2(fds, O_CLOEXEC), "pipe: %s", strerror(errno));
	pid_t pid = load_fork(run_shell, &fds[1]);

	close(fds[1]);
	while ((n = read(fds[0], output + have, sizeof(output) - have)) > 0)
		have += (size_t)n;
	CHECK(!n, "%s: read: %s", slot->name, strerror(errno));
	close(fds[0]);
	load_reap(pid, 0);
	CHECK(have == length && !memcmp(output, expected, length),
	      "%s: the output of %zu bytes is not the expected one of %zu", slot->name, have,
	      length);
}

static int pipeline(void *arg)
{
	static char expected[LINES * LINE];
	size_t length = expected_output(expected);
	struct slot *slot = arg;

	slot->tid = gettid();
	while (!load_stopping()) {
		run_pipeline(slot, expected, length);
		load_turn(slot);
	}
	return 0;
}

void load_pipeline(void)
{
	run_branches(2, pipeline, "pipeline");
}
