// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a thread in strict seccomp mode reads on, and is ended by any other call
 */
#include "seccomp.h"

static int to[2], from[2];
static pid_t tid;

static void *run(void *arg)
{
	char byte;

	(void)arg;
	tid = (pid_t)syscall(SYS_gettid);
	CHECK_CALL(write(from[1], "r", 1) == 1);
	CHECK_CALL(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
	while (syscall(SYS_read, to[0], &byte, 1) == 1)
		if (byte == 'x')
			syscall(SYS_getpid);
		else
			syscall(SYS_write, from[1], &byte, 1);
	return NULL;
}

static void expect(char expected)
{
	char byte = 0;

	CHECK_CALL(read(from[0], &byte, 1) == 1);
	CHECK(byte == expected, "the thread wrote %d, not %d", byte, expected);
}

int main(int argc, char **argv)
{
	char path[64];

	workload_start(argc, argv, NULL);
	CHECK_CALL(!pipe(to) && !pipe(from));
	workload_thread(run, NULL);
	expect('r');
	while (seccomp_status(tid, "Seccomp") != SECCOMP_MODE_STRICT)
		usleep(1000);
	CHECK_CALL(write(to[1], "a", 1) == 1);
	expect('a');
	workload_until_in_call(tid, SYS_read);
	workload_ready();
	workload_wait();
	CHECK_CALL(write(to[1], "b", 1) == 1);
	expect('b');
	CHECK(seccomp_status(tid, "Seccomp") == SECCOMP_MODE_STRICT, "the mode was lost");
	CHECK(!seccomp_status(getpid(), "Seccomp"), "the main thread has a mode");
	CHECK_CALL(write(to[1], "x", 1) == 1);
	snprintf(path, sizeof(path), "/proc/self/task/%d", tid);
	for (int i = 0; !access(path, F_OK); i++) {
		CHECK(i < 5000, "getpid did not end the thread");
		usleep(1000);
	}
	workload_pass();
}
