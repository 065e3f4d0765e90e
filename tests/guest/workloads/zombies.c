// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: who has ended and was not waited for is waited for after the restore, with its status
 */
#include "workload.h"

#include <sys/prctl.h>
#include <sys/wait.h>

static pid_t end_with_code(int code, const char *name)
{
	pid_t pid = fork();

	CHECK_CALL(pid >= 0);
	if (!pid) {
		prctl(PR_SET_NAME, name);
		_exit(code);
	}
	return pid;
}

static pid_t end_with_signal(int signo)
{
	pid_t pid = fork();

	CHECK_CALL(pid >= 0);
	if (!pid) {
		raise(signo);
		_exit(99);
	}
	return pid;
}

/* All threads end, the first one before the others. */
static void *end_group(void *arg)
{
	(void)arg;
	usleep(50000);
	_exit(42);
}

static pid_t end_with_thread(void)
{
	pid_t pid = fork();

	CHECK_CALL(pid >= 0);
	if (!pid) {
		workload_thread(end_group, NULL);
		pthread_exit(NULL);
	}
	return pid;
}

static void wait_until_ended(pid_t pid)
{
	siginfo_t info;

	CHECK_CALL(!waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT));
}

static int status_of(pid_t pid)
{
	int status;

	CHECK_CALL(waitpid(pid, &status, WNOHANG) == pid);
	return status;
}

int main(int argc, char **argv)
{
	int status;

	workload_start(argc, argv, NULL);

	const pid_t zero = end_with_code(0, "zero"), seven = end_with_code(7, "se\tven");
	const pid_t killed = end_with_signal(SIGKILL), user = end_with_signal(SIGUSR1);
	const pid_t thread = end_with_thread();
	const pid_t all[] = {zero, seven, killed, user, thread};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		wait_until_ended(all[i]);
	workload_ready();
	workload_wait();
	status = status_of(zero);
	CHECK(WIFEXITED(status) && !WEXITSTATUS(status), "0 became 0x%x", status);
	status = status_of(seven);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7, "7 became 0x%x", status);
	status = status_of(killed);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "SIGKILL became 0x%x", status);
	status = status_of(user);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1, "SIGUSR1 became 0x%x", status);
	status = status_of(thread);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42, "42 became 0x%x", status);
	CHECK(waitpid(-1, &status, WNOHANG) < 0 && errno == ECHILD, "there are more children");
	workload_pass();
}
