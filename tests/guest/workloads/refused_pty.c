// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: terminals that CRIU can't restore are refused, each with its reason
 * @expect: refused fd 10: terminal (/dev/ptmx) tells that its slave was closed
 * @expect: fd 20: terminal (/dev/ptmx) has input for its slave; fd 31: terminal (/dev/pts/
 * @expect: has its other end outside of what is saved, in process; dump with --shell-job
 * @expect: fd 40: terminal (pts; is open in process; fd 50: terminal (/dev/ptmx) holds output
 */
#include "terminal.h"

#include <sys/syscall.h>

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);

	struct terminal closed = terminal_open(10, "/dev/ptmx", O_RDWR);
	struct terminal unread = terminal_open(20, "/dev/ptmx", O_RDWR);
	struct terminal outside = terminal_open(30, "/dev/ptmx", O_RDWR);
	struct terminal shared = terminal_open(40, "/dev/ptmx", O_RDWR);
	struct terminal changed = terminal_open(50, "/dev/ptmx", O_RDWR);
	pid_t middle = fork();

	CHECK_CALL(middle >= 0);
	if (!middle) {
		/* Nobody's child: its parent has ended. */
		if (!fork()) {
			for (int fd = 3; fd < 100; fd++)
				if (fd != outside.master && fd != shared.slave)
					close(fd);
			workload_wait();
		}
		_exit(0);
	}
	CHECK_CALL(syscall(SYS_wait4, middle, NULL, 0, NULL) == middle);
	close(outside.master);
	close(closed.slave);
	close(shared.slave);
	/* A slave that was never open has input as well. */
	close(unread.slave);
	terminal_raw(changed.slave);
	terminal_write(changed.slave, "\n", 1);
	nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
	terminal_set(changed.slave, 0, 0, 0, OPOST | ONLCR, 0, 0);

	int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK);

	CHECK_CALL(master >= 0 && dup2(master, 20) == 20 && !close(master));
	terminal_write(20, "x", 1);
	workload_ready();
	workload_wait();
	workload_pass();
}
