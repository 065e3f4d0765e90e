// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: threads that make one system call after the other see none of them fail or done twice
 * @busy
 */
#include "workload.h"

#include <fcntl.h>
#include <sys/mman.h>

enum { THREADS = 2, SLOTS = 64, SLOT = 4096, ROOM = 8 * 4096 };

static uint32_t stop;
static uint64_t rounds[THREADS];

/* The slots of a file, each written and read back by calls, some rounds later. */
static void use_file(int fd, uint64_t round, uint8_t *buffer)
{
	off_t offset = (off_t)(round % SLOTS) * SLOT;
	uint64_t old;

	if (round >= SLOTS) {
		CHECK_CALL(pread(fd, buffer, SLOT, offset) == SLOT);
		workload_check_fill(buffer, SLOT, round - SLOTS, "what was written before");
	}
	workload_fill(buffer, SLOT, round);
	CHECK_CALL(lseek(fd, offset, SEEK_SET) == offset && write(fd, buffer, SLOT) == SLOT);
	CHECK(lseek(fd, 0, SEEK_CUR) == offset + SLOT, "a write moved the position twice");
	CHECK_CALL(pread(fd, &old, sizeof(old), offset) == sizeof(old));
	CHECK(old == workload_word(round, 0), "what was written isn't there");
}

static void use_memory(uint64_t round)
{
	uint64_t *memory =
		mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK_CALL(memory != MAP_FAILED);
	CHECK(!memory[0] && !memory[ROOM / 8 - 1], "new memory isn't zero");
	memory[0] = memory[ROOM / 8 - 1] = round;
	CHECK_CALL(!mprotect(memory, ROOM, PROT_READ));
	CHECK(memory[0] == round && memory[ROOM / 8 - 1] == round, "memory was lost");
	CHECK_CALL(!munmap(memory, ROOM));
}

static void *run(void *arg)
{
	uint64_t *round = arg;
	static __thread uint8_t buffer[SLOT];
	int fd = memfd_create("slots", 0);

	CHECK_CALL(fd >= 0);
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
		use_file(fd, *round, buffer);
		use_memory(*round);
		CHECK(getpid() > 0 && !sched_yield(), "a call failed: %s", strerror(errno));
		/* Time in user mode, too: a thread can be dumped in no other. */
		for (volatile int i = 0; i < 200000; i++)
			;
		++*round;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	uint64_t at_go[THREADS];
	pthread_t threads[THREADS];

	workload_start(argc, argv, NULL);
	for (int i = 0; i < THREADS; i++)
		threads[i] = workload_thread(run, &rounds[i]);
	workload_ready();
	workload_wait();
	for (int i = 0; i < THREADS; i++)
		at_go[i] = __atomic_load_n(&rounds[i], __ATOMIC_SEQ_CST);
	/* Over all slots once more. */
	for (int i = 0; i < THREADS; i++)
		while (__atomic_load_n(&rounds[i], __ATOMIC_SEQ_CST) < at_go[i] + SLOTS)
			nanosleep(&(struct timespec){.tv_nsec = 20 * 1000000}, NULL);
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	workload_pass();
}
