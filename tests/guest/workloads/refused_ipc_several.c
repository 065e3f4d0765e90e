// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: what CRIU has no place for in an IPC namespace is refused, all of it at once
 * @expect: refused SEM_UNDO; 1 POSIX message queues; message of 9000 bytes; executable System V
 */
#include "ipc.h"

#include <fcntl.h>
#include <mqueue.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

static void raise_limit(void)
{
	int fd = open("/proc/sys/kernel/msgmax", O_WRONLY);

	CHECK_CALL(fd >= 0 && write(fd, "10000", 5) == 5);
	close(fd);
}

int main(int argc, char **argv)
{
	static struct {
		long type;
		char text[9000];
	} message = {.type = 1};
	struct sembuf op = {.sem_op = 2, .sem_flg = SEM_UNDO};

	workload_start(argc, argv, NULL);
	ipc_unshare();
	raise_limit();

	int sems = semget(IPC_PRIVATE, 1, IPC_CREAT | 0600);
	int queue = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
	int segment = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0700);
	mqd_t posix = mq_open("/workload", O_RDWR | O_CREAT, 0600, NULL);

	CHECK_CALL(sems >= 0 && queue >= 0 && segment >= 0 && posix >= 0);
	CHECK_CALL(!mq_close(posix));
	CHECK_CALL(!semop(sems, &op, 1));
	CHECK_CALL(!msgsnd(queue, &message, sizeof(message.text), 0));
	CHECK_CALL(shmat(segment, NULL, SHM_EXEC) != (void *)-1);
	workload_ready();
	workload_wait();
	CHECK_CALL(!mq_unlink("/workload"));
	workload_pass();
}
