// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: System V shared memory in the initial IPC namespace is refused, with a remedy
 * @expect: refused initial IPC namespace; unshare --ipc
 */
#include "workload.h"

#include <sys/shm.h>

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);

	int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);

	CHECK_CALL(id >= 0);
	uint8_t *memory = shmat(id, NULL, 0);

	CHECK_CALL(memory != (void *)-1);
	CHECK_CALL(!shmctl(id, IPC_RMID, NULL));
	workload_ready();
	workload_wait();
	workload_pass();
}
