// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: a sleeping and a spinning thread keep opmask registers and all of zmm0 to zmm31
 * @needs: avx512
 * @busy
 */
#include "fpu.h"

enum { AVX512 = FPU_OPMASK | FPU_ZMM_HI256 | FPU_HI16_ZMM };

int main(int argc, char **argv)
{
	static struct fpu sleeping, spinning;

	workload_start(argc, argv, NULL);
	if ((fpu_available() & AVX512) != AVX512)
		workload_skip("the CPU has no AVX-512");
	fpu_fill(&sleeping, FPU_X87 | FPU_SSE | FPU_AVX | AVX512, 300);
	fpu_fill(&spinning, FPU_X87 | FPU_SSE | FPU_AVX | AVX512, 400);

	pthread_t sleeper = fpu_start(&sleeping, false);
	pthread_t spinner = fpu_start(&spinning, true);

	workload_ready();
	workload_wait();
	fpu_release();
	pthread_join(sleeper, NULL);
	pthread_join(spinner, NULL);
	fpu_check(&sleeping);
	fpu_check(&spinning);
	workload_pass();
}
