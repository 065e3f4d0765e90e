// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: registers in their initial state come back so, whatever lay in the kernel's buffer
 * @needs: avx
 */
#include "fpu.h"

/* What XRSTOR makes of a component whose XSTATE_BV bit is clear. */
static void expect_initial(struct fpu *fpu)
{
	uint32_t mask = fpu->mask;

	memset(fpu, 0, sizeof(*fpu));
	fpu->mask = mask;
	memcpy(fpu->before + FPU_FCW, &(uint16_t){0x37f}, 2);
	memcpy(fpu->before + FPU_MXCSR, &(uint32_t){0x1f80}, 4);
}

/* Sleep with every register in use, so that the kernel has all in its buffer; then with none. */
static void *run(void *arg)
{
	static const struct timespec period = {.tv_nsec = 10 * 1000000};
	struct fpu *fpu = arg;
	uint32_t mask = FPU_X87 | FPU_SSE | FPU_AVX;

	fpu_fill(fpu, mask, 500);
	asm volatile("xrstor %[before]\n"
		     "mov $35, %%eax\n" /* nanosleep(period, NULL) */
		     "lea %[period], %%rdi\n"
		     "xor %%esi, %%esi\n"
		     "syscall\n"
		     "fninit\n"
		     : "+a"(mask)
		     : [before] "m"(fpu->before), [period] "m"(period), "d"(0)
		     : FPU_CLOBBERS);
	expect_initial(fpu);
	fpu_hold(fpu);
	return NULL;
}

int main(int argc, char **argv)
{
	static struct fpu fpu;

	workload_start(argc, argv, NULL);
	if (!(fpu_available() & FPU_AVX))
		workload_skip("the CPU has no AVX");

	pthread_t thread = workload_thread(run, &fpu);

	while (!__atomic_load_n(&fpu.held, __ATOMIC_SEQ_CST))
		sched_yield();
	workload_ready();
	workload_wait();
	fpu_release();
	pthread_join(thread, NULL);
	fpu_check(&fpu);
	workload_pass();
}
