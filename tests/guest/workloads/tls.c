// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: FS and GS base of each thread are kept, and what lies behind them
 * @busy
 */
#include "workload.h"

#include <asm/prctl.h>
#include <sys/syscall.h>

enum { THREADS = 5 };

struct area {
	uint64_t number;
	uint64_t fs_base;
	bool set_up;
};

static __thread uint64_t own = 0x7777;
static __thread char page[5000];
static uint32_t stop;

static uint64_t gs_word(void)
{
	uint64_t value;

	asm volatile("mov %%gs:0, %0" : "=r"(value));
	return value;
}

static uint64_t base(int which)
{
	uint64_t value = 0;

	CHECK_CALL(!syscall(SYS_arch_prctl, which, &value));
	return value;
}

/* Half of the threads sleep, half spin. */
static void *run(void *arg)
{
	struct area *area = arg;

	CHECK_CALL(!syscall(SYS_arch_prctl, ARCH_SET_GS, area));
	area->fs_base = base(ARCH_GET_FS);
	own = area->number;
	workload_fill(page, sizeof(page), area->number);
	__atomic_store_n(&area->set_up, true, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST))
		if (area->number % 2)
			nanosleep(&(struct timespec){.tv_nsec = 100 * 1000000}, NULL);
	CHECK(gs_word() == area->number, "%%gs:0 of thread %d is %lld", (int)area->number,
	      (long long)gs_word());
	CHECK(base(ARCH_GET_GS) == (uint64_t)area, "the GS base is another one");
	CHECK(base(ARCH_GET_FS) == area->fs_base, "the FS base is another one");
	CHECK(own == area->number, "the variable of thread %d is %lld", (int)area->number,
	      (long long)own);
	workload_check_fill(page, sizeof(page), area->number, "thread-local array");
	return NULL;
}

int main(int argc, char **argv)
{
	static struct area areas[THREADS];
	pthread_t threads[THREADS];

	workload_start(argc, argv, NULL);
	own = 0x1234567;
	for (int i = 0; i < THREADS; i++) {
		areas[i].number = i + 1;
		threads[i] = workload_thread(run, &areas[i]);
		while (!__atomic_load_n(&areas[i].set_up, __ATOMIC_SEQ_CST))
			sched_yield();
	}
	workload_ready();
	workload_wait();
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	CHECK(own == 0x1234567, "the leader's variable is %llx", (long long)own);
	workload_pass();
}
