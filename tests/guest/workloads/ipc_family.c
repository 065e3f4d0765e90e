// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: processes go on talking by System V shared memory, semaphores and message queues
 */
#include "ipc.h"

#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>

enum { NR = 3, SIZE = 1 << 20, PART = SIZE / NR / 4096 * 4096 };

/* Semaphore N lets child N go on; the one behind them is what the children answer with. */
static int segment, sems, queue;

struct message {
	long type;
	char text[32];
};

static void change(int number, short by)
{
	struct sembuf op = {.sem_num = (unsigned short)number, .sem_op = by};
	int ret;

	do
		ret = semop(sems, &op, 1);
	while (ret && errno == EINTR);
	CHECK_CALL(!ret);
}

static uint8_t *attach(void)
{
	void *memory = shmat(segment, NULL, 0);

	CHECK_CALL(memory != (void *)-1);
	return memory;
}

/* What the child before wrote is checked, then its own part is written. */
static void child(int i)
{
	struct message message;
	uint8_t *memory = attach();

	workload_fill(memory + i * PART, PART, 100 + i);
	change(NR, 1);
	change(i, -1);
	CHECK(msgrcv(queue, &message, sizeof(message.text), i + 1, 0) == sizeof(message.text) &&
		      !strcmp(message.text, "before"),
	      "child %d got \"%s\"", i, message.text);
	for (int j = 0; j < NR; j++)
		workload_check_fill(memory + j * PART, PART, j < i ? 200 + j : 100 + j,
				    "part of another child");
	workload_fill(memory + i * PART, PART, 200 + i);
	change(NR, 1);
	_exit(0);
}

int main(int argc, char **argv)
{
	struct message message = {.text = "before"};
	pid_t pids[NR];
	int status;

	workload_start(argc, argv, NULL);
	ipc_unshare();
	segment = shmget(IPC_PRIVATE, SIZE, IPC_CREAT | 0600);
	sems = semget(IPC_PRIVATE, NR + 1, IPC_CREAT | 0600);
	queue = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
	CHECK_CALL(segment >= 0 && sems >= 0 && queue >= 0);
	for (int i = 0; i < NR; i++) {
		pids[i] = fork();
		CHECK_CALL(pids[i] >= 0);
		if (!pids[i])
			child(i);
	}
	change(NR, -NR);
	for (int i = NR; i--;) {
		message.type = i + 1;
		CHECK_CALL(!msgsnd(queue, &message, sizeof(message.text), 0));
	}
	uint8_t *memory = attach();

	workload_ready();
	workload_wait();
	for (int i = 0; i < NR; i++) {
		change(i, 1);
		change(NR, -1);
		workload_check_fill(memory + i * PART, PART, 200 + i, "what a child wrote");
	}
	for (int i = 0; i < NR; i++)
		CHECK(waitpid(pids[i], &status, 0) == pids[i] && !status, "child %d ended with %x",
		      i, status);
	workload_pass();
}
