// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a segment that was removed while it is attached keeps its contents, for all
 */
#include "family.h"
#include "ipc.h"

#include <sys/shm.h>

enum { SIZE = 1 << 20, HALF = SIZE / 2 };

static uint8_t *memory;

static void child(const struct family *family, int i)
{
	workload_fill(memory + HALF, HALF, 2);
	family_step(family, i);
	workload_check_fill(memory, HALF, 3, "what the parent wrote after the restore");
	workload_fill(memory + HALF, HALF, 4);
}

int main(int argc, char **argv)
{
	struct family family;

	workload_start(argc, argv, NULL);
	ipc_unshare();

	int id = shmget(IPC_PRIVATE, SIZE, IPC_CREAT | 0600);
	void *attached = shmat(id, NULL, 0);

	CHECK_CALL(id >= 0 && attached != (void *)-1);
	memory = attached;
	CHECK_CALL(!shmctl(id, IPC_RMID, NULL));
	workload_fill(memory, HALF, 1);
	family_start(&family, 1, child);
	workload_ready();
	workload_wait();
	workload_check_fill(memory, HALF, 1, "segment");
	workload_check_fill(memory + HALF, HALF, 2, "what the child wrote before the dump");
	workload_fill(memory, HALF, 3);
	family_next(&family, 0);
	workload_check_fill(memory + HALF, HALF, 4, "what the child wrote after the restore");
	family_end(&family);
	CHECK_CALL(!shmdt(memory));
	workload_pass();
}
