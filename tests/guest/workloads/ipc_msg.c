// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: System V message queues hold the same messages, in their order
 */
#include "ipc.h"

#include <sys/msg.h>

enum { KEY = 0x4f564d33, NR = 9, MAX = 8192, OWNER = 4713 };

/* Without text, in one page, in two, of the greatest length. */
static const size_t sizes[NR] = {0, 1, 7, 8, 100, 4048, 4049, 200, 1};

static struct {
	long type;
	uint8_t text[MAX];
} message;

static void send(int queue, long type, size_t size, uint64_t seed)
{
	message.type = type;
	workload_fill(message.text, MAX, seed);
	CHECK_CALL(!msgsnd(queue, &message, size, IPC_NOWAIT));
}

static void receive(int queue, long want, long type, size_t size, uint64_t seed)
{
	memset(&message, 0, sizeof(message));
	ssize_t got = msgrcv(queue, &message, MAX, want, IPC_NOWAIT);

	CHECK(got == (ssize_t)size, "a message of %zd bytes instead of %zu: %s", got, size,
	      strerror(errno));
	CHECK(message.type == type, "the type is %ld, was %ld", message.type, type);
	workload_check_fill(message.text, size & ~7ul, seed, "message");
	for (size_t i = size & ~7ul; i < size; i++)
		CHECK(message.text[i] == (uint8_t)(workload_word(seed, i / 8) >> i % 8 * 8),
		      "byte %zu of a message differs", i);
}

int main(int argc, char **argv)
{
	struct msqid_ds ds;

	workload_start(argc, argv, NULL);
	ipc_unshare();

	int queue = msgget(KEY, IPC_CREAT | IPC_EXCL | 0622);
	int large = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
	int empty = msgget(IPC_PRIVATE, IPC_CREAT | 0600);

	CHECK_CALL(queue >= 0 && large >= 0 && empty >= 0);
	for (int i = 0; i < NR; i++)
		send(queue, i % 3 + 1, sizes[i], i);
	send(large, 1L << 40, MAX, 1000);
	send(large, 1, MAX, 1001);
	CHECK_CALL(!msgctl(queue, IPC_STAT, &ds));
	ds.msg_perm.uid = ds.msg_perm.gid = OWNER;
	CHECK_CALL(!msgctl(queue, IPC_SET, &ds));
	workload_ready();
	workload_wait();
	CHECK_CALL(!msgctl(queue, IPC_STAT, &ds));
	ipc_check_perm(&ds.msg_perm, KEY, OWNER, OWNER, 0622);
	CHECK(ds.msg_qnum == NR, "the queue has %lu messages", (unsigned long)ds.msg_qnum);
	/* One of a type that is not the first, then in order. */
	receive(queue, 2, 2, sizes[1], 1);
	for (int i = 0; i < NR; i++)
		if (i != 1)
			receive(queue, 0, i % 3 + 1, sizes[i], i);
	receive(large, 0, 1L << 40, MAX, 1000);
	receive(large, 0, 1, MAX, 1001);
	CHECK(msgrcv(empty, &message, MAX, 0, IPC_NOWAIT) == -1 && errno == ENOMSG,
	      "the empty queue isn't");
	send(empty, 5, 50, 5);
	receive(empty, 0, 5, 50, 5);
	CHECK_CALL(!msgctl(queue, IPC_RMID, NULL));
	workload_pass();
}
