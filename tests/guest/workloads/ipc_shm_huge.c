// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: System V shared memory of huge pages comes back as such
 * @needs: hugetlb
 */
#include "ipc.h"

#include <sys/shm.h>

enum { HUGE = 2 << 20, SIZE = 2 * HUGE };

int main(int argc, char **argv)
{
	workload_start(argc, argv, NULL);
	ipc_unshare();

	int id = shmget(IPC_PRIVATE, SIZE, IPC_CREAT | SHM_HUGETLB | 21 << 26 | 0600);

	if (id < 0)
		workload_skip("2 huge pages of 2 MiB aren't free (vm.nr_hugepages)");
	uint8_t *memory = shmat(id, NULL, 0);

	CHECK_CALL(memory != (void *)-1);
	workload_fill(memory, SIZE, 1);
	workload_ready();
	workload_wait();
	workload_check_fill(memory, SIZE, 1, "segment of huge pages");
	CHECK(strstr(workload_vma(memory).flags, "ht "), "the segment has small pages");
	CHECK_CALL(!shmdt(memory));
	memory = shmat(id, NULL, 0);
	CHECK_CALL(memory != (void *)-1);
	workload_check_fill(memory, SIZE, 1, "segment of huge pages, attached again");
	CHECK_CALL(!shmctl(id, IPC_RMID, NULL));
	workload_pass();
}
