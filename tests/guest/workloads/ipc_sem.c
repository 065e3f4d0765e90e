// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: System V semaphores have their values, and still wake who waits for them
 */
#include "ipc.h"

#include <sys/sem.h>
#include <sys/syscall.h>

enum { KEY = 0x4f564d32, NR = 777, OWNER = 4712, ROUNDS = 3 };

static int set;

static unsigned short value(int i)
{
	return (unsigned short)(i * 7919 % 32768);
}

static void change(int number, short by, short flags)
{
	struct sembuf op = {.sem_num = (unsigned short)number, .sem_op = by, .sem_flg = flags};

	CHECK_CALL(!semop(set, &op, 1));
}

/* Semaphore 0 is 0: wait for it to become 5. */
static void *wait_for_it(void *arg)
{
	struct sembuf op = {.sem_num = 0, .sem_op = -5};
	int ret;

	*(pid_t *)arg = gettid();
	do
		ret = semop(set, &op, 1);
	while (ret && errno == EINTR);
	CHECK_CALL(!ret);
	return NULL;
}

int main(int argc, char **argv)
{
	static unsigned short values[NR], got[NR];
	static pid_t waiter;
	struct semid_ds ds;
	int other;

	workload_start(argc, argv, NULL);
	ipc_unshare();
	for (int i = 0; i < ROUNDS; i++)
		CHECK_CALL(!semctl(semget(IPC_PRIVATE, 1, IPC_CREAT | 0600), 0, IPC_RMID));
	set = semget(KEY, NR, IPC_CREAT | IPC_EXCL | 0620);
	other = semget(IPC_PRIVATE, 1, IPC_CREAT | 0600);
	CHECK_CALL(set >= 0 && other >= 0);
	for (int i = 0; i < NR; i++)
		values[i] = value(i);
	CHECK_CALL(!semctl(set, 0, SETALL, values));
	CHECK_CALL(!semctl(set, 0, IPC_STAT, &ds));
	ds.sem_perm.uid = ds.sem_perm.gid = OWNER;
	CHECK_CALL(!semctl(set, 0, IPC_SET, &ds));
	/* What would be undone adds up to nothing. */
	change(3, 2, SEM_UNDO);
	change(3, -2, SEM_UNDO);
	pthread_t thread = workload_thread(wait_for_it, &waiter);

	while (!*(volatile pid_t *)&waiter)
		usleep(1000);
	workload_until_in_call(waiter, SYS_semtimedop);
	workload_ready();
	workload_wait();
	CHECK_CALL(!semctl(set, 0, GETALL, got));
	CHECK(!memcmp(values, got, sizeof(got)), "the values differ");
	CHECK_CALL(!semctl(set, 0, IPC_STAT, &ds));
	ipc_check_perm(&ds.sem_perm, KEY, OWNER, OWNER, 0620);
	CHECK(ds.sem_nsems == NR, "there are %lu semaphores", (unsigned long)ds.sem_nsems);
	CHECK(semget(KEY, 0, 0) == set, "the key leads elsewhere");
	CHECK(semctl(other, 0, GETVAL) == 0, "the other semaphore has a value");
	change(0, 7, 0);
	CHECK_CALL(!pthread_join(thread, NULL));
	CHECK(semctl(set, 0, GETVAL) == 2, "semaphore 0 is %d", semctl(set, 0, GETVAL));
	CHECK_CALL(!semctl(set, 0, IPC_RMID) && !semctl(other, 0, IPC_RMID));
	workload_pass();
}
