// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: System V IPC in the initial namespace is refused, with a remedy
 * @expect: refused initial IPC namespace; unshare --ipc; 1 sets of semaphores, 1 message queues
 */
#include "workload.h"

#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

int main(int argc, char **argv)
{
	struct sembuf op = {.sem_op = 1};
	long message = 1;

	workload_start(argc, argv, NULL);

	int sems = semget(IPC_PRIVATE, 3, IPC_CREAT | 0600);
	int queue = msgget(IPC_PRIVATE, IPC_CREAT | 0600);

	CHECK_CALL(sems >= 0 && queue >= 0);
	CHECK_CALL(!semop(sems, &op, 1) && !msgsnd(queue, &message, 0, 0));

	int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);

	CHECK_CALL(id >= 0);
	uint8_t *memory = shmat(id, NULL, 0);

	CHECK_CALL(memory != (void *)-1);
	CHECK_CALL(!shmctl(id, IPC_RMID, NULL));
	workload_ready();
	workload_wait();
	CHECK_CALL(!semctl(sems, 0, IPC_RMID) && !msgctl(queue, IPC_RMID, NULL));
	workload_pass();
}
