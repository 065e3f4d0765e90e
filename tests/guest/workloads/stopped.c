// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: stopped processes are stopped after the restore, and go on with SIGCONT where they
 * were
 */
#include "workload.h"

#include <stdio.h>
#include <sys/wait.h>

static int lines[2], answers[2];

/* Blocked in read(2) when it is stopped. */
static void reader(void)
{
	char c;

	for (;;) {
		CHECK_CALL(read(lines[0], &c, 1) == 1);
		c++;
		CHECK_CALL(write(answers[1], &c, 1) == 1);
	}
}

/* In user mode when it is stopped. */
static void counter(void)
{
	static volatile unsigned long count;

	for (;;)
		count++;
}

static pid_t spawn(void (*run)(void))
{
	pid_t pid = fork();

	CHECK_CALL(pid >= 0);
	if (!pid)
		run();
	return pid;
}

static char state_of(pid_t pid)
{
	char path[64], text[256] = "", state = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "r");
	CHECK_CALL(file);
	CHECK_CALL(fgets(text, sizeof(text), file));
	fclose(file);
	sscanf(strrchr(text, ')') + 1, " %c", &state);
	return state;
}

static void stop(pid_t pid)
{
	int status;

	CHECK_CALL(!kill(pid, SIGSTOP));
	CHECK_CALL(waitpid(pid, &status, WUNTRACED) == pid);
	CHECK(WIFSTOPPED(status), "not stopped: 0x%x", status);
}

static void check_stopped(pid_t pid, const char *name)
{
	for (int i = 0; i < 100 && state_of(pid) != 'T'; i++)
		usleep(20000);
	CHECK(state_of(pid) == 'T', "the %s is in state %c", name, state_of(pid));
}

int main(int argc, char **argv)
{
	char c = 'a';

	workload_start(argc, argv, NULL);
	CHECK_CALL(!pipe(lines) && !pipe(answers));

	const pid_t reads = spawn(reader), counts = spawn(counter);

	CHECK_CALL(write(lines[1], &c, 1) == 1 && read(answers[0], &c, 1) == 1);
	usleep(200000);
	stop(reads);
	stop(counts);
	workload_ready();
	workload_wait();
	check_stopped(reads, "reader");
	check_stopped(counts, "counter");
	CHECK_CALL(!kill(reads, SIGCONT) && !kill(counts, SIGCONT));
	CHECK_CALL(write(lines[1], &c, 1) == 1 && read(answers[0], &c, 1) == 1);
	CHECK(c == 'c', "the reader answers %c", c);
	usleep(50000);
	CHECK(state_of(counts) == 'R', "the counter is in state %c", state_of(counts));
	CHECK_CALL(!kill(reads, SIGKILL) && !kill(counts, SIGKILL));
	workload_pass();
}
