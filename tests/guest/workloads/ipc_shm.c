// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: System V shared memory comes back, attached or not, with its ids, owners and contents
 */
#include "ipc.h"

#include <sys/mman.h>
#include <sys/shm.h>

enum { PAGE = 4096, SIZE = 3 << 20, ODD = 5 * PAGE + 123, KEY = 0x4f564d31, OWNER = 4711 };

static int create(key_t key, size_t size, int mode)
{
	int id = shmget(key, size, IPC_CREAT | IPC_EXCL | mode);

	CHECK_CALL(id >= 0);
	return id;
}

static uint8_t *attach(int id, void *address, int flags)
{
	void *memory = shmat(id, address, flags);

	CHECK_CALL(memory != (void *)-1);
	return memory;
}

static void check_segment(int id, key_t key, size_t size, unsigned int mode, uid_t uid,
			  unsigned long attached)
{
	struct shmid_ds ds;

	CHECK_CALL(!shmctl(id, IPC_STAT, &ds));
	ipc_check_perm(&ds.shm_perm, key, uid, uid, mode);
	CHECK(ds.shm_segsz == size, "segment %d has %zu bytes, had %zu", id, ds.shm_segsz, size);
	CHECK(ds.shm_nattch == attached, "segment %d is attached %lu times, not %lu", id,
	      (unsigned long)ds.shm_nattch, attached);
	CHECK(key == IPC_PRIVATE || shmget(key, 0, 0) == id, "the key leads elsewhere");
}

int main(int argc, char **argv)
{
	static const uint8_t zero[PAGE];
	struct shmid_ds ds;

	workload_start(argc, argv, NULL);
	ipc_unshare();

	/* Ids that were used before make the others' sequence numbers differ. */
	CHECK_CALL(!shmctl(create(IPC_PRIVATE, PAGE, 0600), IPC_RMID, NULL));
	int open = create(KEY, SIZE, 0640), odd = create(IPC_PRIVATE, ODD, 0600);
	int loose = create(KEY + 1, SIZE, 0666), empty = create(KEY + 2, PAGE, 0600);
	uint8_t *first = attach(open, NULL, 0), *second = attach(open, NULL, SHM_RDONLY);
	uint8_t *third = attach(odd, NULL, 0), *detached = attach(loose, NULL, 0);

	workload_fill(first, SIZE / 2, 1);
	workload_fill(third, ODD, 2);
	workload_fill(detached, SIZE, 3);
	CHECK_CALL(!shmdt(detached));
	CHECK_CALL(!shmctl(loose, IPC_STAT, &ds));
	ds.shm_perm.uid = ds.shm_perm.gid = OWNER;
	CHECK_CALL(!shmctl(loose, IPC_SET, &ds));
	/* Areas of one attachment, with different protections. */
	CHECK_CALL(!mprotect(first + PAGE, PAGE, PROT_READ));
	workload_ready();
	workload_wait();
	check_segment(open, KEY, SIZE, 0640, 0, 4);
	check_segment(odd, IPC_PRIVATE, ODD, 0600, 0, 1);
	check_segment(loose, KEY + 1, SIZE, 0666, OWNER, 0);
	check_segment(empty, KEY + 2, PAGE, 0600, 0, 0);
	workload_check_fill(first, SIZE / 2, 1, "attached segment");
	for (int at = SIZE / 2; at < SIZE; at += PAGE)
		CHECK(!memcmp(first + at, zero, PAGE), "the hole at %d is none", at);
	workload_check_fill(second, SIZE / 2, 1, "segment attached again");
	workload_check_fill(third, ODD, 2, "segment of an odd size");
	CHECK(!strcmp(workload_vma(second).prot, "r--s"), "the second one is %s",
	      workload_vma(second).prot);
	CHECK(!strcmp(workload_vma(first + PAGE).prot, "r--s"), "the second page is %s",
	      workload_vma(first + PAGE).prot);
	CHECK(!strcmp(workload_vma(first).prot, "rw-s"), "the first page is %s",
	      workload_vma(first).prot);
	first[SIZE - 1] = 0x42;
	CHECK(second[SIZE - 1] == 0x42, "what is written to one isn't in the other");
	detached = attach(loose, NULL, 0);
	workload_check_fill(detached, SIZE, 3, "segment that nobody had attached");
	CHECK(!memcmp(attach(empty, NULL, 0), zero, PAGE), "the empty segment isn't");
	CHECK_CALL(!shmdt(first) && !shmdt(second) && !shmctl(open, IPC_RMID, NULL));
	CHECK(shmget(KEY, 0, 0) == -1 && errno == ENOENT, "what was removed is there");
	workload_pass();
}
