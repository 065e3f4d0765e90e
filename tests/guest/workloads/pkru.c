// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: protection key rights (PKRU) of each thread, sleeping and spinning, are kept
 * @needs: pku
 * @busy
 */
#include "workload.h"

#include <cpuid.h>

static uint32_t stop;

static uint32_t rdpkru(void)
{
	uint32_t value, high;

	asm volatile(".byte 0x0f, 0x01, 0xee" : "=a"(value), "=d"(high) : "c"(0));
	return value;
}

static void wrpkru(uint32_t value)
{
	asm volatile(".byte 0x0f, 0x01, 0xef" : : "a"(value), "c"(0), "d"(0) : "memory");
}

struct holder {
	uint32_t pkru;
	bool spin;
	bool held;
};

static void *run(void *arg)
{
	struct holder *holder = arg;

	wrpkru(holder->pkru);
	__atomic_store_n(&holder->held, true, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST))
		if (!holder->spin)
			nanosleep(&(struct timespec){.tv_nsec = 100 * 1000000}, NULL);
	CHECK(rdpkru() == holder->pkru, "PKRU of the %s thread is %x, was %x",
	      holder->spin ? "spinning" : "sleeping", rdpkru(), holder->pkru);
	return NULL;
}

int main(int argc, char **argv)
{
	/* Two bits a key, key 0 (all ordinary memory) free. */
	struct holder holders[] = {{.pkru = 0x1234560c}, {.pkru = 0x2468ace0, .spin = true}};
	pthread_t threads[2];
	unsigned int a, b, c, d;

	workload_start(argc, argv, NULL);
	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(c & bit_OSPKE))
		workload_skip("the CPU has no protection keys");
	for (int i = 0; i < 2; i++) {
		threads[i] = workload_thread(run, &holders[i]);
		while (!__atomic_load_n(&holders[i].held, __ATOMIC_SEQ_CST))
			sched_yield();
	}
	workload_ready();
	workload_wait();
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	workload_pass();
}
