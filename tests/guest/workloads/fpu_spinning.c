// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: threads spinning in user mode keep x87, SSE and AVX registers
 * @needs: avx
 * @busy
 */
#include "fpu.h"

enum { THREADS = 2 };

int main(int argc, char **argv)
{
	static struct fpu fpus[THREADS];
	pthread_t threads[THREADS];

	workload_start(argc, argv, NULL);
	if (!(fpu_available() & FPU_AVX))
		workload_skip("the CPU has no AVX");
	for (int i = 0; i < THREADS; i++) {
		fpu_fill(&fpus[i], FPU_X87 | FPU_SSE | FPU_AVX, 100 + 50 * i);
		threads[i] = fpu_start(&fpus[i], true);
	}
	workload_ready();
	workload_wait();
	fpu_release();
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		fpu_check(&fpus[i]);
	}
	workload_pass();
}
